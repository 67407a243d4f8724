//! A document as written: a tree of positioned nodes, and the closed shape that every key of it must have.

pub(crate) mod node;
pub(crate) mod reader;
pub(crate) mod report;
pub(crate) mod shape;
pub(crate) mod shape_action;
pub(crate) mod shape_parts;
pub(crate) mod shape_task;
pub(crate) mod shape_workflow;
pub(crate) mod source;
