//! The API from outside: a real listener, a real application on a scratch directory, requests over TCP.

mod access;
mod admin;
mod audit;
mod bodies;
mod limits;
mod paths;
mod streams;
mod support;
