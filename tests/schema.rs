//! `synprov schema` against the parser: neither knows a key or a word that the other does not.
//!
//! The parser is asked from outside. At every mapping of the schema it gets a key that nobody
//! knows, and its help lists those it does know; likewise for words of closed lists.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Map, Value, json};
use synprov::diagnostic::Severity;
use synprov::{inventory, yaml};

const SCHEMA: &str = include_str!("../schema/inventory.schema.json");
const FILE: &str = "schema/inventory.schema.json";
/// Like no key and no word.
const BOGUS: &str = "qqqqqqqqqqqqqqqqqqqqqqqq";

/// Errors of an inventory: summary and help.
fn errors(inventory: &Value) -> Vec<(String, String)> {
    let text = serde_json::to_string_pretty(inventory).unwrap();
    let found = inventory::parse(&text).1;
    let errors = found.into_iter().filter(|found| found.severity == Severity::Error);
    errors.map(|found| (found.summary, found.help.into_iter().collect::<Vec<_>>().join("\n"))).collect()
}

/// A whole inventory with these top-level keys instead of its own.
fn inventory_with(keys: Value) -> Value {
    let mut base = json!({
        "hosts": {"hs1": {"address": "192.0.2.10"}},
        "synapse": {"server_name": "example.org", "version": "1.163.2", "secrets": {"smtp": "env:SMTP"}},
        "postgresql": {"host": "hs1"},
        "redis": {"host": "hs1"},
        "main": {"host": "hs1"},
    });
    for (key, value) in keys.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

/// A place in the inventory.
struct Place<'a> {
    /// `workers.*.handles`
    name: String,
    /// A whole inventory with this value in the place.
    with: &'a dyn Fn(Value) -> Value,
    /// What stands there where nothing is wrong but what is missing.
    empty: Value,
}

struct Walk {
    schema: Value,
    wrong: Vec<String>,
    keys: usize,
}

impl Walk {
    /// The node with what it refers to.
    fn resolved(&self, node: &Value) -> Map<String, Value> {
        let mut node = node.as_object().unwrap().clone();
        while let Some(name) = node.remove("$ref") {
            let name = name.as_str().unwrap().strip_prefix("#/$defs/").unwrap().to_owned();
            for (key, value) in self.schema["$defs"][&name].as_object().unwrap_or_else(|| panic!("no {name}"))
            {
                node.entry(key.clone()).or_insert(value.clone());
            }
        }
        node
    }

    /// Errors that the value brings to its place.
    fn brings(&self, place: &Place<'_>, value: Value) -> Vec<(String, String)> {
        let before = errors(&(place.with)(place.empty.clone()));
        let known: BTreeSet<&String> = before.iter().map(|(summary, _)| summary).collect();
        errors(&(place.with)(value)).into_iter().filter(|(summary, _)| !known.contains(summary)).collect()
    }

    fn node(&mut self, node: &Value, place: &Place<'_>) {
        let whole = self.resolved(node);
        let alternatives =
            ["oneOf", "anyOf"].into_iter().filter_map(|key| whole.get(key)?.as_array()).flatten();
        let is_mapping = |node: &Map<String, Value>| node.get("type").is_some_and(|kind| kind == "object");
        let mapping = is_mapping(&whole) || alternatives.clone().any(|one| is_mapping(&self.resolved(one)));
        let found = errors(&(place.with)(json!({BOGUS: 1})));
        if !mapping && found.iter().any(|(summary, _)| summary.contains(BOGUS)) {
            self.wrong
                .push(format!("{}: the parser knows a mapping there: describe it in {FILE}", place.name));
        }
        self.alternative(node, place);
    }

    fn alternative(&mut self, node: &Value, place: &Place<'_>) {
        let node = self.resolved(node);
        let mut constants = BTreeSet::new();
        let mut open = false;
        if let Some(words) = node.get("enum").and_then(Value::as_array) {
            constants.extend(words.iter().map(|word| word.as_str().unwrap().to_owned()));
        }
        for key in ["oneOf", "anyOf"] {
            for one in node.get(key).and_then(Value::as_array).into_iter().flatten() {
                let one = self.resolved(one);
                if let Some(word) = one.get("const") {
                    constants.extend(word.as_str().map(str::to_owned));
                } else if one.contains_key("type") {
                    open |= one["type"] == "string";
                    self.alternative(&Value::Object(one), place);
                }
            }
        }
        if !constants.is_empty() {
            self.words(&constants, open, place);
        }
        for example in node.get("examples").and_then(Value::as_array).into_iter().flatten() {
            for (summary, help) in self.brings(place, example.clone()) {
                self.wrong.push(format!(
                    "{}: the parser refuses the example {example}: {summary}; {help}",
                    place.name
                ));
            }
        }
        if let Some(items) = node.get("items") {
            let with = |value: Value| (place.with)(json!([value]));
            self.node(items, &Place { name: format!("{}[]", place.name), with: &with, empty: Value::Null });
        }
        if node.get("type").is_some_and(|kind| kind == "object") {
            self.mapping(&node, place);
        }
    }

