//! Files whose form is code because a value must be quoted: one noun a file, by name.
//!
//! A document is a function of the context alone, like everything a module says. Never in this
//! room: decisions about Synapse (the topology has made them), values of secrets.

mod config_yaml;
mod file_sd;
mod log_yaml;
mod pgpass;
mod redis_conf;
mod worker_yaml;

use serde_json::Value;

use super::interpolate::{Problem, Scope};
use crate::resource::Content;

const NAMES: [&str; 6] = ["config_yaml", "file_sd", "log_yaml", "pgpass", "redis_conf", "worker_yaml"];

/// The document called `name`.
pub(super) fn document(name: &str, scope: Scope<'_>) -> Result<Content, Problem> {
    match name {
        "config_yaml" => config_yaml::content(scope),
        "file_sd" => file_sd::content(scope),
        "log_yaml" => log_yaml::content(scope),
        "pgpass" => pgpass::content(scope),
        "redis_conf" => redis_conf::content(scope),
        "worker_yaml" => worker_yaml::content(scope),
        _ => Err(Problem {
            help: Some(format!("documents are: {}", NAMES.join(", "))),
            ..Problem::new(format!("there is no document {name:?}"))
        }),
    }
}

/// A text of the context.
fn text<'a>(scope: Scope<'a>, name: &str) -> Result<&'a str, Problem> {
    scope.lookup(name)?.as_str().ok_or_else(|| Problem::new(format!("{name} is no text")))
}

/// A text of the context that goes into a file line by line: no control characters.
fn line<'a>(scope: Scope<'a>, name: &str) -> Result<&'a str, Problem> {
    let text = text(scope, name)?;
    if text.chars().any(char::is_control) {
        return Err(Problem::new(format!("{name} holds a control character")));
    }
    Ok(text)
}

/// Texts of the context.
fn texts<'a>(scope: Scope<'a>, name: &str) -> Result<Vec<&'a str>, Problem> {
    let items = scope.lookup(name)?.as_array();
    let texts = items.and_then(|items| items.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
    texts.ok_or_else(|| Problem::new(format!("{name} is no list of texts")))
}
