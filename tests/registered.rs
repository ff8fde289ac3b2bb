//! `modules/venv/registered.py` over a stand-in for Synapse: whom it asks, and how it says what is wrong. What the
//! real ones answer is in tests/data/registered and in the labs.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use synprov::topology::registered::SCRIPT;

/// As much of Synapse as the script touches. A listener of a process is one resource with one pattern, its name.
const SYNAPSE: [(&str, &str); 9] = [
    ("twisted/web/resource.py", "class Resource:\n    isLeaf = False\n"),
    (
        "synapse/http/server.py",
        "from twisted.web.resource import Resource\nclass JsonResource(Resource): pass\n",
    ),
    ("synapse/storage/databases.py", "def prepare_database(*arguments): pass\n"),
    (
        "synapse/config/database.py",
        "class DatabaseConnectionConfig:\n    def __init__(self, *arguments): pass\n",
    ),
    (
        "synapse/config/_base.py",
        "def find_config_files(paths): return [path for path in paths if path[-1] != '/']\n",
    ),
    ("synapse/app/_base.py", "listen_http = None\n"),
    (
        "synapse/config/homeserver.py",
        r#"
import logging, os, signal, types, yaml
class HomeServerConfig:
    @classmethod
    def load_config(cls, description, arguments):
        merged = {}
        for path in arguments[1::2]:
            merged.update(yaml.safe_load(open(path)) or {})
        logging.getLogger("x").warning("a warning of the shared file")
        if merged.get("refused"):
            raise ValueError("refused is no option")
        stores = [merged.get("media_store_path", ".")] + merged.get("media_storage_providers", [])
        for store in stores if merged.get("enable_media_repo", True) else []:
            os.makedirs(store, exist_ok=True)
        if merged.get("dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        of = types.SimpleNamespace
        config = cls()
        config.database, config.redis, config.server = of(), of(), of(server_name="x")
        config.server.listeners = []
        config.logging = of(log_config=merged.get("log_config"))
        config.worker = of(worker_app=merged.get("worker_app"), worker_log_config=merged.get("worker_log_config"))
        config.worker.worker_listeners = []
        return config
"#,
    ),
    (
        "synapse/app/homeserver.py",
        "listen_http = None\nclass SynapseHomeServer:\n    def __init__(self, name, config): pass\n    def setup(self): pass\n",
    ),
    (
        "synapse/app/generic_worker.py",
        "class GenericWorkerServer:\n    def __init__(self, name, config): pass\n    def setup(self): pass\n",
    ),
];

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        for (path, text) in SYNAPSE {
            site.write(&format!("python/{path}"), text);
        }
        site.write("config.yaml", &format!("log_config: {}\n", site.path("main.log.yaml")));
        site.write("main.log.yaml", "version: 1\n");
        site
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A worker's paths, its file with these lines besides.
    fn worker(&self, name: &str, more: &str) -> Value {
        let log = self.path(&format!("{name}.log.yaml"));
        self.write(&format!("{name}.log.yaml"), "version: 1\n");
        self.write(
            &format!("{name}.yaml"),
            &format!("worker_app: w\nworker_name: {name}\nworker_log_config: {log}\n{more}"),
        );
        json!([name, [self.path("config.yaml"), self.path(&format!("{name}.yaml"))]])
    }

    /// Processes of the lines that came, whether all is well, and what was said.
    fn ask(&self, asks_main: bool, processes: &[Value]) -> (Vec<Vec<String>>, bool, String) {
        let asked = json!([[self.path("config.yaml")], asks_main, processes]).to_string();
        let output = Command::new("python3")
            .args(["-I", "-B", "-c", SCRIPT, &asked, &self.path("python")])
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let named = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            line["processes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        });
        (named.collect(), output.status.success(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn each_kind_of_process_is_asked_once_and_a_warning_is_said_once() {
    let site = Site::new();
    let main = json!(["main", [site.path("config.yaml")]]);
    let workers = [site.worker("b", "x: 1\n"), site.worker("a", "x: 1\n"), site.worker("c", "x: 2\n")];
    let (lines, well, said) = site.ask(false, &[&[main], &workers[..]].concat());
    let expected: [&[&str]; 4] = [&[], &["main"], &["b", "a"], &["c"]];
    assert_eq!(lines, expected, "{said}");
    assert!(well);
    assert_eq!(said, "a warning of the shared file\n");
}

#[test]
fn main_is_asked_where_it_does_not_run_and_its_log_configuration_is_not_looked_for() {
    let site = Site::new();
    std::fs::remove_file(site.path("main.log.yaml")).unwrap();
    let worker = site.worker("a", "");
    let (lines, well, said) = site.ask(true, std::slice::from_ref(&worker));
    assert!(well, "{said}");
    assert_eq!(lines, [&[][..], &["main".to_owned()], &["a".to_owned()]]);
    assert_eq!(site.ask(false, std::slice::from_ref(&worker)).0.len(), 2);
    // One of this host has to be there, and to be YAML.
    let main = json!(["main", [site.path("config.yaml")]]);
    let (_, well, said) = site.ask(false, &[main, worker.clone()]);
    assert!(!well && said.contains("main: ValueError: log configuration"), "{said}");
    site.write("a.log.yaml", "a: [\n");
    let (_, well, said) = site.ask(false, &[worker]);
    assert!(!well && said.contains("a: ParserError"), "{said}");
}

#[test]
fn the_media_store_of_a_main_that_runs_elsewhere_is_elsewhere_too() {
    let site = Site::new();
    let log = site.path("main.log.yaml");
    // Below a file no directory can be made, not by root either.
    let store = format!("{log}/media");
    site.write(
        "config.yaml",
        &format!("log_config: {log}\nmedia_store_path: {store}\nmedia_storage_providers: [{store}]\n"),
    );
    let worker = site.worker("a", "enable_media_repo: false\n");
    let (lines, well, said) = site.ask(true, std::slice::from_ref(&worker));
    assert!(well, "{said}");
    assert_eq!(lines, [&[][..], &["main".to_owned()], &["a".to_owned()]]);
    let main = json!(["main", [site.path("config.yaml")]]);
    let (_, well, said) = site.ask(false, &[main, worker]);
    assert!(!well && said.contains("main: NotADirectoryError"), "{said}");
}

#[test]
fn whoever_is_refused_is_named_with_why() {
    let site = Site::new();
    let workers =
        [site.worker("a", ""), site.worker("b", "refused: true\n"), site.worker("c", "dies: true\n")];
    let (lines, well, said) = site.ask(false, &workers);
    assert!(!well);
    assert_eq!(lines, [&[][..], &["a".to_owned()]]);
    assert!(said.contains("b: ValueError: refused is no option\n"), "{said}");
    // What the kernel killed could say nothing.
    assert!(said.contains("c: ChildProcessError: killed by signal 9"), "{said}");
    // A file that all share and nobody can read: one sentence.
    site.write("config.yaml", "a: [\n");
    let (_, well, said) = site.ask(false, &workers);
    assert!(!well && said.contains("a, b, c: ParserError"), "{said}");
}
