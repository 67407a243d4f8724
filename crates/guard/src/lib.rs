//! Judgement, pure: input to verdict.
//!
//! - [`filter`]: is this text or input fit to enter at all?
//! - [`intent`]: which workflow does a sentence ask for, with which input?
//! - [`provenance`]: where the arguments came from, as policies see it.
//! - [`risk`]: how much could go wrong, and why.
//! - [`policy`]: what the Rego bundles in force decide.
//! - [`pii`]: personal data and secrets out of what is kept or shown.
//!
//! Nothing here reads a clock, a file, the environment, a socket or a random number.

pub mod filter;
pub mod intent;
pub mod pii;
pub mod policy;
pub mod provenance;
pub mod risk;
