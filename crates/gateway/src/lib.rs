//! The front doors: the HTTP API and the operations console. Translates, never decides.
//!
//! [`serve`] accepts connections for [`http::router`] (API and console) or [`http::admin_router`] (metrics and
//! health); what is asked is answered by [`app::App`]. Limits are in [`Settings`].

pub mod console;
pub mod http;
mod server;
mod settings;
mod state;

pub use http::openapi::openapi;
pub use http::{admin_router, router};
pub use server::{ServeError, serve};
pub use settings::Settings;
pub use state::State;
