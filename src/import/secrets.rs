//! Secrets of a set-up that is there: under which name the inventory has each, and where it lies.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::found::{ConfigFile, Process};
use super::{name_like, shown};

/// Synprov's name of a secret that Synapse has as a key of its own.
const KEYS: [(&str, &str); 4] = [
    ("macaroon_secret_key", "macaroon"),
    ("form_secret", "form"),
    ("registration_shared_secret", "registration"),
    ("worker_replication_secret", "replication"),
];

/// `synapse.secrets:` in the making.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Name to `{host_file: PATH, key: KEY}`.
    pub sources: IndexMap<String, Value>,
}

impl Secrets {
    /// The secrets that every deployment has, of those that this one has. Names that are missing come back:
    /// they would be made anew.
    pub fn cluster(
        &mut self,
        main: &Process,
        shared: &Map<String, Value>,
        server_name: &str,
    ) -> Vec<&'static str> {
        let mut missing = Vec::new();
        for (key, name) in KEYS {
            let by_path = shared.get(&format!("{key}_path")).and_then(Value::as_str);
            match (by_path, holder(main, key)) {
                (Some(path), _) => self.file(name, &absolute(main, path)),
                (None, Some(file)) if !is_empty(file.config.get(key)) => self.value(name, &file.path, key),
                _ => missing.push(name),
            }
        }
        // Where Synapse looks for it unless it is told: beside its first file.
        let beside = main.files.first().map(|file| {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{server_name}.signing.key")
        });
        let told = shared.get("signing_key_path").and_then(Value::as_str).map(|path| absolute(main, path));
        match told.or(beside) {
            Some(path) => self.file("signing_key", &path),
            None => missing.push("signing_key"),
        }
        missing
    }

    /// The whole of a file.
    pub fn file(&mut self, name: &str, path: &str) {
        self.sources.insert(name.to_owned(), json!({"host_file": path}));
    }

    /// What stands behind a key of a file.
    pub fn value(&mut self, name: &str, path: &str, key: &str) {
        self.sources.insert(name.to_owned(), json!({"host_file": path, "key": key}));
    }

    /// `value`, of `file`, with names in the place of references; each is declared.
    pub fn named(&mut self, value: &Value, file: &ConfigFile) -> Value {
        if let Some(place) = place(value) {
            let source = json!({"host_file": file.path, "key": place});
            let known = self.sources.iter().find(|(_, one)| **one == source).map(|(name, _)| name.clone());
            let name =
                known.unwrap_or_else(|| name_like(place, "secret", |name| self.sources.contains_key(name)));
            self.sources.insert(name.clone(), source);
            return json!({"secret": name});
        }
        match value {
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.clone(), self.named(value, file))).collect())
            }
            Value::Array(items) => items.iter().map(|item| self.named(item, file)).collect(),
            other => other.clone(),
        }
    }
}

/// The place of a value that stayed on the host (`found.rs`).
pub fn place(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get("secret")?.as_str()
}

fn is_empty(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.as_str() == Some(""))
}

/// The file whose value of a top-level key counts: the last that has it.
pub fn holder<'a>(process: &'a Process, key: &str) -> Option<&'a ConfigFile> {
    process.files.iter().rev().find(|file| file.config.contains_key(key))
}

/// A path as the process means it.
pub fn absolute(process: &Process, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", process.directory) }
}

/// A file's name without its folder and ending, for a name of ours.
pub fn stem(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    shown(name.rsplit_once('.').map_or(name, |(stem, _)| stem))
}