    fn mapping(&mut self, node: &Map<String, Value>, place: &Place<'_>) {
        let name = &place.name;
        match (node.get("properties").and_then(Value::as_object), node.get("additionalProperties")) {
            (Some(properties), Some(Value::Bool(false))) => {
                self.keys(properties, place);
                for (key, property) in properties {
                    self.keys += 1;
                    if !self.resolved(property).contains_key("description") {
                        self.wrong.push(format!("{name}.{key}: {FILE} has no description"));
                    }
                    let with = |value: Value| (place.with)(json!({key: value}));
                    let at = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    self.node(property, &Place { name: at, with: &with, empty: json!({}) });
                }
            }
            (None, Some(each @ Value::Object(_))) => {
                let with = |value: Value| (place.with)(json!({"probe": value}));
                self.node(each, &Place { name: format!("{name}.*"), with: &with, empty: json!({}) });
            }
            // Free mappings: whatever Synapse, psycopg2 or an environment knows.
            (None, None | Some(Value::Bool(true))) => {
                for (summary, _) in self.brings(place, json!({BOGUS: 1})) {
                    self.wrong
                        .push(format!("{name}: {FILE} allows any key there, the parser says: {summary}"));
                }
            }
            _ => self
                .wrong
                .push(format!("{name}: {FILE} lists properties without \"additionalProperties\": false")),
        }
    }

    /// The keys that the parser knows there are those of the schema.
    fn keys(&mut self, properties: &Map<String, Value>, place: &Place<'_>) {
        let name = if place.name.is_empty() { "the top level" } else { &place.name };
        let found = errors(&(place.with)(json!({BOGUS: 1})));
        let unknown = format!("unknown key \"{BOGUS}\"");
        let Some((_, help)) = found.iter().find(|(summary, _)| summary.starts_with(&unknown)) else {
            // `{secret: NAME}` is refused as a whole.
            if properties.len() == 1 && found.iter().any(|(summary, _)| summary.contains(" must be {")) {
                return;
            }
            self.wrong.push(format!(
                "{name}: the parser has no closed set of keys there, {FILE} has; it says {found:?}"
            ));
            return;
        };
        let known = known(help);
        for key in known.iter().filter(|key| !properties.contains_key(*key)) {
            self.wrong.push(format!("{name}: the parser knows {key:?}: describe it in {FILE}"));
        }
        for key in properties.keys().filter(|key| !known.contains(*key)) {
            self.wrong.push(format!("{name}: {FILE} has {key:?}, which the parser does not know"));
        }
    }

    /// The words that the parser knows there are those of the schema.
    fn words(&mut self, words: &BTreeSet<String>, open: bool, place: &Place<'_>) {
        let name = &place.name;
        for word in words {
            for (summary, help) in self.brings(place, json!(word)) {
                self.wrong.push(format!("{name}: {FILE} has {word:?}, the parser says: {summary}; {help}"));
            }
        }
        if open {
            return;
        }
        let refused = self.brings(place, json!(BOGUS));
        if refused.is_empty() {
            self.wrong.push(format!("{name}: {FILE} has a closed list of words there, the parser takes any"));
        }
        for known in refused.iter().map(|(_, help)| known(help)).filter(|known| !known.is_empty()) {
            for word in known.difference(words) {
                self.wrong.push(format!("{name}: the parser knows {word:?}: describe it in {FILE}"));
            }
        }
    }
}

/// The list in a help: `known: a, b`.
fn known(help: &str) -> BTreeSet<String> {
    let list = help.lines().find_map(|line| line.strip_prefix("known: ")).unwrap_or_default();
    list.split(", ").filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn the_parser_and_the_schema_know_the_same_keys_and_words() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let mut walk = Walk { schema: schema.clone(), wrong: Vec::new(), keys: 0 };
    walk.node(&schema, &Place { name: String::new(), with: &inventory_with, empty: json!({}) });
    assert!(walk.wrong.is_empty(), "\n{}\n", walk.wrong.join("\n"));
    assert!(walk.keys > 60, "only {} keys were looked at", walk.keys);
}

fn json_of(text: &str) -> Value {
    yaml::parse(text).unwrap().to_json()
}

fn folder(path: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let yaml = files.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    yaml.filter_map(|path| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?))).collect()
}

#[test]
fn our_inventories_are_valid_by_the_schema() {
    let validator = jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let files = [folder("inventories"), folder("tests/data/labs")].concat();
    assert!(files.len() >= 5);
    for (name, text) in files {
        let found: Vec<String> = validator
            .iter_errors(&json_of(&text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

#[test]
fn what_the_parser_refuses_for_its_keys_the_schema_refuses_too() {
    let validator = jsonschema::draft202012::new(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let mut looked_at = 0;
    for (name, text) in folder("tests/data/bad") {
        let (_, found) = inventory::parse(&text);
        let Ok(node) = yaml::parse(&text) else { continue };
        let about_keys = |summary: &str| summary.starts_with("unknown ") || summary.contains(" has no \"");
        if found.iter().any(|one| one.severity == Severity::Error && about_keys(&one.summary)) {
            looked_at += 1;
            assert!(!validator.is_valid(&node.to_json()), "{name} is valid by the schema");
        }
    }
    assert!(looked_at >= 10, "only {looked_at}");
}

#[test]
fn the_command_prints_the_committed_file() {
    Command::cargo_bin("synprov").unwrap().arg("schema").assert().code(0).stdout(SCHEMA).stderr("");
}
