//! Damage on the disk: bits, bytes, sectors and pages of a real data directory, one at a time.
//!
//! Whatever is damaged, the store says so, or answers exactly what it answered before. Never anything else.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::id::{ApprovalId, DeadLetterId, TokenId};
use model::{ExecutionId, TenantId};
use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use store::{Options, SqliteStore, verify_directory};

use crate::dice::Dice;
use crate::power::memory;
use crate::reading::{Answered, Known, everything};
use crate::workload::Still;

/// Wrong answers that are told in full.
const TOLD_MAX: usize = 10;
/// Size of a page of the database, and of a frame's head in its log.
const PAGE: usize = 4096;

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Damages made, by what was damaged and how.
    pub damages: BTreeMap<String, usize>,
    /// Answers that each damaged directory was asked for.
    pub questions: usize,
    /// The store did not open.
    pub refused: usize,
    /// It opened, and at least one answer was an error; all others were right.
    pub answered_with_errors: usize,
    /// Every answer was right, and the check of the audit log found the damage.
    pub found_by_verify: usize,
    /// Every answer was right, and nothing found anything: what was damaged is never read.
    pub harmless: usize,
    /// An answer was another one, and no error.
    pub wrong: usize,
    /// The first few of these.
    pub told: Vec<String>,
}

impl Figures {
    /// Damages in all.
    pub fn total(&self) -> usize {
        self.damages.values().sum()
    }
}

/// Damages copies of a data directory, which must not be in use, on two threads.
///
/// # Errors
/// When the undamaged directory cannot be read, or a copy cannot be made.
pub fn run(data: &Path, flips: usize, seed: u64) -> Result<Figures, Failed> {
    let scratch = tempfile::Builder::new().prefix("bit-flips").tempdir_in(memory())?;
    let original = read_tree(data)?;
    let whole = scratch.path().join("whole");
    write_tree(&original, &whole)?;
    let known = discover(&whole)?;
    write_tree(&original, &whole)?;
    let expected = ask(&whole, &known)?.map_err(|what| format!("the undamaged directory: {what}"))?;
    if let Some((question, answer)) = expected.iter().find(|(_, answer)| answer.is_err()) {
        return Err(format!("the undamaged directory does not answer {question}: {answer:?}").into());
    }
    let figures = Mutex::new(Figures { questions: expected.len(), ..Figures::default() });
    let next = AtomicUsize::new(0);
    let errors = Mutex::new(None);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (original, known, expected, figures, next, errors) =
                (&original, &known, &expected, &figures, &next, &errors);
            let to = scratch.path().join(format!("damaged-{thread}"));
            scope.spawn(move || {
                while let number @ 0.. = next.fetch_add(1, Ordering::Relaxed)
                    && number < flips
                {
                    let tried = one(original, (seed, number), &to, (known, expected), figures);
                    if let Err(error) = tried {
                        *errors.lock() = Some(error);
                        return;
                    }
                }
            });
        }
    });
    match errors.into_inner() {
        Some(error) => Err(error),
        None => Ok(figures.into_inner()),
    }
}

type Tree = BTreeMap<PathBuf, Vec<u8>>;

fn one(
    original: &Tree,
    (seed, number): (u64, usize),
    to: &Path,
    (known, expected): (&Known, &[Answered]),
    figures: &Mutex<Figures>,
) -> Result<(), Failed> {
    let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    let (name, bytes, what) = damage(original, &mut dice);
    write_tree(original, to)?;
    std::fs::write(to.join(&name), bytes)?;
    let verified = verify_directory(to, None).is_ok_and(|report| report.first_bad.is_none());
    let answers = ask(to, known)?;
    let mut figures = figures.lock();
    *figures.damages.entry(what.clone()).or_default() += 1;
    let Ok(answers) = answers else {
        figures.refused += 1;
        return Ok(());
    };
    let wrong = expected.iter().zip(&answers).find(|(wanted, got)| got.1.is_ok() && wanted != got);
    if let Some((wanted, got)) = wrong {
        figures.wrong += 1;
        if figures.told.len() < TOLD_MAX {
            let short = |answer: &Answered| format!("{:?}", answer.1).chars().take(300).collect::<String>();
            let told = format!(
                "seed {seed} flip {number}: {what} of `{}`: {} was {}, is {}",
                name.display(),
                wanted.0,
                short(wanted),
                short(got)
            );
            figures.told.push(told);
        }
    } else if answers.len() != expected.len() || answers.iter().any(|(_, answer)| answer.is_err()) {
        figures.answered_with_errors += 1;
    } else if !verified {
        figures.found_by_verify += 1;
    } else {
        figures.harmless += 1;
    }
    Ok(())
}

