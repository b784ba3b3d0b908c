//! Small files of a device that outlive the agent, in the folder `devices/<device>` of the state folder.
//!
//! A file is there as a whole or not at all: it is written beside the old one, synced, and takes its name.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Writes a file durably; makes the folder if it is new.
pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let fresh = folder.join(format!("{name}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Reads a file; `None` if there is none yet.
pub(crate) fn read(folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(folder.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
