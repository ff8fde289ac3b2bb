//! What an answer lacks because hosts could not be asked.

use serde_json::Value;

use crate::facts::HostError;
use crate::facts::conversation::clean;

/// A sentence with a blank before it; nothing if all hosts answered.
pub fn incomplete(unasked: usize) -> String {
    match unasked {
        0 => String::new(),
        1 => " 1 host could not be asked: this answer is incomplete.".to_owned(),
        n => format!(" {n} hosts could not be asked: this answer is incomplete."),
    }
}

/// These hosts and why, for documents.
pub fn unreachable(errors: &[(String, HostError)]) -> Value {
    let one = |(host, error): &(String, HostError)| serde_json::json!({"host": host, "summary": clean(&error.summary)});
    errors.iter().map(one).collect()
}
