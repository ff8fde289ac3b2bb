//! What a drift run found: a report that fits into a mail, JSON, and metrics for Prometheus.

mod json;
mod prometheus;
mod text;

pub use json::json;
pub use prometheus::{merged, prometheus};
pub use text::{Scope, text};
pub(in crate::render) use text::{summary, telling};

use crate::facts::HostError;
use crate::plan::drift::{Class, Drift};

/// Everything there is to tell of one run.
#[derive(Debug)]
pub struct Report<'a> {
    /// Name of the deployment.
    pub server_name: &'a str,
    /// What was found on the hosts that answered.
    pub drift: &'a Drift,
    /// Hosts that did not answer, in inventory order.
    pub errors: &'a [(String, HostError)],
    /// When the run began, microseconds since the epoch.
    pub began: i64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Exit status of the run.
    pub exit: u8,
}

impl Report<'_> {
    pub(in crate::render) fn count(&self, class: Class) -> usize {
        self.drift.of(class).count()
    }
}
