//! From what was found to an inventory with its lock.
//!
//! The text is put out by the writer of YAML from values, never pasted together. Then it is read again as
//! `synprov check` reads it, and compared with what runs.

mod datastores;
mod installation;
mod processes;

use serde_json::{Map, Value, json};

use super::found::{Found, Process};
use super::purpose::Classes;
use super::secrets::{Secrets, absolute, holder, stem};
use super::{Note, differs, name_like, shown};
use crate::inventory::{self, Lock};
use crate::topology::{self, catalogue::Catalogue};
use crate::version::Version;
use crate::yaml;
use datastores::db_pool;
use processes::is_media;

/// How the host is reached: what goes into `hosts:`.
#[derive(Debug, Clone)]
pub struct Reached {
    /// Its name in the inventory.
    pub name: String,
    /// `address`, `user`, `port`, …
    pub keys: Map<String, Value>,
}

/// What was made of it.
#[derive(Debug, Clone)]
pub struct Imported {
    /// inventory.yaml.
    pub inventory: String,
    /// inventory.lock.
    pub lock: String,
    /// Workers in it.
    pub workers: usize,
    /// What was not understood, or needs a hand.
    pub notes: Vec<Note>,
    /// What would mean something else than what runs, where processes depend on each other.
    pub differs: Vec<Note>,
}

/// Writes the inventory of what runs on one host. `Err` says why there is none to write.
pub fn write(found: &Found, reached: &Reached) -> Result<Imported, Note> {
    let mains: Vec<&Process> = found.processes.iter().filter(|process| process.is_main()).collect();
    let [main] = mains.as_slice() else {
        let what = match mains.len() {
            0 => "no main process of Synapse runs there".to_owned(),
            number => format!("{number} main processes of Synapse run there"),
        };
        return Err(Note::new(
            &reached.name,
            what,
            "import a host where one Synapse runs as a service of systemd",
        ));
    };
    let catalogue = Catalogue::builtin().map_err(|error| Note::new("synprov", error, "report this"))?;
    let version = main.version.clone().unwrap_or_default();
    let known = Version::parse(&version).ok_or_else(|| {
        let help = "see whether its Python can import Synapse";
        Note::new(&reached.name, "the version of Synapse is not known", help)
    })?;
    let mut writer = Writer {
        found,
        main,
        shared: main.merged(),
        catalogue,
        version: known,
        host: reached.name.clone(),
        lock: Lock::default(),
        secrets: Secrets::default(),
        notes: found.notes.clone(),
        workers: 0,
        classes: Classes::new(),
    };
    let value = writer.inventory(reached)?;
    Ok(writer.finish(&value))
}

struct Writer<'a> {
    found: &'a Found,
    main: &'a Process,
    shared: Map<String, Value>,
    catalogue: &'a Catalogue,
    version: Version,
    host: String,
    lock: Lock,
    secrets: Secrets,
    notes: Vec<Note>,
    workers: usize,
    classes: Classes,
}

