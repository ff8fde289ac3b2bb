//! From what was found to an inventory with its lock.
//!
//! The text is put out by the writer of YAML from values, never pasted together. Then it is read again as
//! `synprov check` reads it, and compared with what runs.

use serde_json::{Map, Value, json};

use super::found::{Found, Process};
use super::listeners;
use super::nginx::Nginx;
use super::purpose::{Classes, Seen, names, purposes, writers};
use super::secrets::{Secrets, absolute, holder, place, stem};
use super::{Note, differs, name_like, shown};
use crate::inventory::{self, Lock};
use crate::topology::{self, catalogue::Catalogue};
use crate::version::Version;
use crate::yaml;

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

/// Where Debian's package has its environment.
const DEBIAN: &str = "/opt/venvs/matrix-synapse";

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
        let mut main = Map::from_iter([("host".to_owned(), json!(host))]);
        self.main_listeners(&mut main);
        inventory.insert("main".to_owned(), Value::Object(main));
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

    /// `/opt/matrix` of `/opt/matrix/conf/config.yaml`; a directory of our own if files lie elsewhere.
    fn root(&self) -> String {
        let first = self.main.files.first().map(|file| file.path.as_str()).unwrap_or_default();
        let root = first.strip_suffix("/conf/config.yaml").filter(|root| root.len() > 1);
        root.unwrap_or("/opt/matrix").to_owned()
    }

    fn install(&self) -> Value {
        let python = self.main.python.as_str();
        let venv = python.rsplit_once("/bin/").map_or(python, |(venv, _)| venv);
        if venv == DEBIAN { json!("debian") } else { json!({"venv": venv}) }
    }

    fn user(&mut self) -> String {
        let user = self.main.user.clone();
        if user == "root" {
            self.note(
                "user",
                "Synapse runs as root; from their next restart on processes run as matrix",
                "before that, give matrix what they write: chown -R matrix: MEDIA_STORE, and directories of logs",
            );
            return "matrix".to_owned();
        }
        if self.found.groupless.contains(&user) {
            let help = "make one before you apply: groupadd --system USER && usermod -g USER USER";
            self.note("user", format!("{} has no group of its own name", shown(&user)), help);
        }
        user
    }

    /// The prefix of units that are named as ours are, else their names.
    fn units(&mut self) -> (String, Map<String, Value>) {
        let stem = |unit: &str| unit.strip_suffix(".service").unwrap_or(unit).to_owned();
        let main = stem(&self.main.unit);
        let mut templates: Vec<String> = Vec::new();
        let mut media = None;
        for process in self.found.processes.iter().filter(|process| !process.is_main()) {
            match process.unit.split_once('@') {
                Some((template, _)) if !templates.iter().any(|known| known == template) => {
                    templates.push(template.to_owned());
                }
                None if is_media(process) => media = Some(stem(&process.unit)),
                _ => {}
            }
        }
        if let Some(prefix) = main.strip_suffix("_main") {
            let ours = |template: &String| {
                [format!("{prefix}_generic_worker"), format!("{prefix}_media")].contains(template)
            };
            let media_ours = media.as_ref().is_none_or(|media| *media == format!("{prefix}_media"));
            if templates.iter().all(ours) && media_ours {
                return (prefix.to_owned(), Map::new());
            }
        }
        if templates.len() > 1 {
            let help = "one template stays; the others' processes get units of that template";
            self.note(
                "units",
                format!("workers have several templates: {}", shown(&templates.join(", "))),
                help,
            );
        }
        let mut units = Map::from_iter([("main".to_owned(), json!(main))]);
        units.extend(templates.first().map(|template| ("worker".to_owned(), json!(format!("{template}@")))));
        units.extend(media.map(|media| ("media".to_owned(), json!(media))));
        ("matrix".to_owned(), units)
    }

    fn media(&mut self, synapse: &mut Map<String, Value>) {
        let media = self.found.processes.iter().find(|process| is_media(process)).unwrap_or(self.main);
        let path = media.merged().get("media_store_path").and_then(Value::as_str).map(str::to_owned);
        match path {
            Some(path) => {
                let path = absolute(media, &path);
                synapse.insert("media_store".to_owned(), json!({"path": path.trim_end_matches('/')}));
            }
            None => self.note(
                "media_store_path",
                "it is not set, so that media lie where Synapse was started",
                "write media_store: {path: …} under synapse",
            ),
        }
    }

    fn postgresql(&mut self) -> Value {
        let database = self.shared.get("database").cloned().unwrap_or(Value::Null);
        if database["name"] != "psycopg2" {
            self.note(
                "database",
                "it is not PostgreSQL",
                "workers need PostgreSQL: port it first (synapse_port_db)",
            );
        }
        let args = database["args"].as_object().cloned().unwrap_or_default();
        let mut external = Map::new();
        let text = |key: &str| args.get(key).and_then(Value::as_str).map(str::to_owned);
        match text("host").filter(|host| !host.starts_with('/')) {
            Some(address) => external.insert("host".to_owned(), json!(address)),
            None => {
                self.note(
                    "database",
                    "it is reached over a socket",
                    "synprov reaches it over TCP: let it listen on localhost and give its role a password",
                );
                external.insert("host".to_owned(), json!("localhost"))
            }
        };
        external.extend(args.get("port").and_then(number).map(|port| ("port".to_owned(), json!(port))));
        let name = text("database").or_else(|| text("dbname"));
        external.extend(name.map(|name| ("database".to_owned(), json!(name))));
        external.extend(text("user").map(|user| ("user".to_owned(), json!(user))));
        external.extend(text("sslmode").map(|mode| ("sslmode".to_owned(), json!(mode))));
        if let (Some(key), Some(file)) = (args.get("password").and_then(place), holder(self.main, "database"))
        {
            self.secrets.value("database", &file.path, key);
            external.insert("password".to_owned(), json!({"secret": "database"}));
        } else if args.contains_key("passfile") {
            let help =
                "write its password under secrets: database: env:VARIABLE, and password: {secret: database}";
            self.note("database", "its password stands in a passfile", help);
        }
        let known = [
            "host", "port", "database", "dbname", "user", "password", "passfile", "sslmode", "cp_min",
            "cp_max",
        ];
        let others: Map<String, Value> = args
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !others.is_empty() {
            external.insert("args".to_owned(), Value::Object(others));
        }
        json!({"external": external})
    }

    fn redis(&mut self) -> Option<Value> {
        let redis = self.shared.get("redis")?.as_object()?.clone();
        if redis.get("enabled") != Some(&Value::Bool(true)) {
            return None;
        }
        let mut external = Map::new();
        let address = redis.get("host").and_then(Value::as_str).unwrap_or("localhost");
        external.insert("host".to_owned(), json!(address));
        external.extend(redis.get("port").and_then(number).map(|port| ("port".to_owned(), json!(port))));
        if redis.contains_key("path") {
            self.note(
                "redis",
                "it is reached over a socket",
                "synprov reaches it over TCP: let it listen on localhost",
            );
        }
        match (redis.get("password").and_then(place), redis.get("password_path").and_then(Value::as_str)) {
            (Some(key), _) => {
                if let Some(file) = holder(self.main, "redis") {
                    self.secrets.value("redis", &file.path, key);
                    external.insert("password".to_owned(), json!({"secret": "redis"}));
                }
            }
            (None, Some(path)) => {
                let path = absolute(self.main, path);
                self.secrets.file("redis", &path);
                external.insert("password".to_owned(), json!({"secret": "redis"}));
            }
            (None, None) => {}
        }
        let known = ["enabled", "host", "port", "path", "password", "password_path"];
        let others: Map<String, Value> = redis
            .iter()
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !others.is_empty() {
            external.insert("args".to_owned(), Value::Object(others));
        }
        Some(json!({"external": external}))
    }

    fn main_listeners(&mut self, main: &mut Map<String, Value>) {
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
        let pools = (db_pool(self.shared.get("database")), "db_pool");
        // Main's own is everybody's default.
        main.remove(pools.1);
    }

    /// Workers as pools of one, each with the name that it has.
    fn pools(&mut self) -> Map<String, Value> {
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
    fn worker_name(&mut self, process: &Process) -> Option<String> {
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

    fn worker_config(&mut self, process: &Process, own: &Map<String, Value>) -> Map<String, Value> {
        let Some(file) = process.own() else { return Map::new() };
        let ours = |key: &str| key.starts_with("worker_") || inventory::derived(key).is_some();
        own.iter()
            .filter(|(key, _)| !ours(key))
            .map(|(key, value)| (key.clone(), self.secrets.named(value, file)))
            .collect()
    }

    /// Lists whose order is state.
    fn lists(&mut self) {
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

/// Whether a worker has the media repository.
fn is_media(process: &Process) -> bool {
    let own = process.own().map(|own| &own.config);
    let says = |key: &str, value: Value| own.is_some_and(|own| own.get(key) == Some(&value));
    !process.is_main()
        && (says("worker_app", json!("synapse.app.media_repository"))
            || says("enable_media_repo", json!(true)))
}

/// A number, also one that was written as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `db_pool:` of a database's settings, if they have both of its ends.
fn db_pool(database: Option<&Value>) -> Option<Value> {
    let args = database?.get("args")?;
    let (min, max) = (number(args.get("cp_min")?)?, number(args.get("cp_max")?)?);
    Some(json!({"min": min, "max": max}))
}
