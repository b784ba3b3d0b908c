//! The state folder and the disk behind it: whether a file can be made durable there, how long that takes, and what is free.
//! The file is removed again.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::check::Check;
use super::limited::blocking;
use super::words::took;
use crate::finding::{Finding, Problem};
use crate::status::units::bytes;
use crate::status::{Machine, of_machine};

pub(super) const FOLDER: &str = "state folder";
pub(super) const DISK: &str = "disk";
pub(super) const WRITE: &str = "disk write";

/// A disk that hangs longer than this has failed.
const LIMIT: Duration = Duration::from_secs(8);
/// What is written.
const BYTES: usize = 4_096;
/// Above this, commits hold collection up.
const SLOW: Duration = Duration::from_millis(500);
/// Looks at the folder, what is free on its disk, and how long a durable write takes.
pub(super) async fn look(dir: &Path) -> Vec<Check> {
    let path = dir.to_owned();
    let looked = blocking(LIMIT, move || look_now(&path)).await;
    looked.unwrap_or_else(|| {
        let late = format!("{} bytes were not durable within {}", BYTES, took(LIMIT));
        vec![
            Check::skipped(FOLDER, "the disk does not answer"),
            Check::skipped(DISK, "the disk does not answer"),
            Check::found(WRITE, Finding::new(Problem::SpoolFailing), late),
        ]
    })
}

fn look_now(dir: &Path) -> Vec<Check> {
    let shown = dir.display().to_string();
    if !dir.exists() {
        return not_there(dir, &shown);
    }
    let disk = free(dir, &shown);
    match write(dir) {
        Ok(duration) => {
            let evidence = format!("{BYTES} bytes durable in {}", took(duration));
            let slow = Finding::new(Problem::DiskSlow).with("path", &shown).with("took", took(duration));
            let written = if duration > SLOW {
                Check::found(WRITE, slow, evidence)
            } else {
                Check::pass(WRITE, evidence)
            };
            vec![Check::pass(FOLDER, format!("{shown} can be written")), disk, written]
        }
        Err(error) => unwritten(&error, dir, &shown, disk),
    }
}

/// The agent makes it when it starts, if it may.
fn not_there(dir: &Path, shown: &str) -> Vec<Check> {
    let parent = dir.ancestors().skip(1).find(|folder| folder.exists());
    let parent = parent.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = match access(parent, AccessFlags::W_OK | AccessFlags::X_OK) {
        Ok(()) if parent.is_dir() => {
            Check::pass(FOLDER, format!("{shown} is not there yet; the agent makes it"))
        }
        refused => {
            let why = refused.err().map_or("no folder", nix::Error::desc);
            let evidence = format!("{shown} is not there and cannot be made: {}: {why}", parent.display());
            Check::found(FOLDER, Finding::new(Problem::StateDenied).with("path", shown), evidence)
        }
    };
    vec![folder, free(parent, shown), Check::skipped(WRITE, "there is no folder yet")]
}

fn unwritten(error: &io::Error, dir: &Path, shown: &str, disk: Check) -> Vec<Check> {
    let evidence = format!("{shown}: {error}");
    let skipped = |name| Check::skipped(name, "nothing can be written");
    if is_full(error) {
        let finding = Finding::new(Problem::DiskFull).with("path", shown).with("free", free_text(dir));
        return vec![
            Check::skipped(FOLDER, "the disk is full"),
            Check::found(DISK, finding, evidence),
            skipped(WRITE),
        ];
    }
    let refused = matches!(
        error.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory
    );
    if refused {
        let finding = Finding::new(Problem::StateDenied).with("path", shown);
        let evidence = match error.kind() {
            ErrorKind::NotADirectory => format!("{shown} is no folder"),
            _ => evidence,
        };
        return vec![Check::found(FOLDER, finding, evidence), disk, skipped(WRITE)];
    }
    vec![skipped(FOLDER), disk, Check::found(WRITE, Finding::new(Problem::SpoolFailing), evidence)]
}

/// No space, no quota, or no file of that size: it takes no more.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

fn free(dir: &Path, shown: &str) -> Check {
    let Some((all, free)) = sizes(dir) else {
        return Check::skipped(DISK, "the system does not tell what is free");
    };
    let evidence = format!("{} free of {}", bytes(free), bytes(all));
    // The status of the agent judges the disk by the same measure.
    let disk = Machine { disk_bytes: Some(all), disk_free_bytes: Some(free), ..Machine::default() };
    match of_machine(&disk).pop() {
        Some(finding) => Check::found(DISK, finding.with("path", shown), evidence),
        None => Check::pass(DISK, evidence),
    }
}

fn free_text(dir: &Path) -> String {
    sizes(dir).map_or_else(|| "0 MB".to_owned(), |(_, free)| bytes(free))
}

/// Bytes in all, and those that are free for us.
fn sizes(dir: &Path) -> Option<(u64, u64)> {
    let disk = statvfs(dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    Some((bytes(disk.blocks()), bytes(disk.blocks_available())))
}

/// Removes what it names, whatever happened.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // What cannot be removed is a few KiB under a name that says whose it is.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!("doctor-{}", std::process::id()));
    let began = Instant::now();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let _removed = Removed(path);
    file.write_all(&[0; BYTES])?;
    file.sync_all()?;
    Ok(began.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::Outcome;

    fn problems(checks: &[Check]) -> Vec<Problem> {
        checks.iter().filter_map(|check| Some(check.finding.as_ref()?.problem)).collect()
    }

    #[tokio::test]
    async fn a_good_folder_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let checks = look(dir.path()).await;
        assert_eq!(checks.len(), 3);
        assert_eq!(checks[0].outcome, Outcome::Pass, "{checks:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let later = look(&dir.path().join("later/spool")).await;
        assert!(later[0].evidence.contains("not there yet") && problems(&later).is_empty(), "{later:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");
    }

    #[tokio::test]
    async fn a_file_in_its_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool");
        std::fs::write(&path, "").unwrap();
        assert_eq!(problems(&look(&path).await), [Problem::StateDenied]);
        assert_eq!(problems(&look(&path.join("deeper")).await), [Problem::StateDenied]);
    }

    #[test]
    fn a_disk_that_takes_no_more_is_full_whatever_it_says() {
        for code in [libc::ENOSPC, libc::EDQUOT, libc::EFBIG] {
            assert!(is_full(&io::Error::from_raw_os_error(code)), "{code}");
        }
        assert!(!is_full(&io::Error::from_raw_os_error(libc::EIO)));
    }
}
