//! The report as one JSON document; `schema/drift.schema.json` says what is in it.

use serde_json::{Value, json};

use super::Report;
use crate::facts::conversation::clean;
use crate::plan::drift::{Class, Finding};
use crate::render::time::second;

/// Version of this layout: grows when a reader of the older one would misread it.
const FORMAT_VERSION: u32 = 1;

/// The document, with its newline.
pub fn json(report: &Report<'_>) -> String {
    let mut hosts: Vec<Value> = Vec::new();
    for name in &report.drift.hosts {
        #[allow(clippy::cast_precision_loss, reason = "microseconds within a life are exact")]
        let skew = report.drift.skew.get(name).copied().unwrap_or(0) as f64 / 1e6;
        hosts.push(json!({"name": name, "reachable": true, "clock_skew_seconds": skew, "error": null}));
    }
    for (name, error) in report.errors {
        let error = json!({"summary": clean(&error.summary), "help": error.help});
        hosts.push(json!({"name": name, "reachable": false, "clock_skew_seconds": null, "error": error}));
    }
    let document = json!({
        "format_version": FORMAT_VERSION,
        "synprov": env!("CARGO_PKG_VERSION"),
        "server_name": report.server_name,
        "began": second(report.began),
        "seconds": report.seconds,
        "exit": report.exit,
        "complete": report.errors.is_empty(),
        "summary": {
            "drift": report.count(Class::Drift),
            "pending": report.count(Class::Pending),
            "information": report.count(Class::Information),
            "unreachable": report.errors.len(),
        },
        "hosts": hosts,
        "findings": report.drift.findings.iter().map(finding).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn finding(finding: &Finding) -> Value {
    let mut value = serde_json::to_value(finding).unwrap_or_default();
    value["since"] = finding.since.map(second).into();
    value
}
