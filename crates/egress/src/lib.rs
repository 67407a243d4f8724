//! The one door to the outside for everything that connects.
//!
//! Deny by default. A name is resolved once, every address it has is checked, and the connection goes to exactly
//! an address that was checked. Redirects are new connections and are checked like them. Every attempt, allowed
//! or refused, is reported to an [`Observer`]. Connections are not kept: a stale kept connection would turn a
//! write into "may have happened", and that costs more than a handshake.

pub mod address;
pub mod breaker;
mod connect;
mod door;
mod grant;
mod prepare;
mod report;
mod resolve;
mod tls;

pub use breaker::BreakerConfig;
pub use connect::Connection;
pub use door::{Door, DoorConfig, Enough, HttpAnswer, Limits, Reading, SendError, SetupError, Trip};
pub use grant::{AddressRule, Grant, HostRule, InvalidRule, Refusal};
pub use prepare::{Credentials, authorization_text};
pub use report::{ConnectionReport, Observer};
pub use resolve::{Resolver, SystemResolver};
