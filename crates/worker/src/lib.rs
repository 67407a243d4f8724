//! The back door: claim due work and perform its effects through connectors.

pub mod connect;
