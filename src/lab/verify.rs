//! Proves a homeserver: two users live through an evening of Matrix, and each request is checked
//! for its answer and for the process that served it.
//!
//! Which process should serve a request is said by a closure of the caller; which one did is read
//! from the processes' own journals. Never in this file: Synapse's routing rules.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;

use super::client::{Client, Door};
use super::{Lab, LabError, story};

/// What is to be verified.
#[derive(Debug, Clone)]
pub struct Homeserver {
    /// Name after the colon in Matrix ids.
    pub server_name: String,
    /// Where clients come in.
    pub door: Door,
    /// All its processes.
    pub processes: Vec<Process>,
    /// What it does at all.
    pub features: Features,
}

/// What an admin may have switched off: a choice, not a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Users see each other's presence.
    pub presence: bool,
    /// The user directory is searched.
    pub user_directory: bool,
    /// Messages are searched.
    pub search: bool,
}

impl Features {
    /// Reads them from homeserver.yaml's keys; Synapse's defaults are all on
    /// (Synapse configuration manual: `presence`, `user_directory`, `enable_search`).
    pub fn of(config: &serde_json::Map<String, Value>) -> Self {
        let off = |value: Option<&Value>| matches!(value, Some(Value::Bool(false)));
        let of = |section: &str, key: &str| config.get(section).and_then(|section| section.get(key));
        let presence = match of("presence", "enabled") {
            // `untracked` keeps what clients send from other users.
            Some(value) => *value == Value::Bool(true),
            None => !off(config.get("use_presence")),
        };
        Self {
            presence,
            user_directory: !off(of("user_directory", "enabled")),
            search: !off(config.get("enable_search")),
        }
    }
}

/// A process whose log is read.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its Synapse name.
    pub instance: String,
    /// Host of the lab.
    pub host: String,
    /// Its systemd unit, e.g. `matrix_main.service`.
    pub unit: String,
    /// File it logs to; `None`: the journal.
    pub log: Option<String>,
}

/// One request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What a person would call it: `send a message`.
    pub what: String,
    /// `PUT /_matrix/client/v3/rooms/!x:y/typing/@a:y`
    pub request: String,
    /// HTTP status; 0: no answer.
    pub status: u16,
    /// Instances any of which should serve it.
    pub expected: Vec<String>,
    /// Instance that did, by its own log.
    pub served_by: Option<String>,
    /// Answered as it should be, by a process that should.
    pub ok: bool,
    /// Why not.
    pub problem: Option<String>,
}

/// A request as the story tells it, before anybody knows who served it.
pub(super) struct Told {
    pub(super) what: String,
    pub(super) method: String,
    /// With its query, if it means something.
    pub(super) path: String,
    pub(super) mark: String,
    pub(super) status: u16,
    pub(super) problem: Option<String>,
}

/// Lives the story and says who served it. `expected` is asked with method and path; the path has a
/// query where that matters (`/_matrix/client/v3/sync?since=…`), and is not percent-encoded.
///
/// The table ends at a request without which nothing further makes sense, such as logging in.
///
/// # Errors
/// When journals cannot be read. An answer that is wrong or missing is a row, not an error.
pub fn verify(
    lab: &Lab,
    homeserver: &Homeserver,
    expected: &dyn Fn(&str, &str) -> Vec<String>,
) -> Result<Vec<Check>, LabError> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    let run = random_word()?;
    let invalid = |reason| LabError::Invalid { lab: lab.state().name.clone(), reason };
    let client = Client::new(&homeserver.door, &run).map_err(invalid)?;
    let told = story::tell(&client, homeserver, &run, &random_word()?);
    let marks: Vec<&str> =
        told.iter().filter(|told| told.status != 0).map(|told| told.mark.as_str()).collect();
    let served = served_by(lab, &homeserver.processes, since, &run, &marks)?;
    Ok(told
        .into_iter()
        .map(|told| judge(&told, expected(&told.method, &told.path), served.get(&told.mark)))
        .collect())
}

/// One row.
fn judge(told: &Told, expected: Vec<String>, served_by: Option<&String>) -> Check {
    let problem = told.problem.clone().or_else(|| match served_by {
        None => Some("no process logged it".to_owned()),
        Some(instance) if !expected.contains(instance) => {
            Some(format!("served by {instance}, expected {}", expected.join(" or ")))
        }
        Some(_) => None,
    });
    Check {
        what: told.what.clone(),
        request: format!("{} {}", told.method, told.path),
        status: told.status,
        expected,
        served_by: served_by.cloned(),
        ok: problem.is_none(),
        problem,
    }
}

