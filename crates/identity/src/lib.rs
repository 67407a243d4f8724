//! Who is calling: API tokens. Protocols, no routes.

pub mod token;

pub use token::{Token, TokenDocument};
