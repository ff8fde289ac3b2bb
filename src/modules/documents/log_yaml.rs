//! `conf/log/NAME.yaml`: how one process logs, to standard error and so to the journal, or to a file
//! of its own.
//!
//! The line has the logger's name first, because requests are told apart by it
//! (`synapse.access.http.PORT`). The journal has time and process; a file gets the time. Each process
//! rotates its own file at midnight: several processes that rotate one file lose lines (Synapse,
//! `docs/workers.md` and issue matrix-org/synapse#12466).

use serde_json::{Map, Value, json};

use crate::modules::documents::line;
use crate::modules::interpolate::{Problem, Scope};
use crate::resource::Content;

const LINE: &str = "%(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s";

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    // At DEBUG this logger writes access tokens; it stays at INFO when somebody lowers the root.
    let mut loggers = Map::from_iter([("synapse.storage.SQL".to_owned(), json!({"level": "INFO"}))]);
    let levels = scope.lookup("item.logging.loggers")?.as_object();
    for (name, level) in levels.ok_or_else(|| Problem::new("item.logging.loggers is no mapping"))? {
        loggers.insert(name.clone(), json!({"level": level}));
    }
    let (format, handler) = match scope.lookup("item.logging.directory")? {
        Value::String(directory) => ("file", file(scope, directory)?),
        _ => (
            "journal",
            json!({"class": "logging.StreamHandler", "formatter": "journal", "stream": "ext://sys.stderr"}),
        ),
    };
    let text = if format == "file" { format!("%(asctime)s - {LINE}") } else { LINE.to_owned() };
    let name = if format == "file" { "file" } else { "console" };
    Ok(crate::yaml::emit(&json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": {format: {"format": text}},
        "handlers": {name: handler},
        "loggers": loggers,
        "root": {"level": line(scope, "item.logging.level")?, "handlers": [name]},
    })))
}

fn file(scope: Scope<'_>, directory: &str) -> Result<Value, Problem> {
    Ok(json!({
        "class": "logging.handlers.TimedRotatingFileHandler",
        "formatter": "file",
        "filename": format!("{directory}/{}.log", line(scope, "item.name")?),
        "when": "midnight",
        "backupCount": scope.lookup("item.logging.keep")?,
        "encoding": "utf8",
    }))
}
