//! What puts a host right whatever a scenario left, so that one failure is one failure.

/// Arguments of the apply that may do all that an apply ever asks about.
pub const HEAL: [&str; 7] =
    ["apply", "--yes", "--adopt", "--allow-deletes", "--allow-datastore-restart", "--diff", "none"];
