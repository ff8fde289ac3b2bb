//! Main's listeners, and workers as pools of one.

use serde_json::{Map, Value, json};

use super::super::found::Process;
use super::super::nginx::Nginx;
use super::super::purpose::{Seen, names, purposes, writers};
use super::super::{Note, listeners, name_like, shown};
use super::Writer;
use super::datastores::db_pool;
use crate::inventory;

impl Writer<'_> {
    pub(super) fn main_listeners(&mut self) {
        let found = listeners::of(&self.shared, true);
        self.lock
            .ports
            .insert("main".to_owned(), found.ports().map(|(name, port)| (name.to_owned(), port)).collect());
        if found.shared {
            let help = "give replication a listener of its own first, on a port that nginx does not pass on";
            self.note("main", "clients and replication share a port", help);
        }
        for strange in &found.strange {
            self.note("main", strange, "write it under main.listeners, or leave it out");
        }
    }

    /// Workers as pools of one, each with the name that it has.
    pub(super) fn pools(&mut self) -> Map<String, Value> {
        let nginx = Nginx::read(&self.found.nginx);
        for pattern in &nginx.strange {
            let what = format!("the expression of a location is not understood: {}", shown(pattern));
            self.notes.push(Note::new("nginx", what, "see to it that the right worker handles it"));
        }
        let workers: Vec<&Process> =
            self.found.processes.iter().filter(|process| !process.is_main()).collect();
        let mut seen = Vec::new();
        for process in &workers {
            let Some(name) = self.worker_name(process) else { continue };
            let own = process.own().map(|own| own.config.clone()).unwrap_or_default();
            let port = listeners::of(&own, false).client;
            let app = own.get("worker_app").and_then(Value::as_str).unwrap_or(&process.app).to_owned();
            seen.push((*process, own, Seen { name, app, port, media: is_media(process) }));
        }
        let views: Vec<Seen> = seen.iter().map(|(_, _, view)| view.clone()).collect();
        let (purposes, classes) = purposes(self.catalogue, &self.version, &self.shared, &nginx, &views);
        self.classes = classes;
        let mut pools = Map::new();
        for (process, own, view) in seen {
            let at = format!("worker {}", view.name);
            let Some(purpose) = purposes.get(&view.name).filter(|purpose| !purpose.is_empty()) else {
                let what =
                    "nothing says what it is for: no location of nginx, no stream, no job; it is left out";
                self.note(&at, what, "it goes on running; add it with handles, writes or runs, or stop it");
                continue;
            };
            let found = listeners::of(&own, false);
            for strange in &found.strange {
                self.note(&at, strange, "it goes when the worker restarts");
            }
            let writes = !purpose.writes.is_empty();
            if found.shared && writes {
                self.note(
                    &at,
                    "requests and replication share a port",
                    "replication moves to a port of its own",
                );
            }
            let ports = found.ports().map(|(name, port)| (name.to_owned(), port)).collect();
            self.lock.ports.insert(view.name.clone(), ports);
            self.lock.instances.insert(view.name.clone(), vec![self.host.clone()]);
            let mut pool = Map::from_iter([("host".to_owned(), json!(self.host))]);
            for (key, words) in
                [("handles", &purpose.handles), ("writes", &purpose.writes), ("runs", &purpose.runs)]
            {
                if !words.is_empty() {
                    pool.insert(key.to_owned(), json!(words));
                }
            }
            pool.extend(db_pool(own.get("database")).map(|size| ("db_pool".to_owned(), size)));
            let config = self.worker_config(process, &own);
            if !config.is_empty() {
                pool.insert("config".to_owned(), Value::Object(config));
            }
            pools.insert(view.name.clone(), Value::Object(pool));
            self.workers += 1;
        }
        self.lists();
        pools
    }

    /// A worker's name, if an inventory can have it.
    pub(super) fn worker_name(&mut self, process: &Process) -> Option<String> {
        let at = format!("unit {}", shown(&process.unit));
        let name = process.own().and_then(|own| own.config.get("worker_name")).and_then(Value::as_str);
        let Some(name) = name else {
            self.note(
                &at,
                "its configuration names no worker; it is left out",
                "it goes on running as it is",
            );
            return None;
        };
        let taken = |_: &str| false;
        if name_like(name, "", taken) != name || matches!(name, "main" | "master") {
            let what = format!("{:?} is no name of a worker that synprov knows; it is left out", shown(name));
            self.note(
                &at,
                what,
                "rename it (a-z, 0-9, _ and -), in every list that names it, and import again",
            );
            return None;
        }
        let instance = process.unit.split_once('@').map(|(_, rest)| rest.trim_end_matches(".service"));
        if instance.is_some_and(|instance| instance != name) {
            let help =
                "its new unit has the worker's name: stop and disable the old one just before you apply";
            self.note(&at, format!("its worker is called {name}"), help);
        }
        Some(name.to_owned())
    }

    pub(super) fn worker_config(
        &mut self,
        process: &Process,
        own: &Map<String, Value>,
    ) -> Map<String, Value> {
        let Some(file) = process.own() else { return Map::new() };
        let ours = |key: &str| key.starts_with("worker_") || inventory::derived(key).is_some();
        own.iter()
            .filter(|(key, _)| !ours(key))
            .map(|(key, value)| (key.clone(), self.secrets.named(value, file)))
            .collect()
    }

    /// Lists whose order is state.
    pub(super) fn lists(&mut self) {
        for stream in &self.catalogue.streams {
            let writers = writers(&self.shared, &stream.name);
            if !writers.is_empty() {
                self.lock.lists.insert(format!("stream_writers.{}", stream.name), writers);
            }
        }
        for job in self.catalogue.jobs.iter().filter(|job| job.shared()) {
            let members = names(self.shared.get(&job.key));
            if !members.is_empty() {
                self.lock.lists.insert(job.key.clone(), members);
            }
        }
    }
}

/// Whether a worker has the media repository.
pub(super) fn is_media(process: &Process) -> bool {
    let own = process.own().map(|own| &own.config);
    let says = |key: &str, value: Value| own.is_some_and(|own| own.get(key) == Some(&value));
    !process.is_main()
        && (says("worker_app", json!("synapse.app.media_repository"))
            || says("enable_media_repo", json!(true)))
}
