//! A package as one file: the format `ustar` of POSIX.1-1988, which every `tar` reads, modes and all.
//!
//! 512 bytes of header a file, its content filled up to a multiple of 512, and two empty blocks at the end. Numbers are octal
//! texts; a path longer than 100 bytes is split at a slash, up to 155 bytes before it.

/// Everything is in multiples of this.
const BLOCK: usize = 512;
const NAME_MAX: usize = 100;

/// A tar file as it grows.
#[derive(Debug)]
pub(super) struct Tar {
    bytes: Vec<u8>,
    /// Unix seconds.
    at: u64,
}

impl Tar {
    pub(super) const fn new(at: u64) -> Self {
        Self { bytes: Vec::new(), at }
    }

    /// Adds a file. A folder is there with its first file.
    pub(super) fn add(&mut self, dir: &str, name: &str, mode: u32, text: &str) {
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            for (to, byte) in header.iter_mut().skip(at).zip(text.bytes()) {
                *to = byte;
            }
        };
        debug_assert!(name.len() <= NAME_MAX && dir.len() <= 155, "names of ours are short");
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{:011o}", text.len()));
        put(136, &format!("{:011o}", self.at));
        // The checksum is taken with blanks in its own place.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar");
        put(263, "00");
        put(345, dir);
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        for (to, byte) in header.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
            *to = byte;
        }
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_tar_reads_it_with_modes() {
        let long = "d".repeat(120);
        let mut tar = Tar::new(1_763_700_000);
        tar.add("package", "a.txt", 0o644, "hello\n");
        tar.add(&long, "store.key", 0o600, &"x".repeat(513));
        let path = std::env::temp_dir().join(format!("storepulse-tar-{}", std::process::id()));
        std::fs::write(&path, tar.finish()).unwrap();
        let listed = std::process::Command::new("tar").arg("-tvf").arg(&path).output().unwrap();
        std::fs::remove_file(&path).unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let lines: Vec<&str> = listed.lines().collect();
        assert!(lines[0].starts_with("-rw-r--r-- 0/0") && lines[0].ends_with(" package/a.txt"), "{listed}");
        assert!(lines[1].starts_with("-rw-------") && lines[1].ends_with("/store.key"), "{listed}");
        assert!(lines[1].contains(" 513 ") && lines.len() == 2, "{listed}");
    }
}
