//! The back door: takes permitted work, performs it through connectors, reports what came of it.
//!
//! A permit is checked once more at the last moment. Effects of one execution come one after the other; effects of
//! many executions run at once, up to a limit.

pub mod authenticate;
pub mod connect;
mod fetch;
mod ledger;
mod pool;
mod proto;

pub use pool::{Pool, PoolConfig};
