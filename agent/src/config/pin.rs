//! The PIN of the local page: a file with 6 to 12 digits, read whenever somebody uses it, and never shown.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// Digits of a PIN.
const DIGITS_MIN: usize = 6;
const DIGITS_MAX: usize = 12;
/// Read of the file at most: whatever is longer is no PIN.
const FILE_BYTES_MAX: u64 = 256;
/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;

/// A PIN.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pin(String);

impl std::fmt::Debug for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin(…)")
    }
}

impl Pin {
    /// Its digits, to be hashed.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is among the first that anybody tries.
    fn is_obvious(&self) -> bool {
        let steps: Vec<i16> =
            self.0.as_bytes().windows(2).map(|pair| i16::from(pair[1]) - i16::from(pair[0])).collect();
        [-1, 0, 1].iter().any(|step| steps.iter().all(|other| other == step))
    }
}

/// Why there is no PIN to compare with. The text never holds what stands in the file.
#[derive(Debug, thiserror::Error)]
#[error("PIN file {path}: {why}")]
pub(crate) struct PinFileError {
    path: PathBuf,
    why: String,
}

/// Where the PIN stands.
#[derive(Debug, Clone)]
pub(crate) struct PinFile(PathBuf);

impl PinFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The PIN as it stands there now.
    ///
    /// # Errors
    /// The file cannot be read, or does not hold 6 to 12 digits.
    pub(crate) fn read(&self) -> Result<Pin, PinFileError> {
        let mut text = Vec::new();
        let read = std::fs::metadata(&self.0).and_then(|about| {
            if !about.is_file() {
                return Err(std::io::Error::other("not a file"));
            }
            std::fs::File::open(&self.0)?.take(FILE_BYTES_MAX).read_to_end(&mut text)
        });
        read.map_err(|error| self.error(error.to_string()))?;
        let digits = text.trim_ascii();
        let count = digits.len();
        if !digits.iter().all(u8::is_ascii_digit) || !(DIGITS_MIN..=DIGITS_MAX).contains(&count) {
            let why =
                format!("{count} characters; a PIN has {DIGITS_MIN} to {DIGITS_MAX} digits and nothing else");
            return Err(self.error(why));
        }
        Ok(Pin(digits.iter().copied().map(char::from).collect()))
    }

    /// What should be better about it although it works.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mode = std::fs::metadata(&self.0).map_or(0, |about| about.permissions().mode());
        if mode & OTHERS != 0 {
            let path = self.0.display();
            warnings.push(format!(
                "others than its owner may use {path} (mode {:o}); chmod 600 {path}",
                mode & 0o777
            ));
        }
        if self.read().is_ok_and(|pin| pin.is_obvious()) {
            warnings.push("it is among the first that anybody would try; choose another".to_owned());
        }
        warnings
    }

    fn error(&self, why: String) -> PinFileError {
        PinFileError { path: self.0.clone(), why }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_pin_has_6_to_12_digits_and_no_error_shows_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = PinFile::new(dir.path().join("page.pin"));
        assert!(file.read().unwrap_err().to_string().contains("page.pin"), "the file is named");
        for (text, good) in [
            ("739105\n", true),
            (" 739105913726 \n", true),
            ("73910", false),
            ("7391059137264", false),
            ("73910a", false),
            ("739 105", false),
            ("٧٣٩١٠٥", false),
            ("", false),
        ] {
            std::fs::write(&file.0, text).unwrap();
            let read = file.read();
            assert_eq!(read.is_ok(), good, "{text}");
            let shown = format!("{read:?}");
            assert!(text.trim().is_empty() || !shown.contains(text.trim()), "{shown}");
        }
        std::fs::write(&file.0, "7".repeat(1_000_000)).unwrap();
        assert!(file.read().unwrap_err().to_string().contains("256 characters"));
        assert!(PinFile::new(dir.path().to_owned()).read().unwrap_err().to_string().contains("not a file"));
    }

    #[test]
    fn what_others_can_read_and_what_anybody_tries_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = PinFile::new(dir.path().join("page.pin"));
        let warned = |pin: &str, mode: u32| {
            std::fs::write(&file.0, pin).unwrap();
            std::fs::set_permissions(&file.0, Permissions::from_mode(mode)).unwrap();
            file.warnings().join("; ")
        };
        assert_eq!(warned("739105", 0o600), "");
        assert!(warned("739105", 0o644).contains("mode 644"));
        for obvious in ["000000", "123456", "987654"] {
            assert!(warned(obvious, 0o600).contains("first that anybody"), "{obvious}");
        }
    }
}
