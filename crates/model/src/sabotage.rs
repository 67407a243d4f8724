//! Seeded bugs: each one a mistake that somebody could make, switched on by name in a build that is never shipped.
//!
//! They exist to prove the simulator: what keeps a promise has a switch beside it that breaks it, and the simulator has
//! to notice. Without the feature `sabotage` [`is`] is the constant `false`, and the compiler drops the switch with what
//! is behind it. [Decision 0026](../../../docs/decisions/0026-seeded-bugs.md) says why they live in the code itself.

/// True in a build that has the seeded bugs in it.
pub const BUILT_IN: bool = cfg!(feature = "sabotage");

/// Whether this bug is switched on. The constant `false` in every build that is shipped.
#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(not(feature = "sabotage"))]
const _: () = assert!(!is(Bug::AckEarly), "a plain build knows at compile time that no bug is on");

#[cfg(feature = "sabotage")]
mod chosen {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// The bug that is on, counted from 1; 0 for none. Only the prober sets it.
    static CHOSEN: AtomicU8 = AtomicU8::new(0);

    /// Whether this bug is switched on.
    #[inline]
    pub fn is(bug: Bug) -> bool {
        CHOSEN.load(Ordering::Relaxed) == bug as u8 + 1
    }

    /// Switches one bug on in the whole process, and every other off.
    pub fn choose(bug: Option<Bug>) {
        CHOSEN.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
    }
}

#[cfg(feature = "sabotage")]
pub use chosen::{choose, is};

/// One list for the variants, their order and what is said of them.
macro_rules! bugs {
    ($($area:literal { $($bug:ident: $what:literal, $promise:literal;)* })*) => {
        /// A seeded bug: what it does wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum Bug {
            $($(
                #[doc = $what]
                $bug,
            )*)*
        }

        impl Bug {
            /// Every bug there is.
            pub const ALL: &'static [Self] = &[$($(Self::$bug,)*)*];

            /// Its name, as the code has it.
            pub fn name(self) -> &'static str {
                match self { $($(Self::$bug => stringify!($bug),)*)* }
            }

            /// What part of the promises it is about.
            pub fn area(self) -> &'static str {
                match self { $($(Self::$bug => $area,)*)* }
            }

            /// What it does wrong.
            pub fn what(self) -> &'static str {
                match self { $($(Self::$bug => $what,)*)* }
            }

            /// The promise that it breaks.
            pub fn promise(self) -> &'static str {
                match self { $($(Self::$bug => $promise,)*)* }
            }
        }
    };
}

