//! The Rust side of the layer under SQLite: finds the disk that a file lies on and asks it.
#![expect(unsafe_code, reason = "SQLite calls C functions; this crate is for tests and is never shipped")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Once;

use crate::disk::{Answer, Disk};

/// The name that the layer is registered with.
pub const VFS: &str = "faulty-disk";

/// What the layer asks about. Keep in step with `layer.c`.
const OP_WRITE: c_int = 1;
const OP_TRUNCATE: c_int = 2;
const OP_SYNC: c_int = 3;
const OP_READ: c_int = 4;

unsafe extern "C" {
    fn faulty_disk_register() -> c_int;
}

/// Makes the layer known to SQLite, once in a process.
pub(crate) fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the function takes nothing and is called once.
        let code = unsafe { faulty_disk_register() };
        assert_eq!(code, libsqlite3_sys::SQLITE_OK, "SQLite did not take the layer");
    });
}

#[unsafe(no_mangle)]
extern "C" fn faulty_disk_open(path: *const c_char, flags: c_int, existed: c_int) -> i64 {
    // SAFETY: SQLite gives a path that ends with a zero byte and lives during the call.
    let path = unsafe { CStr::from_ptr(path) };
    let Some(path) = path.to_str().ok().map(Path::new) else { return 0 };
    let Some(disk) = Disk::of(path) else { return 0 };
    let log = libsqlite3_sys::SQLITE_OPEN_WAL | libsqlite3_sys::SQLITE_OPEN_MAIN_JOURNAL;
    let create = flags & libsqlite3_sys::SQLITE_OPEN_CREATE != 0 && existed == 0;
    disk.opened(path, create, flags & log != 0)
}

#[unsafe(no_mangle)]
extern "C" fn faulty_disk_act(
    op: c_int,
    handle: i64,
    offset: i64,
    data: *const c_void,
    amount: c_int,
    done: *mut c_int,
) -> c_int {
    let Some(disk) = Disk::of_handle(handle) else { return 0 };
    let offset = u64::try_from(offset).unwrap_or(0);
    let answer = match op {
        OP_WRITE => {
            // SAFETY: SQLite gives `amount` bytes that live during the call.
            let bytes = unsafe {
                std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(amount).unwrap_or(0))
            };
            disk.write(handle, offset, bytes)
        }
        OP_TRUNCATE => disk.truncate(handle, offset),
        OP_SYNC => disk.sync(handle),
        OP_READ => disk.read(handle),
        _ => Answer::GoOn,
    };
    match answer {
        Answer::GoOn => libsqlite3_sys::SQLITE_OK,
        Answer::Fail { code, share } => {
            // SAFETY: the layer gives a place for one number.
            unsafe { *done = amount / 8 * c_int::from(share) };
            code
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn faulty_disk_delete(path: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives a path that ends with a zero byte and lives during the call.
    let path = unsafe { CStr::from_ptr(path) };
    let Some(path) = path.to_str().ok().map(Path::new) else { return 0 };
    if let Some(disk) = Disk::of(path) {
        disk.deleted(path, sync != 0);
    }
    libsqlite3_sys::SQLITE_OK
}
