//! What happened in one simulated world, in order: a hash of everything, the last lines for people, and marks.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use parking_lot::Mutex;

/// Lines that are kept for people.
const LINES_MAX: usize = 4000;

/// What happened, in order.
#[derive(Debug)]
pub struct Trace {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    hash: u64,
    count: u64,
    /// None when nobody is going to read them.
    lines: Option<VecDeque<String>>,
    text: String,
    marks: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// An empty trace; lines are kept only when somebody is going to read them.
    pub fn new(keep: bool) -> Self {
        let lines = keep.then(VecDeque::new);
        let inner = Inner {
            hash: 0xcbf2_9ce4_8422_2325,
            count: 0,
            lines,
            text: String::new(),
            marks: BTreeMap::new(),
            faults: BTreeMap::new(),
        };
        Self { inner: Mutex::new(inner) }
    }

    /// Notes what happened at a simulated time, and answers its number in the order of everything.
    pub fn note(&self, at: u64, what: std::fmt::Arguments<'_>) -> u64 {
        let mut inner = self.inner.lock();
        let mut text = std::mem::take(&mut inner.text);
        text.clear();
        // Writing to a string cannot fail.
        let _ = write!(text, "{at} {what}");
        inner.hash = text
            .bytes()
            .fold(inner.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        inner.count += 1;
        let count = inner.count;
        if let Some(lines) = &mut inner.lines {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(format!("{count:>6} {text}"));
        }
        inner.text = text;
        count
    }

    /// Counts that something worth reaching was reached.
    pub fn reached(&self, mark: &'static str) {
        *self.inner.lock().marks.entry(mark).or_default() += 1;
    }

    /// Counts an injected fault.
    pub fn fault(&self, fault: &'static str) {
        *self.inner.lock().faults.entry(fault).or_default() += 1;
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.inner.lock().hash
    }

    /// The number of the last note.
    pub fn count(&self) -> u64 {
        self.inner.lock().count
    }

    /// The last lines, oldest first; none unless they were kept.
    pub fn lines(&self) -> Vec<String> {
        self.inner.lock().lines.iter().flatten().cloned().collect()
    }

    /// How often each mark was reached.
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.inner.lock().marks.clone()
    }

    /// How often each fault was injected.
    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        self.inner.lock().faults.clone()
    }
}

/// Notes something in a world's trace.
#[macro_export]
macro_rules! note {
    ($world:expr, $($text:tt)*) => {
        $world.trace.note($world.clock.elapsed_ms(), format_args!($($text)*))
    };
}

/// Counts that something worth reaching was reached. The name must be one of [`crate::marks::ALL`].
#[macro_export]
macro_rules! reached {
    ($world:expr, $mark:expr) => {
        $world.trace.reached($mark)
    };
}

/// Counts that something worth reaching was found by the checker.
#[macro_export]
macro_rules! reached_in {
    ($look:expr, $mark:expr) => {
        $look.trace.reached($mark)
    };
}