impl Writer<'_> {
    fn note(&mut self, at: &str, what: impl AsRef<str>, help: &str) {
        self.notes.push(Note::new(at, what, help));
    }

    fn text(&self, key: &str) -> Option<String> {
        self.shared.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    fn inventory(&mut self, reached: &Reached) -> Result<Value, Note> {
        let host = self.host.clone();
        let server_name = self.text("server_name").ok_or_else(|| {
            Note::new(&host, "main's configuration has no server_name", "see whether it could be read")
        })?;
        let root = self.root();
        let missing = self.secrets.cluster(self.main, &self.shared, &server_name);
        let mut synapse = Map::new();
        synapse.insert("server_name".to_owned(), json!(server_name));
        if let Some(url) = self.text("public_baseurl") {
            synapse.insert("public_baseurl".to_owned(), json!(url));
        }
        synapse.insert("version".to_owned(), json!(self.version.as_str()));
        synapse.insert("install".to_owned(), self.install());
        synapse.insert("root".to_owned(), json!(root));
        let user = self.user();
        synapse.insert("user".to_owned(), json!(user));
        let (prefix, units) = self.units();
        synapse.insert("prefix".to_owned(), json!(prefix));
        if !units.is_empty() {
            synapse.insert("units".to_owned(), Value::Object(units));
        }
        self.media(&mut synapse);
        if self.shared.get("enable_metrics") == Some(&Value::Bool(true)) {
            synapse.insert("metrics".to_owned(), json!(true));
        }
        let postgresql = self.postgresql();
        let redis = self.redis();
        let workers = self.pools();
        if redis.is_some() && missing.contains(&"replication") {
            self.note(
                "worker_replication_secret",
                "there is none, and synprov makes one",
                "processes with and without it refuse each other: apply without --keep-running",
            );
        }
        if missing.contains(&"macaroon") {
            self.note(
                "macaroon_secret_key",
                "there is none: Synapse derives it from the signing key, synprov makes one of its own",
                "guests and login tokens of that moment end; access tokens of people stay",
            );
        }
        let config = self.config(&root);
        synapse.insert("config".to_owned(), config);
        self.appservices(&mut synapse);
        let sources = std::mem::take(&mut self.secrets.sources);
        synapse.insert("secrets".to_owned(), Value::Object(sources.into_iter().collect()));
        let mut inventory = Map::new();
        inventory.insert("hosts".to_owned(), json!({host.clone(): Value::Object(reached.keys.clone())}));
        inventory.insert("synapse".to_owned(), Value::Object(synapse));
        inventory.insert("postgresql".to_owned(), postgresql);
        if let Some(redis) = redis {
            inventory.insert("redis".to_owned(), redis);
        }
        self.main_listeners();
        inventory.insert("main".to_owned(), json!({"host": host}));
        if let Some(pool) = db_pool(self.shared.get("database")) {
            inventory.insert("defaults".to_owned(), json!({"db_pool": pool}));
        }
        if !workers.is_empty() {
            inventory.insert("workers".to_owned(), Value::Object(workers));
        }
        if !self.found.nginx.is_empty() {
            self.note(
                "nginx",
                "it stays yours: there is no proxy in this inventory",
                "to hand its locations over, add `proxy:` (kind: nginx or includes) later and look at the plan",
            );
        }
        Ok(Value::Object(inventory))
    }

    /// Keys of the shared files, without those that follow from the rest and those that stay in the
    /// directory of the admin's own.
    fn config(&mut self, root: &str) -> Value {
        let own = format!("{root}/conf/conf.d/");
        let mut config = Map::new();
        for key in self.shared.keys().cloned().collect::<Vec<_>>() {
            let Some(file) = holder(self.main, &key) else { continue };
            let stays = file.path.starts_with(&own);
            match inventory::derived(&key) {
                Some(instead) if stays => self.notes.push(Note::new(
                    &file.path,
                    format!("it has {}, which follows from the inventory", shown(&key)),
                    format!("delete it there before you apply: {instead}"),
                )),
                None if !stays => {
                    let value = self.secrets.named(&file.config[&key], file);
                    config.insert(key, value);
                }
                _ => {}
            }
        }
        Value::Object(config)
    }

    fn appservices(&mut self, synapse: &mut Map<String, Value>) {
        let files = self
            .shared
            .get("app_service_config_files")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut services = Map::new();
        for path in files.iter().filter_map(Value::as_str) {
            let name = name_like(&stem(path), "appservice", |name| services.contains_key(name));
            let path = absolute(self.main, path);
            services.insert(name.clone(), json!({"file": format!("registrations/{name}.yaml")}));
            self.secrets.file(&format!("appservice-{name}"), &path);
        }
        if !services.is_empty() {
            synapse.insert("appservices".to_owned(), Value::Object(services));
        }
    }

    fn finish(mut self, value: &Value) -> Imported {
        let head = format!(
            "# Matrix Synapse on {}, as `synprov import` found it. Secrets stay on the host: host_file says where.\n# Read it, then: synprov check, synprov plan --adopt --keep-running\n",
            shown(&self.host)
        );
        let text = format!("{head}{}", yaml::emit_text(value));
        let (read, mut found) = inventory::parse(&text);
        let mut differs = Vec::new();
        let mut lock = std::mem::take(&mut self.lock);
        if let Some(read) = &read {
            // The lock of what runs has to be a lock; where it contradicts the inventory, that is said.
            let resolved = topology::resolve(read, &lock);
            found.extend(resolved.diagnostics);
            if let Some(topology) = &resolved.topology {
                differs = differs::differences(self.found, topology, self.catalogue);
                self.notes.extend(differs::routes(&self.classes, topology));
                lock = resolved.lock;
            }
        }
        for diagnostic in &found {
            let what = if diagnostic.sensitive {
                "a value is not accepted".to_owned()
            } else {
                shown(&diagnostic.summary)
            };
            let help = diagnostic.help.as_deref().unwrap_or("mend it, and look with `synprov check`");
            self.notes.push(Note::new(format!("line {}", diagnostic.span.line), what, help));
        }
        Imported {
            inventory: text,
            lock: inventory::lock::emit(&lock),
            workers: self.workers,
            notes: self.notes,
            differs,
        }
    }
}
