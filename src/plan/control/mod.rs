//! Services as an operator speaks of them: by name, in the order of the deployment, without a change of
//! what is desired.
//!
//! Never here: files, or what an inventory change means; that is a plan's.

pub mod act;
pub mod bring;
pub mod select;
pub mod status;