/// Opens a directory and asks it everything; the inner error says that it does not open.
fn ask(directory: &Path, known: &Known) -> Result<Result<Vec<Answered>, String>, Failed> {
    let options = Options { inline: true, ..Options::default() };
    let store = match SqliteStore::open_with(directory, Arc::new(Still), options) {
        Ok(store) => store,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(Ok(runtime.block_on(everything(&*store, known))))
}

/// A file, its damaged bytes, and what was done to it.
fn damage(original: &Tree, dice: &mut Dice) -> (PathBuf, Vec<u8>, String) {
    loop {
        let (sort, ending) = match dice.below(10) {
            0..5 => ("database", "omnihub.db"),
            5..8 => ("log", "omnihub.db-wal"),
            _ => ("blob", ""),
        };
        let fits = |path: &&PathBuf| {
            if sort == "blob" { path.starts_with("blobs") } else { path.as_path() == Path::new(ending) }
        };
        let files: Vec<&PathBuf> =
            original.keys().filter(fits).filter(|path| !original[*path].is_empty()).collect();
        if files.is_empty() {
            continue;
        }
        let name = files[dice.index(files.len())];
        let mut bytes = original[name].clone();
        let at = dice.index(bytes.len());
        let fill = |bytes: &mut Vec<u8>, unit: usize| {
            let start = at / unit * unit;
            let end = (start + unit).min(bytes.len());
            bytes[start..end].fill(0);
        };
        let how = match dice.below(10) {
            0..6 => {
                bytes[at] ^= 1 << dice.below(8);
                "bit flipped"
            }
            6 => {
                bytes[at] = 0;
                "byte zeroed"
            }
            7 => {
                fill(&mut bytes, 512);
                "sector zeroed"
            }
            8 => {
                fill(&mut bytes, PAGE);
                "page zeroed"
            }
            _ => {
                let count = bytes.len() / PAGE;
                let (from, into) = (dice.index(count) * PAGE, dice.index(count) * PAGE);
                if count > 0 {
                    bytes.copy_within(from..from + PAGE, into);
                }
                "page of another place"
            }
        };
        if bytes != original[name] {
            return (name.clone(), bytes, format!("{sort}: {how}"));
        }
    }
}

fn read_tree(root: &Path) -> Result<Tree, io::Error> {
    let mut tree = Tree::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if let Ok(inside) = path.strip_prefix(root) {
                tree.insert(inside.to_path_buf(), std::fs::read(&path)?);
            }
        }
    }
    Ok(tree)
}

fn write_tree(tree: &Tree, to: &Path) -> Result<(), io::Error> {
    match std::fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    for (inside, bytes) in tree {
        let path = to.join(inside);
        std::fs::create_dir_all(path.parent().unwrap_or(to))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// Everything that a directory holds, from its tables and files.
fn discover(directory: &Path) -> Result<Known, Failed> {
    let db = Connection::open_with_flags_and_vfs(
        directory.join("omnihub.db"),
        OpenFlags::default(),
        pages::register(None)?,
    )?;
    let rows = |sql: &str| -> Result<Vec<Vec<String>>, Failed> {
        let mut select = db.prepare(sql)?;
        let columns = select.column_count();
        let rows = select.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let mut known = Known::default();
    for row in rows("SELECT id FROM tenants")? {
        known.tenants.insert(TenantId::new(&row[0])?);
    }
    for row in rows("SELECT tenants.id, executions.id FROM executions JOIN tenants ON tenants.key = tenant")?
    {
        known.executions.insert((TenantId::new(&row[0])?, ExecutionId::new(&row[1])?));
    }
    for row in rows("SELECT tenant, kind, key FROM documents")? {
        known.documents.insert((TenantId::new(&row[0])?, row[1].clone(), row[2].clone()));
    }
    for row in rows("SELECT tenant, id FROM approvals")? {
        known.approvals.insert((TenantId::new(&row[0])?, ApprovalId::new(&row[1])?));
    }
    for row in rows("SELECT tenant, id FROM dead_letters")? {
        known.letters.insert((TenantId::new(&row[0])?, DeadLetterId::new(&row[1])?));
    }
    for row in rows("SELECT id FROM tokens")? {
        known.tokens.insert(TokenId::new(&row[0])?);
    }
    for row in rows("SELECT tenant, key FROM answers")? {
        known.answers.insert((TenantId::new(&row[0])?, row[1].clone()));
    }
    for row in rows("SELECT tenant, name FROM secrets")? {
        known.secrets.insert((TenantId::new(&row[0])?, row[1].clone()));
    }
    for path in read_tree(directory)?.into_keys().filter(|path| path.starts_with("blobs")) {
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let [_, tenant, _, name] = parts.as_slice() else { continue };
        let mut digest = [0; 32];
        if hex::decode_to_slice(name, &mut digest).is_ok() {
            known.blobs.insert((TenantId::new(tenant.trim_start_matches("t-"))?, digest));
        }
    }
    Ok(known)
}
