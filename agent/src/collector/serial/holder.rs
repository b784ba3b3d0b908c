//! Who else has a port open: other processes by `/proc`, where its permissions let us look, and lock files of the old kind.

use std::fmt;
use std::path::{Path, PathBuf};

/// A process that has a port open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub pid: u32,
    /// Its program, if that can be read.
    pub command: Option<String>,
}

impl Holder {
    /// The process with this id; its program by its file, otherwise by the name that it gives itself.
    pub(crate) fn of(proc: &Path, pid: u32) -> Self {
        let folder = proc.join(pid.to_string());
        let file: Option<PathBuf> = std::fs::read_link(folder.join("exe")).ok();
        let name = file.and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        let command = name.or_else(|| {
            let text = std::fs::read_to_string(folder.join("comm")).ok()?;
            Some(text.trim().to_owned())
        });
        Self { pid, command }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        self.command.iter().try_for_each(|command| write!(f, " ({command})"))
    }
}

/// The first process but this one that has this device file open, or says so in a lock file.
pub(crate) fn find(proc: &Path, locks: &Path, port: &Path) -> Option<Holder> {
    by_descriptor(proc, port).or_else(|| by_lock_file(proc, locks, port))
}

fn by_descriptor(proc: &Path, port: &Path) -> Option<Holder> {
    let processes = std::fs::read_dir(proc).ok()?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id())
        .find(|pid| has_open(&proc.join(pid.to_string()), port))
        .map(|pid| Holder::of(proc, pid))
}

fn has_open(process: &Path, port: &Path) -> bool {
    let Ok(descriptors) = std::fs::read_dir(process.join("fd")) else { return false };
    descriptors.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == port))
}

/// `LCK..ttyS0` holds the owner's process id as text; it counts as long as that process is there.
fn by_lock_file(proc: &Path, locks: &Path, port: &Path) -> Option<Holder> {
    let name = port.file_name()?.to_str()?;
    let text = std::fs::read_to_string(locks.join(format!("LCK..{name}"))).ok()?;
    let pid: u32 = text.split_whitespace().next()?.parse().ok()?;
    let lives = pid != std::process::id() && proc.join(pid.to_string()).exists();
    lives.then(|| Holder::of(proc, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_by_its_descriptor_or_its_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let (proc, locks) = (root.path().join("proc"), root.path().join("lock"));
        std::fs::create_dir_all(proc.join("4711/fd")).unwrap();
        std::fs::create_dir_all(&locks).unwrap();
        std::fs::write(proc.join("4711/comm"), "posd\n").unwrap();
        let port = Path::new("/dev/ttyS0");
        assert_eq!(find(&proc, &locks, port), None);
        std::os::unix::fs::symlink(port, proc.join("4711/fd/7")).unwrap();
        assert_eq!(find(&proc, &locks, port).unwrap().to_string(), "process 4711 (posd)");
        assert_eq!(find(&proc, &locks, Path::new("/dev/ttyS1")), None);
        std::fs::write(locks.join("LCK..ttyS1"), "      4711\n").unwrap();
        assert_eq!(find(&proc, &locks, Path::new("/dev/ttyS1")).unwrap().pid, 4711);
        std::fs::write(locks.join("LCK..ttyS2"), "99\n").unwrap();
        assert_eq!(find(&proc, &locks, Path::new("/dev/ttyS2")), None, "its owner has died");
    }
}
