//! The API under attack.
