//! What is installed and how it runs: root, environment, user, units, where media are.

use serde_json::{Map, Value, json};

use super::super::secrets::absolute;
use super::super::shown;
use super::{Writer, is_media};

/// Where Debian's package has its environment.
const DEBIAN: &str = "/opt/venvs/matrix-synapse";

impl Writer<'_> {
    /// `/opt/matrix` of `/opt/matrix/conf/config.yaml`; a directory of our own if files lie elsewhere.
    pub(super) fn root(&self) -> String {
        let first = self.main.files.first().map(|file| file.path.as_str()).unwrap_or_default();
        let root = first.strip_suffix("/conf/config.yaml").filter(|root| root.len() > 1);
        root.unwrap_or("/opt/matrix").to_owned()
    }

    pub(super) fn install(&self) -> Value {
        let python = self.main.python.as_str();
        let venv = python.rsplit_once("/bin/").map_or(python, |(venv, _)| venv);
        if venv == DEBIAN { json!("debian") } else { json!({"venv": venv}) }
    }

    pub(super) fn user(&mut self) -> String {
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
    pub(super) fn units(&mut self) -> (String, Map<String, Value>) {
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

    pub(super) fn media(&mut self, synapse: &mut Map<String, Value>) {
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
}
