//! `conf/log/NAME.yaml`: how one process logs, to standard error and so to the journal.
//!
//! The journal has time and process; the line has the logger's name first, because requests are
//! told apart by it (`synapse.access.http.PORT`). No file: several processes that rotate one file
//! lose lines (Synapse, `docs/workers.md` and issue matrix-org/synapse#12466).

use serde_json::json;

use crate::modules::interpolate::{Problem, Scope};
use crate::resource::Content;

pub(super) fn content(_: Scope<'_>) -> Result<Content, Problem> {
    Ok(crate::yaml::emit(&json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": {
            "journal": {"format": "%(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s"},
        },
        "handlers": {
            "console": {
                "class": "logging.StreamHandler",
                "formatter": "journal",
                "stream": "ext://sys.stderr",
            },
        },
        // At DEBUG this logger writes access tokens; it stays at INFO when somebody lowers the root.
        "loggers": {"synapse.storage.SQL": {"level": "INFO"}},
        "root": {"level": "INFO", "handlers": ["console"]},
    })))
}
