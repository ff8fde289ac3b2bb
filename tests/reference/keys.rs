//! Every key of the inventory, as the schema has it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::cell;

/// The schema, with what it refers to.
pub struct Schema<'a> {
    pub whole: &'a Value,
    /// Mappings that were told.
    pub told: BTreeSet<String>,
    pub out: String,
}

impl Schema<'_> {
    fn resolved(&self, node: &Value) -> Map<String, Value> {
        let mut node = node.as_object().unwrap().clone();
        while let Some(name) = node.remove("$ref") {
            let name = name.as_str().unwrap().trim_start_matches("#/$defs/");
            for (key, value) in self.whole["$defs"][name].as_object().unwrap() {
                node.entry(key.clone()).or_insert(value.clone());
            }
        }
        node
    }

    /// The node and what it may be instead.
    fn ways(&self, node: &Value) -> Vec<Map<String, Value>> {
        let node = self.resolved(node);
        let others = ["oneOf", "anyOf"].into_iter().filter_map(|key| node.get(key)?.as_array()).flatten();
        let others: Vec<_> =
            others.filter(|way| way.get("required").is_none() || way.get("type").is_some()).collect();
        let others = others.into_iter().flat_map(|way| self.ways(way)).collect::<Vec<_>>();
        std::iter::once(node).chain(others).collect()
    }

    /// What may stand there.
    fn values(&self, node: &Value) -> String {
        let (mut said, mut example) = (Vec::new(), None);
        for way in self.ways(node) {
            example = example.or_else(|| way.get("examples").map(|all| format!("`{}`", flow(&all[0]))));
            let word = |value: &Value| format!("`{}`", value.as_str().unwrap());
            if let Some(value) = way.get("const") {
                let what = way.get("description").and_then(Value::as_str);
                said.push(word(value) + &what.map_or_else(String::new, |what| format!(" ({what})")));
            } else if let Some(all) = way.get("enum") {
                said.extend(all.as_array().unwrap().iter().map(word));
            } else {
                let bound = |key: &str| way.get(key).map(ToString::to_string);
                said.extend(match (bound("minimum"), bound("maximum"), bound("exclusiveMinimum")) {
                    (Some(least), Some(most), _) => Some(format!("{least} to {most}")),
                    (_, Some(most), Some(least)) => Some(format!("more than {least}, at most {most}")),
                    _ if way.get("type").is_some_and(|kind| kind == "boolean") => {
                        Some("`true`, `false`".to_owned())
                    }
                    _ => None,
                });
            }
            let Some(items) = way.get("items") else { continue };
            let list =
                items.get("$ref").and_then(Value::as_str).and_then(|list| list.strip_prefix("#/$defs/"));
            match list.filter(|list| ["handles", "writes", "runs"].contains(list)) {
                Some(list) => said.push(format!("[words](#words-of-{list})")),
                None => {
                    let ways = self.ways(items);
                    let words = ways.iter().filter_map(|way| way.get("enum")?.as_array()).flatten();
                    said.extend(words.map(word));
                }
            }
        }
        said.extend(example.map(|example| format!("e.g. {example}")));
        cell(&said.join(", "))
    }

    /// A table of the mapping's keys, and of those below it.
    pub fn mapping(&mut self, path: &str, node: &Value) {
        for way in self.ways(node) {
            if let Some(entry) = way.get("additionalProperties").filter(|entry| entry.is_object()) {
                self.mapping(&format!("{path}.NAME").replace("routes.NAME", "routes"), entry);
            }
            if let Some(items) = way.get("items") {
                self.mapping(path, items);
            }
            let Some(properties) = way.get("properties").and_then(Value::as_object) else { continue };
            let mut table = String::new();
            for (key, node) in properties {
                let what = self.ways(node).iter().find_map(|way| way.get("description").cloned());
                let what = what.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
                let needed = way
                    .get("required")
                    .and_then(Value::as_array)
                    .is_some_and(|all| all.contains(&key.as_str().into()));
                let what = cell(&what) + if needed { ". Required" } else { "" };
                table += &format!("| `{key}` | {what} | {} |\n", self.values(node));
            }
            // What a process runs with stands in three places, and each says the same.
            if self.told.insert(table.clone()) {
                self.out +=
                    &format!("\n### {path}\n\n| key | what it is | values |\n| --- | --- | --- |\n{table}");
                for (key, node) in properties {
                    self.mapping(&format!("{path}.{key}"), node);
                }
            }
        }
    }
}

/// A value as it stands in an inventory, on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(keys) => {
            let keys = keys.iter().map(|(key, value)| format!("{key}: {}", flow(value)));
            format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
