//! What each worker is for: from nginx's locations, from who writes streams, from who runs jobs.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value};

use super::nginx::Nginx;
use crate::topology::catalogue::{Catalogue, Class};
use crate::topology::samples;
use crate::version::Version;

/// The three words of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purpose {
    /// `handles:`
    pub handles: Vec<String>,
    /// `writes:`
    pub writes: Vec<String>,
    /// `runs:`
    pub runs: Vec<String>,
}

impl Purpose {
    /// Nothing at all.
    pub fn is_empty(&self) -> bool {
        self.handles.is_empty() && self.writes.is_empty() && self.runs.is_empty()
    }
}

/// Apps of old releases that were for one job each.
const APPS: &[(&str, &str)] = &[
    ("synapse.app.pusher", "pusher"),
    ("synapse.app.federation_sender", "federation_sender"),
    ("synapse.app.appservice", "appservices"),
    ("synapse.app.user_dir", "user_directory"),
];

/// What a worker is, as far as its purpose depends on it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Its app.
    pub app: String,
    /// Port of its client listener.
    pub port: Option<u16>,
    /// It has the media repository.
    pub media: bool,
}

/// Class of endpoints to the workers that nginx sends it to.
pub type Classes = BTreeMap<String, BTreeSet<String>>;

/// Purposes by name, and which class nginx sends to whom.
pub fn purposes(
    catalogue: &Catalogue,
    version: &Version,
    shared: &Map<String, Value>,
    nginx: &Nginx,
    workers: &[Seen],
) -> (BTreeMap<String, Purpose>, Classes) {
    let mut classes = Classes::new();
    let mut purposes: BTreeMap<String, Purpose> =
        workers.iter().map(|worker| (worker.name.clone(), Purpose::default())).collect();
    for class in &catalogue.classes {
        // The writer of a stream serves what belongs to it, unasked; Synapse knows no other way.
        let writers = class.stream.as_ref().is_some_and(|stream| !writers(shared, stream).is_empty());
        let Some(word) = class.words.first().filter(|_| !writers && !class.writer_only) else { continue };
        let handlers = handlers(class, version, nginx, workers);
        if handlers.is_empty() {
            continue;
        }
        classes.insert(class.name.clone(), handlers.clone());
        for name in handlers {
            if let Some(purpose) = purposes.get_mut(&name)
                && !purpose.handles.contains(word)
            {
                purpose.handles.push(word.clone());
            }
        }
    }
    for worker in workers {
        let Some(purpose) = purposes.get_mut(&worker.name) else { continue };
        let writes = catalogue.streams.iter().filter(|stream| stream.known(version));
        let writes = writes.filter(|stream| writers(shared, &stream.name).contains(&worker.name));
        purpose.writes = writes.map(|stream| stream.name.clone()).collect();
        for job in &catalogue.jobs {
            let by_app = APPS.iter().any(|(app, name)| *app == worker.app && *name == job.name);
            if by_app || names(shared.get(&job.key)).contains(&worker.name) {
                purpose.runs.push(job.name.clone());
            }
        }
        if worker.media && !purpose.handles.iter().any(|word| word == "media") {
            purpose.handles.push("media".to_owned());
        }
        // Only a process with the media repository serves media.
        if !worker.media {
            purpose.handles.retain(|word| word != "media");
        }
    }
    (purposes, classes)
}

/// Workers that get most of what belongs to a class and does not go to main: a class is served as a whole.
fn handlers(class: &Class, version: &Version, nginx: &Nginx, workers: &[Seen]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for endpoint in class.endpoints.iter().filter(|endpoint| endpoint.active(version)) {
        let Ok(regex) = Regex::new(&endpoint.path) else { continue };
        for path in samples(&endpoint.path, |path| regex.is_match(path)) {
            let servers = nginx.servers(&path);
            for worker in workers {
                if worker.port.is_some_and(|port| servers.iter().any(|server| is_port(server, port))) {
                    *counts.entry(&worker.name).or_default() += 1;
                }
            }
        }
    }
    let most = counts.values().copied().max().unwrap_or_default();
    counts.into_iter().filter(|(_, count)| *count == most).map(|(name, _)| name.to_owned()).collect()
}

/// `127.0.0.1:8081`, `localhost:8081`, `[::1]:8081`.
fn is_port(server: &str, port: u16) -> bool {
    server.rsplit_once(':').and_then(|(_, text)| text.parse::<u16>().ok()) == Some(port)
}

/// Writers of a stream other than main.
pub fn writers(shared: &Map<String, Value>, stream: &str) -> Vec<String> {
    let value = shared.get("stream_writers").and_then(|writers| writers.get(stream));
    names(value)
}

/// A name or a list of names; never main.
pub fn names(value: Option<&Value>) -> Vec<String> {
    let all: Vec<&Value> = match value {
        Some(Value::Array(items)) => items.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let names = all.into_iter().filter_map(Value::as_str);
    names.filter(|name| !matches!(*name, "main" | "master")).map(str::to_owned).collect()
}
