//! The methods of an open file.

use std::ffi::{c_int, c_void};
use std::path::PathBuf;
use std::sync::atomic::{Ordering, fence};

use rusqlite::ffi;

use super::super::{Shared, lock};
use super::code;

/// What SQLite's own file system for Unix says of every disk.
const SECTOR_BYTES: c_int = 4_096;
const CHARACTERISTICS: c_int = ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ;
/// What SQLite's memory for an open file holds.
#[repr(C)]
pub(super) struct OpenFile {
    /// First, as SQLite wants it.
    pub methods: *const ffi::sqlite3_io_methods,
    /// From a `Box`, which `close` takes back.
    pub handle: *mut Handle,
}

pub(super) struct Handle {
    pub disk: Shared,
    pub path: PathBuf,
    /// The index of the WAL.
    pub shared_memory: Vec<Region>,
}

/// A region of shared memory, zeroed and aligned as a mapped page is; SQLite keeps its address.
pub(super) struct Region(*mut [u64]);

impl Region {
    fn new(bytes: usize) -> Self {
        Self(Box::into_raw(vec![0; bytes.div_ceil(size_of::<u64>())].into_boxed_slice()))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: made by `new` from a box, and freed here only.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

pub(super) static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // With shared memory, without mapping of files.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock_file),
    xUnlock: Some(lock_file),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(map_shared_memory),
    xShmLock: Some(lock_shared_memory),
    xShmBarrier: Some(shared_memory_barrier),
    xShmUnmap: Some(unmap_shared_memory),
    xFetch: None,
    xUnfetch: None,
};

/// # Safety
/// `file` was filled by [`super::open`], and no other reference to its handle is alive.
unsafe fn handle<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Handle {
    // SAFETY: by contract; SQLite uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<OpenFile>()).handle }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see the module; SQLite closes a file once.
    let handle = unsafe {
        let own = file.cast::<OpenFile>();
        (*own).methods = std::ptr::null();
        Box::from_raw((*own).handle)
    };
    lock(&handle.disk).close(&handle.path);
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    n: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: see the module; numbers from SQLite are not negative.
    let (handle, buffer) =
        unsafe { (handle(file), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), n as usize)) };
    match lock(&handle.disk).read(&handle.path, at as usize, buffer) {
        Ok(there) if there == buffer.len() => ffi::SQLITE_OK,
        Ok(there) => {
            buffer[there..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    n: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: see the module; numbers from SQLite are not negative.
    let (handle, bytes) =
        unsafe { (handle(file), std::slice::from_raw_parts(bytes.cast::<u8>(), n as usize)) };
    code(lock(&handle.disk).write(&handle.path, at as usize, bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    // SAFETY: see the module.
    let handle = unsafe { handle(file) };
    code(lock(&handle.disk).truncate(&handle.path, len as usize), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: see the module.
    let handle = unsafe { handle(file) };
    code(lock(&handle.disk).sync(&handle.path), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, len: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: see the module.
    unsafe {
        let handle = handle(file);
        match lock(&handle.disk).len(&handle.path) {
            Ok(there) => {
                *len = there as ffi::sqlite3_int64;
                ffi::SQLITE_OK
            }
            Err(_) => ffi::SQLITE_IOERR_FSTAT,
        }
    }
}

/// One connection a file needs no locks.
unsafe extern "C" fn lock_file(_: *mut ffi::sqlite3_file, _level: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, answer: *mut c_int) -> c_int {
    // SAFETY: see the module.
    unsafe { *answer = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _op: c_int, _argument: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    CHARACTERISTICS
}

unsafe extern "C" fn map_shared_memory(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    region_bytes: c_int,
    extend: c_int,
    mapped: *mut *mut c_void,
) -> c_int {
    // SAFETY: see the module. Regions are not moved or freed before `unmap_shared_memory` or `close`.
    unsafe {
        let regions = &mut handle(file).shared_memory;
        while extend != 0 && regions.len() <= region as usize {
            regions.push(Region::new(region_bytes as usize));
        }
        *mapped = regions.get(region as usize).map_or(std::ptr::null_mut(), |region| region.0.cast());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock_shared_memory(
    _: *mut ffi::sqlite3_file,
    _offset: c_int,
    _n: c_int,
    _flags: c_int,
) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shared_memory_barrier(_: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn unmap_shared_memory(file: *mut ffi::sqlite3_file, _delete: c_int) -> c_int {
    // SAFETY: see the module; SQLite does not touch the regions any more.
    unsafe { handle(file) }.shared_memory.clear();
    ffi::SQLITE_OK
}
