//! Facts: one script out, the actual state of a host in. One login, one exec a host.
//!
//! Never in this room: what is desired beyond what must be asked, decisions, changes to a host.

pub mod conversation;
pub mod gather;
pub mod generation;
pub mod host;
pub mod journal;
pub mod loader;
pub mod packed;
pub mod privilege;
pub mod record;
pub mod reply;
pub mod request;
pub mod running;
pub mod watched;

pub use conversation::{HostError, HostErrorKind};
pub use gather::{Asked, Connection, gather};
pub use host::HostFacts;
pub use privilege::Privilege;
pub use record::Record;
pub use request::Port;
pub use watched::Watched;
