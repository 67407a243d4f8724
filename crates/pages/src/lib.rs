//! A checksum on every page of a database, under SQLite: a page that changed on the disk is refused when it is read.
//!
//! SQLite itself checks frames of its write-ahead log, but believes every page of the database file. A flipped bit in an
//! index then hides a row, and one in a row is a wrong answer. [`register`] puts a layer under SQLite that ends each
//! page with eight bytes over the page and its place. A page that does not fit is an I/O error with the extended code
//! `SQLITE_IOERR_DATA` ([`is_wrong_sum`]). The price is one pass over each page that is read from or written to the
//! database file (`cargo bench --package pages` measures it), nothing for what is in SQLite's cache, and 0.2 % of the
//! space.
#![expect(
    unsafe_code,
    reason = "a layer under SQLite is C; Rust only registers it and hands it a connection"
)]

use std::ffi::{CString, c_char, c_int};

use libsqlite3_sys::sqlite3;
use parking_lot::Mutex;
use rusqlite::Connection;

/// Bytes at the end of each page that hold its checksum.
pub const RESERVED_BYTES: u8 = 8;

unsafe extern "C" {
    fn pages_register(name: *const c_char, under: *const c_char) -> c_int;
    fn pages_reserve(db: *mut sqlite3) -> c_int;
}

/// SQLite did not take the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub c_int);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SQLite refused the layer that checks pages (code {})", self.0)
    }
}

impl std::error::Error for Refused {}

/// Layers that exist, by what lies under them. SQLite keeps its own list for the process, this one keeps it short.
static LAYERS: Mutex<Vec<(Option<String>, &'static str)>> = Mutex::new(Vec::new());

/// Makes the layer over another one (SQLite's own when there is none) known to SQLite, and answers its name.
///
/// # Errors
/// When there is no layer of that name, or there are more than four.
pub fn register(under: Option<&str>) -> Result<&'static str, Refused> {
    let mut layers = LAYERS.lock();
    if let Some((_, name)) = layers.iter().find(|(known, _)| known.as_deref() == under) {
        return Ok(name);
    }
    let text = under.map_or_else(|| "pages".to_owned(), |under| format!("pages-{under}"));
    let bad = |_| Refused(libsqlite3_sys::SQLITE_MISUSE);
    let under_name = under.map(CString::new).transpose().map_err(bad)?;
    // SQLite keeps the pointer for ever, so the name is never given back: at most four short texts in a process.
    let name: &'static std::ffi::CStr = Box::leak(CString::new(text).map_err(bad)?.into_boxed_c_str());
    // SAFETY: both end with a zero byte, `name` lives for ever, and the lock lets one thread in.
    let code = unsafe {
        pages_register(name.as_ptr(), under_name.as_ref().map_or(std::ptr::null(), |under| under.as_ptr()))
    };
    if code != libsqlite3_sys::SQLITE_OK {
        return Err(Refused(code));
    }
    let name = name.to_str().map_err(|_| Refused(libsqlite3_sys::SQLITE_MISUSE))?;
    layers.push((under.map(str::to_owned), name));
    Ok(name)
}

/// Makes a new database keep the end of each page free for the checksum. Call it before anything is written; of a
/// database that exists it only asks.
///
/// # Errors
/// When the database does not reserve these bytes: it was made without the layer.
pub fn reserve(db: &Connection) -> Result<(), Refused> {
    // SAFETY: the handle is used while the connection is borrowed, and not kept.
    let bytes = unsafe { pages_reserve(db.handle()) };
    if bytes == c_int::from(RESERVED_BYTES) { Ok(()) } else { Err(Refused(bytes)) }
}

/// True when an error says that a page does not fit its checksum.
pub fn is_wrong_sum(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    code == Some(libsqlite3_sys::SQLITE_IOERR_DATA)
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;

    use super::*;

    fn open(path: &std::path::Path) -> Connection {
        let name = register(None).expect("registers");
        Connection::open_with_flags_and_vfs(path, OpenFlags::default(), name).expect("opens")
    }

    #[test]
    fn every_changed_byte_of_a_database_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.db");
        let db = open(&path);
        reserve(&db).expect("reserves");
        let mode: String =
            db.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0)).expect("a mode");
        assert_eq!(mode, "wal");
        db.execute_batch("CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i FROM n").expect("fills");
        drop(db);
        let whole = std::fs::read(&path).expect("reads");
        assert_eq!((whole[20], whole.len() % 4096), (RESERVED_BYTES, 0));
        let sum = |path: &std::path::Path| {
            open(path).query_row("SELECT sum(x) FROM t", [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(sum(&path).expect("reads"), 2_001_000);
        for at in (0..whole.len()).step_by(61) {
            let mut bent = whole.clone();
            bent[at] ^= 1 << (at % 8);
            std::fs::write(&path, bent).expect("writes");
            assert!(sum(&path).is_err(), "byte {at}");
        }
        // Two good pages in each other's place.
        let mut swapped = whole.clone();
        swapped[4096..12288].rotate_left(4096);
        std::fs::write(&path, swapped).expect("writes");
        assert!(is_wrong_sum(&sum(&path).expect_err("is refused")));
    }

    #[test]
    fn a_database_without_room_for_checksums_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.db");
        Connection::open(&path).expect("opens").execute_batch("CREATE TABLE t (x)").expect("makes");
        let refused = open(&path).query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
        assert!(is_wrong_sum(&refused.expect_err("is refused")));
        assert!(register(Some("no such layer")).is_err());
    }
}
