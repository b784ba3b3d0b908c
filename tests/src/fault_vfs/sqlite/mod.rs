//! The C side: SQLite's file system interface (<https://sqlite.org/vfs.html>) over [`super::disk`].
//!
//! The only unsafe code of the workspace. Every function below is called by SQLite and nobody else, with what its
//! documentation promises: a `sqlite3_file` of at least `szOsFile` bytes that `open` has filled, buffers as long as the
//! number beside them, path names that end in NUL and live as long as the file. Decisions are taken in `disk`.

#![expect(unsafe_code, reason = "a file system for SQLite is a table of C functions")]

mod file;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::ensure;
use rusqlite::ffi;

use self::file::{Handle, METHODS, OpenFile};
use super::disk::{Opening, Refusal};
use super::{Shared, lock};

/// A journal or the WAL.
const JOURNAL: c_int = ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_SUPER_JOURNAL | ffi::SQLITE_OPEN_WAL;

/// SQLite has one table of file systems a process, so these are static too.
static DISKS: Mutex<Vec<(PathBuf, Shared)>> = Mutex::new(Vec::new());
static REGISTERED: OnceLock<c_int> = OnceLock::new();

/// From now on SQLite finds this disk under the folder.
pub(super) fn attach(folder: &Path, disk: &Shared) -> anyhow::Result<()> {
    let code = *REGISTERED.get_or_init(register);
    ensure!(code == ffi::SQLITE_OK, "SQLite does not take the file system: code {code}");
    let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = disks.iter().any(|(other, _)| other.starts_with(folder) || folder.starts_with(other));
    ensure!(!taken, "{} is on a disk already", folder.display());
    disks.push((folder.to_owned(), Arc::clone(disk)));
    Ok(())
}

/// No more. Files that are still open keep their disk.
pub(super) fn detach(folder: &Path) {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| other != folder);
}

/// Makes ours the default file system; SQLite's own goes on serving all other files.
fn register() -> c_int {
    // SAFETY: NULL asks for the default; what is found lives as long as the process. Our own is a copy of it, so that what
    // is not about files (time, randomness, sleep) is the original's; it is leaked, because it stays registered.
    unsafe {
        let original = ffi::sqlite3_vfs_find(std::ptr::null());
        if original.is_null() {
            return ffi::SQLITE_ERROR;
        }
        let own = ffi::sqlite3_vfs {
            szOsFile: (*original).szOsFile.max(size_of::<OpenFile>() as c_int),
            pNext: std::ptr::null_mut(),
            zName: c"storepulse-fault".as_ptr(),
            pAppData: original.cast(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            ..*original
        };
        ffi::sqlite3_vfs_register(Box::leak(Box::new(own)), 1)
    }
}

/// SQLite's own file system.
///
/// # Safety
/// `vfs` is the one that [`register`] has made.
unsafe fn original(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: by contract.
    unsafe { (*vfs).pAppData.cast() }
}

/// The disk that a path lies on, if it is one of ours.
///
/// # Safety
/// `name` is NULL or ends in NUL.
unsafe fn find<'a>(name: *const c_char) -> Option<(Shared, &'a Path)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by contract.
    let path = Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = disks.iter().find(|(folder, _)| path.starts_with(folder));
    found.map(|(_, disk)| (Arc::clone(disk), path))
}

/// The answer of a step; full disks are told as such, all else with the code that SQLite has for the step.
fn code(done: Result<(), Refusal>, io_error: c_int) -> c_int {
    match done {
        Ok(()) => ffi::SQLITE_OK,
        Err(Refusal::Full) => ffi::SQLITE_FULL,
        Err(Refusal::InUse) => ffi::SQLITE_BUSY,
        Err(Refusal::Io | Refusal::NoSuchFile) => io_error,
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    // SAFETY: see the module; a file that is not ours is the original's altogether, from its table of methods on.
    unsafe {
        let Some((disk, path)) = find(name) else {
            return match (*original(vfs)).xOpen {
                Some(open) => open(original(vfs), name, file, flags, flags_out),
                None => ffi::SQLITE_CANTOPEN,
            };
        };
        let own = file.cast::<OpenFile>();
        // Without methods SQLite does not call `close`.
        (*own).methods = std::ptr::null();
        let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
        let opening = Opening { create, syncs_folder: create && flags & JOURNAL != 0 };
        match lock(&disk).open(path, opening) {
            Ok(()) => {}
            Err(Refusal::InUse) => return ffi::SQLITE_BUSY,
            // As SQLite's own file system, which does not look at the reason.
            Err(_) => return ffi::SQLITE_CANTOPEN,
        }
        let handle = Handle { disk, path: path.to_owned(), shared_memory: Vec::new() };
        *own = OpenFile { methods: &raw const METHODS, handle: Box::into_raw(Box::new(handle)) };
        if !flags_out.is_null() {
            *flags_out = flags;
        }
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Some((disk, path)) = find(name) else {
            return match (*original(vfs)).xDelete {
                Some(delete) => delete(original(vfs), name, sync_folder),
                None => ffi::SQLITE_IOERR_DELETE,
            };
        };
        match lock(&disk).delete(path, sync_folder != 0) {
            Err(Refusal::NoSuchFile) => ffi::SQLITE_IOERR_DELETE_NOENT,
            done => code(done, ffi::SQLITE_IOERR_DELETE),
        }
    }
}

unsafe extern "C" fn access(
    vfs: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    flags: c_int,
    answer: *mut c_int,
) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let Some((disk, path)) = find(name) else {
            return match (*original(vfs)).xAccess {
                Some(access) => access(original(vfs), name, flags, answer),
                None => ffi::SQLITE_IOERR_ACCESS,
            };
        };
        let disk = lock(&disk);
        // Like SQLite's own file system, which takes an empty file for none.
        let there = disk.exists(path) && disk.len(path).is_ok_and(|len| len > 0);
        *answer = c_int::from(if flags == ffi::SQLITE_ACCESS_EXISTS { there } else { disk.exists(path) });
        ffi::SQLITE_OK
    }
}
