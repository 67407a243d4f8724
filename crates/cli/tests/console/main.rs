//! The operations console as people use it: in Debian's Chromium, by mouse and by keyboard, against the real server.

mod acts;
mod decide;
mod house;
mod look;
mod read;
#[path = "../server/shop.rs"]
mod shop;
mod window;
