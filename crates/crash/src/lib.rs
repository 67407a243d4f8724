//! Named places at which a build for tests ends as if the power went: `std::process::abort`, without a goodbye.
//!
//! Without the feature `points` nothing of this is in the program: [`at`] is empty, and [`arm`] refuses.

/// A place in the program, between two things that a crash must not tear apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A step of the schema is applied, and its transaction is open.
    Migration,
    /// A step of the schema is durable; the next one is not begun.
    Migrated,
    /// The lease is durable, and its holder does not know yet.
    LeaseTaken,
    /// A file beside the database is written and synchronized beside its place.
    FileWritten,
    /// A file beside the database has its name; the name is not durable yet.
    FileRenamed,
    /// The newest tree head is about to be written outside the database.
    HeadFile,
    /// The first administrator's token is in its file, and the store does not know it.
    FirstToken,
    /// Every row of a group is written, and nothing of it is committed.
    BeforeCommit,
    /// A group is durable, and nobody was told.
    AfterCommit,
    /// A snapshot is written inside a transaction that is open.
    SnapshotPut,
    /// The write-ahead log is about to be folded into the database.
    BeforeFold,
    /// The write-ahead log is folded into the database.
    AfterFold,
    /// A step is acknowledged, and neither memory nor workers know.
    StepAcknowledged,
    /// A step of an execution that takes back what it did is about to be committed.
    UndoStep,
    /// A step of an execution that takes back what it did is acknowledged.
    UndoStepped,
    /// A permit is durable, and a worker took it.
    BeforeSend,
    /// The attempt is on the wire by name; no byte of it has left.
    Departed,
    /// The outside has answered; nothing of the answer is read.
    Sent,
    /// The answer is read, and not reported.
    BeforeReport,
    /// The answer is durable.
    Reported,
    /// An execution that was under way when the last process ended is about to be put back to work.
    BeforeRecovery,
    /// An execution that was under way when the last process ended is back at work.
    AfterRecovery,
    /// Told to stop; requests under way may still end.
    StopAsked,
    /// Front doors and workers are closed; the store is open.
    BeforeClose,
    /// The store's writer has nothing more to do, and the newest head is not outside yet.
    WriterEnds,
}

impl Point {
    /// Every point, in the order of a process's life.
    pub const ALL: [Self; 25] = [
        Self::Migration,
        Self::Migrated,
        Self::LeaseTaken,
        Self::FileWritten,
        Self::FileRenamed,
        Self::HeadFile,
        Self::FirstToken,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::SnapshotPut,
        Self::BeforeFold,
        Self::AfterFold,
        Self::StepAcknowledged,
        Self::UndoStep,
        Self::UndoStepped,
        Self::BeforeSend,
        Self::Departed,
        Self::Sent,
        Self::BeforeReport,
        Self::Reported,
        Self::BeforeRecovery,
        Self::AfterRecovery,
        Self::StopAsked,
        Self::BeforeClose,
        Self::WriterEnds,
    ];

    /// Its name in `OMNIHUB_CRASH_AT`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Migration => "migration",
            Self::Migrated => "migrated",
            Self::LeaseTaken => "lease-taken",
            Self::FileWritten => "file-written",
            Self::FileRenamed => "file-renamed",
            Self::HeadFile => "head-file",
            Self::FirstToken => "first-token",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::SnapshotPut => "snapshot-put",
            Self::BeforeFold => "before-fold",
            Self::AfterFold => "after-fold",
            Self::StepAcknowledged => "step-acknowledged",
            Self::UndoStep => "undo-step",
            Self::UndoStepped => "undo-stepped",
            Self::BeforeSend => "before-send",
            Self::Departed => "departed",
            Self::Sent => "sent",
            Self::BeforeReport => "before-report",
            Self::Reported => "reported",
            Self::BeforeRecovery => "before-recovery",
            Self::AfterRecovery => "after-recovery",
            Self::StopAsked => "stop-asked",
            Self::BeforeClose => "before-close",
            Self::WriterEnds => "writer-ends",
        }
    }
}

/// A crash that was asked for: the `count`-th time that the process comes by the point, 1 for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub point: Point,
    /// The how-manieth time.
    pub count: u32,
}

impl Plan {
    /// Reads `<point>` or `<point>:<count>`; none when it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, count) = match text.split_once(':') {
            Some((name, count)) => (name, count.parse().ok().filter(|count| *count > 0)?),
            None => (text, 1),
        };
        let point = Point::ALL.into_iter().find(|point| point.name() == name)?;
        Some(Self { point, count })
    }
}

/// True in a program that can crash on purpose.
pub const BUILT_IN: bool = cfg!(feature = "points");

/// This program was built without crash points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBuiltIn;

#[cfg(feature = "points")]
mod armed {
    //! The plan of this process: one number says where, one counts down.

    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{NotBuiltIn, Plan, Point};

    /// The point's number, counted from 1; 0 for none.
    static POINT: AtomicU32 = AtomicU32::new(0);
    /// How often it is still passed by, with the crash itself.
    static LEFT: AtomicU32 = AtomicU32::new(0);

    pub fn arm(plan: Plan) -> Result<(), NotBuiltIn> {
        LEFT.store(plan.count, Ordering::SeqCst);
        POINT.store(plan.point as u32 + 1, Ordering::SeqCst);
        Ok(())
    }

    pub fn at(point: Point) {
        if POINT.load(Ordering::SeqCst) != point as u32 + 1 {
            return;
        }
        // Below zero it goes on from the top, and whoever comes second never sees 1.
        if LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
            eprintln!("omnihub: crash point `{}`", point.name());
            std::process::abort();
        }
    }
}

#[cfg(not(feature = "points"))]
mod armed {
    //! Nothing: what is shipped has no crash points.

    use super::{NotBuiltIn, Plan, Point};

    pub const fn arm(_: Plan) -> Result<(), NotBuiltIn> {
        Err(NotBuiltIn)
    }

    #[inline(always)]
    pub const fn at(_: Point) {}
}

/// Lets this process crash as planned; an error in a program without crash points.
pub fn arm(plan: Plan) -> Result<(), NotBuiltIn> {
    armed::arm(plan)
}

/// A place at which the process ends when it was told to.
#[inline(always)]
pub fn at(point: Point) {
    armed::at(point);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_by_name_and_count() {
        assert_eq!(Plan::parse("sent"), Some(Plan { point: Point::Sent, count: 1 }));
        assert_eq!(Plan::parse("before-commit:12"), Some(Plan { point: Point::BeforeCommit, count: 12 }));
        for wrong in ["", "sent:", "sent:0", "sent:-1", "sent:x", "sent:1:1", "Sent", "sent "] {
            assert_eq!(Plan::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_point_has_a_name_of_its_own() {
        for (number, point) in Point::ALL.into_iter().enumerate() {
            assert_eq!(point as usize, number, "`ALL` is in order and whole");
            assert_eq!(Plan::parse(point.name()).map(|plan| plan.point), Some(point));
        }
    }
}
