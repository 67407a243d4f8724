//! The real server as a process, used through its API like its users do.

mod acts;
mod api;
mod approvals;
mod attacks;
mod audit_log;
mod controls;
mod crashes;
mod flips;
mod goals;
mod late;
mod limits;
mod long;
mod outside;
mod permits;
mod plans;
mod policies;
mod provenance;
mod sagas;
mod security;
mod shop;
mod signals;
mod soak;
mod stop;
mod stranger;
mod time_machine;
mod verify;
