//! What people and programs get to see: text and JSON from data. The only room that knows colours.
//!
//! Never in this room: decisions about what to do, files, hosts.

pub mod control;
pub mod diagnostic;
pub mod drift;
pub mod firewall;
pub mod graph;
pub mod history;
pub mod html;
pub mod incomplete;
pub mod logs;
pub mod paint;
pub mod plan;
pub mod rehearsal;
pub mod report;
pub mod route;
pub mod status;
pub mod time;
pub mod topology;
pub mod why;

mod mask;