/// Instance by mark, by the logs that processes wrote since `since` (seconds of Unix time) about requests
/// of a run. Logs are written after the answer: waits up to 15 s for the last of `marks`.
///
/// # Errors
/// When journals cannot be read. A mark that no process logged is not in the answer.
pub fn served_by(
    lab: &Lab,
    processes: &[Process],
    since: u64,
    run: &str,
    marks: &[&str],
) -> Result<HashMap<String, String>, LabError> {
    let mut hosts: Vec<&str> = processes.iter().map(|process| process.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let run_mark = format!("synprov_check={run}");
    let until = Instant::now() + Duration::from_secs(15);
    loop {
        let mut served = HashMap::new();
        for host in &hosts {
            let since = format!("@{since}");
            let argv = ["journalctl", "--quiet", "--no-pager", "--output=json", "--since", &since];
            let fields = ["--output-fields=MESSAGE,_SYSTEMD_UNIT"];
            let output = lab.exec(host, &[&argv[..], &fields].concat())?;
            if !output.status.success() {
                let what = format!("read the journal of host {host:?}");
                return Err(LabError::Command { what, reason: super::process::failure(&output, 1) });
            }
            for (mark, unit) in String::from_utf8_lossy(&output.stdout).lines().filter_map(|l| marked(l, run))
            {
                let ours = |process: &&Process| process.host == *host && process.unit == unit;
                let instance = processes.iter().find(ours).map(|process| process.instance.clone());
                served.insert(mark, instance.unwrap_or(unit));
            }
        }
        for process in processes {
            let Some(log) = &process.log else { continue };
            // Exit 1: nothing found yet, 2: no such file yet.
            let output = lab.exec(&process.host, &["grep", "--fixed-strings", &run_mark, log])?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = text.lines().filter_map(|line| mark(line, run));
            served.extend(found.map(|mark| (mark, process.instance.clone())));
        }
        let all = marks.iter().all(|mark| served.contains_key(*mark));
        if all || Instant::now() >= until {
            return Ok(served);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// Mark and unit of a journal entry in which Synapse says that it processed a request of this run.
fn marked(line: &str, run: &str) -> Option<(String, String)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let mark = mark(entry["MESSAGE"].as_str()?, run)?;
    Some((mark, entry["_SYSTEMD_UNIT"].as_str()?.to_owned()))
}

/// Mark of a line in which Synapse says that it processed a request of this run.
fn mark(message: &str, run: &str) -> Option<String> {
    let (_, rest) = message.split_once("Processed request")?;
    let (_, rest) = rest.split_once("synprov_check=")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
    let mark = &rest[..end];
    mark.starts_with(run).then(|| mark.to_owned())
}

/// 16 random hex digits.
fn random_word() -> Result<String, LabError> {
    let number = getrandom::u64().map_err(|error| LabError::Io {
        what: "get random bytes".to_owned(),
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(format!("{number:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(message: &str) -> String {
        serde_json::json!({"MESSAGE": message, "_SYSTEMD_UNIT": "u.service"}).to_string()
    }

    #[test]
    fn a_request_is_found_in_the_log_of_its_process() {
        let line =
            "INFO - GET-1 - Processed request: 0.1sec 200 \"GET /v?synprov_check=ab-12 HTTP/1.1\" \"x\"";
        assert_eq!(marked(&entry(line), "ab"), Some(("ab-12".into(), "u.service".into())));
        assert_eq!(marked(&entry(line), "cd"), None, "another run");
        assert_eq!(marked(&entry("Received request: GET /v?synprov_check=ab-12"), "ab"), None);
        assert_eq!(marked("no JSON", "ab"), None);
    }

    #[test]
    fn what_is_switched_off_is_not_asked_for() {
        let features = |config: Value| Features::of(config.as_object().unwrap());
        let all = Features { presence: true, user_directory: true, search: true };
        assert_eq!(features(serde_json::json!({"presence": {"include_offline_users_on_sync": true}})), all);
        let config = serde_json::json!({"presence": {"enabled": "untracked"}, "enable_search": false});
        assert_eq!(features(config), Features { presence: false, search: false, ..all });
        assert!(!features(serde_json::json!({"use_presence": false})).presence);
        assert!(!features(serde_json::json!({"user_directory": {"enabled": false}})).user_directory);
    }

    #[test]
    fn the_wrong_process_is_a_failure_even_if_the_answer_is_right() {
        let told = |problem: Option<&str>| Told {
            what: "w".into(),
            method: "GET".into(),
            path: "/p".into(),
            mark: "m".into(),
            status: 200,
            problem: problem.map(Into::into),
        };
        let expected = || vec!["sync".to_owned(), "sync2".to_owned()];
        assert!(judge(&told(None), expected(), Some(&"sync2".into())).ok);
        let wrong = judge(&told(None), expected(), Some(&"main".into()));
        assert_eq!(wrong.problem.as_deref(), Some("served by main, expected sync or sync2"));
        assert!(!judge(&told(None), expected(), None).ok);
        assert!(!judge(&told(Some("status 500")), expected(), Some(&"sync".into())).ok);
    }
}
