//! What a host's thread reports, and the lines of the host that say it.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;

use crate::facts::conversation::clean;
use crate::facts::{HostError, HostFacts};
use crate::secret::Secret;

/// Log lines of a step that are kept for its failure message.
const KEPT_LINES: usize = 40;

/// What a host's thread reports.
#[derive(Debug)]
pub enum News {
    /// The lock is held and these are the facts under it.
    Locked(Box<HostFacts>),
    /// The session is over before or after that: why.
    Failed(HostError),
    /// What it answered when it was asked again.
    Probed(Box<HostFacts>),
    /// A line of a frame's output, cleaned.
    Log {
        /// Frame.
        id: String,
        /// Text.
        line: String,
    },
    /// A step waits for something.
    Waiting {
        /// Unit.
        unit: String,
        /// `12 s: until …`.
        what: String,
    },
    /// A service runs and is ready.
    Started {
        /// Unit.
        unit: String,
        /// InvocationID.
        invocation: String,
        /// Start of its newest worker process, in ticks; empty if it has none.
        workers: String,
        /// Seconds that it was waited for.
        took: String,
    },
    /// The host's own hash of a secret.
    Revision {
        /// Name of the secret.
        name: String,
        /// The hash.
        revision: String,
    },
    /// A secret's value, on its way to a host that lacks it.
    Value {
        /// Name of the secret.
        name: String,
        /// Never printed.
        value: Secret,
    },
    /// A package that pip chose.
    Resolved {
        /// For which Python: `cp311-x86_64`.
        tag: String,
        /// Requirement line with hash.
        requirement: String,
    },
    /// A wheel that the host lacks.
    Lacks {
        /// File name.
        name: String,
    },
    /// Digest of a venv's package list.
    Venv {
        /// Path.
        path: String,
        /// Digest.
        packages: String,
    },
    /// What processes of one kind serve, as JSON.
    Registered {
        /// A part of one line of the script.
        part: String,
        /// It is the line's last.
        last: bool,
    },
    /// A frame is done.
    Done {
        /// Frame.
        id: String,
        /// It succeeded.
        ok: bool,
        /// Last lines of its output.
        tail: Vec<String>,
    },
    /// The session ended as ordered.
    Ended,
}

/// The last lines of frames that are being done.
pub(super) type Tails = BTreeMap<String, VecDeque<String>>;

pub(super) fn understand(line: &str, tails: &mut Tails) -> Result<Option<News>, HostError> {
    let fields: Vec<&str> = line.split('\t').collect();
    let text = |text: &str| clean(text);
    Ok(Some(match fields.as_slice() {
        ["beat"] | [""] => return Ok(None),
        ["log", id, rest @ ..] => {
            let line = text(&rest.join("\t"));
            let Some(tail) = tails.get_mut(*id) else { return Ok(None) };
            if tail.len() == KEPT_LINES {
                tail.pop_front();
            }
            tail.push_back(line.clone());
            News::Log { id: (*id).to_owned(), line }
        }
        ["waiting", unit, what] => News::Waiting { unit: text(unit), what: text(what) },
        ["started", unit, invocation, workers, took] => News::Started {
            unit: text(unit),
            invocation: text(invocation),
            workers: text(workers),
            took: text(took),
        },
        ["revision", name, revision] => News::Revision { name: text(name), revision: text(revision) },
        ["secret", name, base64] => {
            let value = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| {
                HostError::unfit(format!("it sent secret {name} in a form that is not base64"), "try again")
            })?;
            News::Value { name: text(name), value: Secret::new(value) }
        }
        ["resolved", tag, requirement] => News::Resolved { tag: text(tag), requirement: text(requirement) },
        ["lacks", name] => News::Lacks { name: text(name) },
        ["venv", path, packages] => News::Venv { path: text(path), packages: text(packages) },
        ["registers", part] => News::Registered { part: text(part), last: false },
        ["registered", part] => News::Registered { part: text(part), last: true },
        ["done", id, status] => {
            let tail = tails.remove(*id).unwrap_or_default();
            News::Done { id: (*id).to_owned(), ok: *status == "0", tail: tail.into() }
        }
        ["error", rest @ ..] => {
            return Err(HostError::unfit(text(&rest.join(" ")), "see the host's /run and /var/lib"));
        }
        _ => return Ok(None),
    }))
}
