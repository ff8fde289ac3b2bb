//! What a host said of the Synapse that runs there, as types.
//!
//! Everything in it was written by others: typed and bounded here, judged in `write.rs`.

use base64::Engine as _;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Note, shown};
use crate::secret::names_a_secret;

/// Key that stands for a value which stayed on the host.
const MARK: &str = "__secret__";

/// A running Synapse.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// Its processes, in the order of their ids.
    pub processes: Vec<Process>,
    /// nginx's files: path and text, nginx.conf first.
    pub nginx: Vec<(String, String)>,
    /// Users that run Synapse and have no group of their own name.
    pub groupless: Vec<String>,
    /// What could not be read.
    pub notes: Vec<Note>,
}

/// A process of Synapse that systemd started.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// `matrix_generic_worker@sync.service`.
    pub unit: String,
    /// `synapse.app.generic_worker`.
    pub app: String,
    /// User that it runs as.
    pub user: String,
    /// Absolute path of its Python, as it was started.
    pub python: String,
    /// Directory that it was started in.
    pub directory: String,
    /// What systemd says of its unit: `FragmentPath`, `UnitFileState`, `Type`, …
    pub properties: IndexMap<String, String>,
    /// Version of Synapse that its Python has.
    pub version: Option<String>,
    /// Its files, in the order in which Synapse reads them.
    pub files: Vec<ConfigFile>,
}

/// A file of configuration; values of secrets are `{"secret": KEY.PATH}`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigFile {
    /// Absolute path.
    pub path: String,
    /// Its top-level keys.
    pub config: Map<String, Value>,
}

impl Process {
    /// The main process has no name of a worker in its configuration.
    pub fn is_main(&self) -> bool {
        self.app == "synapse.app.homeserver"
    }

    /// The file that is about this process alone.
    pub fn own(&self) -> Option<&ConfigFile> {
        let own = |file: &&ConfigFile| {
            file.config.contains_key("worker_app") || file.config.contains_key("worker_name")
        };
        if self.is_main() { None } else { self.files.iter().rev().find(own) }
    }

    /// All that it reads, later files over earlier ones, as Synapse merges them: key by key.
    pub fn merged(&self) -> Map<String, Value> {
        let mut merged = Map::new();
        for file in &self.files {
            merged.extend(file.config.clone());
        }
        merged
    }
}

/// Reads the answer of `import.sh`. A line that is not understood is left out and noted.
pub fn read(lines: &[String]) -> Found {
    let mut found = Found::default();
    for line in lines {
        let fields: Vec<&str> = line.split('\t').collect();
        let at = |path: &str| format!("the host, {}", shown(path));
        match fields.as_slice() {
            ["process", _, unit, app, user, _, python, directory] => found.processes.push(Process {
                unit: (*unit).to_owned(),
                app: (*app).to_owned(),
                user: (*user).to_owned(),
                python: text(python).unwrap_or_default(),
                directory: text(directory).unwrap_or_default(),
                ..Process::default()
            }),
            ["property", property] => {
                if let (Some(process), Some((key, value))) =
                    (found.processes.last_mut(), property.split_once('='))
                {
                    process.properties.insert(key.to_owned(), value.to_owned());
                }
            }
            ["configuration", encoded] => configuration(encoded, &mut found),
            ["homeless", pid, app] => found.notes.push(Note::new(
                at("processes"),
                format!("process {} runs {} and belongs to no unit of systemd", shown(pid), shown(app)),
                "start it by a unit, or stop it before you apply: two of a name must not run",
            )),
            ["groupless", user] => found.groupless.push((*user).to_owned()),
            ["nginx", path, content] => {
                if let (Some(path), Some(content)) = (text(path), text(content)) {
                    found.nginx.push((path, content));
                }
            }
            ["unread", path] => found.notes.push(Note::new(
                at(path),
                "the file is too large, or one of too many",
                "its locations are not known here",
            )),
            ["end", _] => {}
            _ => found.notes.push(Note::new("the host", format!("said {:?}", shown(line)), "report this")),
        }
    }
    found
}

fn text(encoded: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn configuration(encoded: &str, found: &mut Found) {
    let Some(process) = found.processes.last_mut() else { return };
    let at = format!("process {}", shown(&process.unit));
    let answer = text(encoded).and_then(|text| serde_json::from_str::<Value>(text.trim()).ok());
    let Some(answer) = answer else {
        // What it said instead might quote a file.
        let help = "see whether its user may read its configuration, and whether its Python has PyYAML";
        found.notes.push(Note::new(&at, "its configuration could not be read", help));
        return;
    };
    process.version = answer["version"].as_str().map(str::to_owned);
    for error in answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        found.notes.push(Note::new(
            &at,
            format!("{} could not be read", shown(error)),
            "mend it, and import again",
        ));
    }
    for file in answer["files"].as_array().into_iter().flatten() {
        let (Some(path), Some(config)) = (file["path"].as_str(), file["config"].as_object()) else {
            continue;
        };
        let config = config.iter().map(|(key, value)| (key.clone(), kept(value, key, names_a_secret(key))));
        process.files.push(ConfigFile { path: path.to_owned(), config: config.collect() });
    }
}

/// Marks become references by the place of their value. What is a secret by the name of its key and came
/// along all the same goes no further.
fn kept(value: &Value, path: &str, secret: bool) -> Value {
    let reference = || Value::Object(Map::from_iter([("secret".to_owned(), Value::from(path))]));
    match value {
        Value::Object(map) if map.contains_key(MARK) => reference(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), kept(value, &format!("{path}.{key}"), names_a_secret(key))))
                .collect(),
        ),
        Value::Array(items) => {
            items.iter().enumerate().map(|(at, item)| kept(item, &format!("{path}.{at}"), secret)).collect()
        }
        Value::String(text) if secret && !text.is_empty() => reference(),
        other => other.clone(),
    }
}