bugs! {
    "commit" {
        AckEarly: "a step is acknowledged before its batch is written", "nothing is acknowledged before it is durable";
        AckFailure: "a commit that failed is taken for one that did not", "nothing is acknowledged before it is durable";
        DispatchFirst: "workers get their work before the step is committed", "no effect without a durable start";
        KeepAhead: "after a failed commit the state in memory stays", "the store is the truth, memory is a hint";
        SkipSync: "the database does not synchronize its log", "what was acknowledged survives a power loss";
        BlobUnsynced: "a blob is not synchronized before it takes its name", "what was acknowledged survives a power loss";
        HeadApart: "the tree head is written in another transaction than its leaves", "state, leaves and head are one transaction";
    }
    "work and time" {
        WorkLost: "a step's first effect is not put in line while workers are busy", "every permitted effect is performed";
        RoomForgotten: "whoever finds no room is not remembered when others wait already", "nobody waits for ever";
        TimerLost: "the time keeper stops for good when what is due cannot be read", "a timer fires whatever happens";
        TimerEarly: "a wait counts from the start of the execution", "a timer never fires early";
        AnswerDropped: "an answer is thrown away when the store does not take it at once", "every answer is recorded";
        PermitLost: "a permit is not taken back when its commit failed and is durable", "an effect that was never sent is started again";
        GiveBackLost: "a permit that is void at the last look is not given back", "an effect that was never sent is started again";
        HeldForgotten: "nobody is woken when a control is turned off", "what a control held goes on when it is off";
    }
    "permits" {
        ApprovalById: "an approval is used for whatever the effect has become", "an approval is for one digest";
        ApprovalOutlived: "an approval may be used after it ran out", "an approval ends in time";
        LateYes: "a decision after the deadline counts until the timer has come", "silence means no";
        SelfApproval: "requesters may decide what they asked for", "nobody approves their own request";
        EditorApproves: "whoever edited the arguments may approve them", "an edit is decided by somebody else";
        VoteTwice: "one person's second voice counts", "a quorum is of different people";
        QuorumOne: "one voice is enough, whatever the quorum says", "a quorum is of as many as policy asks for";
        WordUnread: "the digest that an approver names is not compared", "people approve what they saw";
        RoleLost: "an approval counts after its approver lost the right to give it", "an approval is judged again when it is used";
        PermitReused: "the next attempt goes by the permit of the one before", "a permit is consumed once";
        OldEpoch: "a permit from before a change of the controls is still good", "permits of an older epoch are void";
        PolicyKept: "a permit from before a change of policy is still good", "an effect starts under the policy in force";
    }
    "controls" {
        KillCached: "the last look does not look at the controls", "nothing starts after a kill was acknowledged";
        KillForgotten: "the kill switch is not stored", "a stop survives a restart";
        KillAfterAck: "the kill switch is in force only some time after it was acknowledged", "nothing starts after a kill was acknowledged";
        SafeModeOnce: "safe mode holds for first attempts only", "in safe mode nothing changes outside";
        AllowTooWide: "an entry of the allow-list allows every operation that begins like it", "only listed operations start";
        TakeoverOnce: "takeover does not concern what was judged before", "in a takeover every effect waits for a person";
    }
    "keys" {
        KeyUnguarded: "two goals with one key at the same time are two executions", "one key, one execution";
        KeyApart: "the answer to a key is stored after its execution", "one key, one execution";
        KeyPerAttempt: "each attempt has a key of its own", "the key of an effect is the same in every attempt";
        KeyPerTask: "all rounds of a loop have one key", "different effects have different keys";
    }
    "audit log" {
        LeafOnErrorSkipped: "an answer that is an error has no leaf", "every effect, decision and act has a leaf";
        LeafSwapped: "the leaves of one step stand in the wrong order", "the log tells things in their order";
        LeafApart: "the leaves of a step are a commit of their own", "state and leaves are one transaction";
        LeafForeign: "what OmniHub does in an execution is told in the platform's log", "a tenant's log is whole";
    }
    "effect classes" {
        RetryIrreversible: "an irreversible effect is sent again when its answer was lost", "an irreversible effect is never blindly retried";
        RedriveBlind: "redriving repeats what may have happened and cannot be asked", "an irreversible effect is never blindly retried";
        ProbeSkipped: "a probeable effect is sent again without asking", "what may have happened is asked first";
        ProbeOnce: "one no of a probe is enough", "the outside is asked for the whole window";
        LostIsFailed: "an effect whose answer was lost is settled as failed", "failed means that it did not happen";
        LieBelieved: "a yes is verified without the contract's check", "verified means that it was seen";
        AnsweredIsVerified: "a yes is verified when the contract names no check", "verified means that it was seen";
    }
    "sagas" {
        ArmedLate: "an effect is armed when it answers, not before it is sent", "what may have happened is undone";
        UndoOldestFirst: "the stack is undone from its bottom", "undoing is newest first";
        UndoUnknownSkipped: "an effect of unknown outcome is taken off the stack", "what may have happened is undone";
        UndoFailedIsDone: "an undo that is refused counts as done", "an undo that fails is parked";
        UndoOvertakes: "an undo is sent while its effect is still on the wire", "an undo never overtakes its effect";
    }
    "recovery" {
        RecoverySkipsPaused: "a start does not look at paused executions", "recovery finds everything that was under way";
        RecoveryGivesUp: "what could not be read at a start is not tried again", "recovery finds everything that was under way";
        RecoveryResends: "a start sends what was under way once more", "an attempt is sent once";
        SnapshotForgets: "a snapshot forgets that an answer was lost", "a snapshot is the state";
        SnapshotSkips: "the first event after a snapshot is not applied", "a snapshot and the events since are the state";
    }
    "tenants and provenance" {
        TenantForgotten: "a tenant's list shows the platform's executions", "no tenant sees another's";
        PolicyOfNeighbour: "a tenant is judged by the policies that were read last", "a tenant is judged by its own policies";
        LabelLost: "an answer from outside is labelled as written in the definition", "labels travel with values";
    }
}
