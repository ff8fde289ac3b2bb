//! Every key and word of the inventory, from what the program itself reads them by.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::{Map, Value, json};
use synprov::diagnostic::Severity;
use synprov::inventory;
use synprov::topology::catalogue::{Catalogue, Class, EndpointPattern, Stream};
use synprov::version::Version;

/// Where the descriptions of keys and words stand.
const SCHEMA: &str = include_str!("../../schema/inventory.schema.json");
/// Releases that tables tell apart.
const RELEASES: std::ops::RangeInclusive<u64> = 90..=163;

/// What a cell holds.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn release(minor: u64) -> Version {
    Version::parse(&format!("1.{minor}.0")).unwrap()
}

/// First release of which something is true, if it is not true of the oldest.
fn since(is: impl Fn(&Version) -> bool) -> Option<u64> {
    RELEASES.clone().find(|&minor| is(&release(minor))).filter(|minor| minor > RELEASES.start())
}

/// A request that the pattern means.
fn sample(pattern: &EndpointPattern) -> String {
    let method = pattern.methods.first().map_or("GET", String::as_str);
    let query = pattern.with.iter().map(|(name, value)| format!("?{name}={value}")).collect::<String>();
    format!("`{method} {}{query}`", path(pattern))
}

/// A path that the pattern means, `…` for what may be anything.
fn path(pattern: &EndpointPattern) -> String {
    let plain = Regex::new(r"\(([^()?]*)\)(\?)?").unwrap();
    let path = pattern.path.trim_start_matches('^').trim_end_matches('$').replace("[^/]+", "…");
    let path = plain.replace_all(&path, |found: &regex::Captures<'_>| {
        let words: Vec<&str> = found[1].split('|').collect();
        match words.iter().find(|word| **word == "v3") {
            _ if found.get(2).is_some() => String::new(),
            Some(word) => (*word).to_owned(),
            None => words[0].replace('$', ""),
        }
    });
    let path = path.replace(".*", "…").replace('\\', "");
    let tried = path.replace('…', "x");
    assert!(Regex::new(&pattern.path).unwrap().is_match(&tried), "{} is no {}", tried, pattern.path);
    path
}

/// Words with what they are, in the schema's order.
fn words(schema: &Value, list: &str) -> Vec<(String, String)> {
    let words = schema["$defs"][list]["oneOf"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    words.iter().map(|word| (text(&word["const"]), text(&word["description"]))).collect()
}

fn quoted<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `handles:`.
fn handles(schema: &Value, catalogue: &Catalogue) -> String {
    let mut rows = String::new();
    for (word, what) in words(schema, "handles") {
        let classes: Vec<&Class> =
            catalogue.classes.iter().filter(|class| class.words.contains(&word)).collect();
        let newest = release(*RELEASES.end());
        // What has its name is what it is for; a wide word shows something of each class.
        let own = classes.iter().filter(|class| class.words.first() == Some(&word)).copied();
        let own: Vec<&Class> = own.chain(classes.iter().copied()).collect();
        let patterns: Vec<&EndpointPattern> =
            classes.iter().flat_map(|class| &class.endpoints).filter(|one| one.active(&newest)).collect();
        let mut samples: Vec<String> = Vec::new();
        for at in 0..2 {
            for class in &own {
                let found = class.endpoints.iter().filter(|one| one.active(&newest)).nth(at).map(sample);
                samples.extend(found.filter(|found| !samples.contains(found)));
            }
        }
        let mut narrower = BTreeSet::new();
        for class in &classes {
            narrower.extend(class.words.iter().take_while(|other| **other != word).map(String::as_str));
        }
        let mut notes = Vec::new();
        if !narrower.is_empty() {
            notes.push(format!("not what a pool with {} takes", quoted(narrower)));
        }
        for class in classes.iter().filter(|class| class.writer_only) {
            notes.push(format!("only with `writes: [{}]`", class.stream.as_ref().unwrap()));
        }
        if classes.iter().any(|class| class.single) {
            notes.push("only the first process serves it".to_owned());
        }
        rows += &format!(
            "| `{word}` | {} | {} | {} | {} |\n",
            cell(&what),
            patterns.len(),
            samples[..samples.len().min(2)].join(", "),
            notes.join("; ")
        );
    }
    format!(
        "## Words of `handles`\n\n\
         Classes of endpoints. What no pool handles is main's. A pool with `media` handles nothing else.\n\
         Patterns: how many expressions on paths belong to it with Synapse {}; `synprov route METHOD PATH` says where one \
         request goes.\n\n\
         | word | what it serves | patterns | such as | bounds |\n| --- | --- | --- | --- | --- |\n{rows}",
        format_args!("1.{}", RELEASES.end()),
    )
}

/// How many may do it.
fn many(shared: impl Fn(&Version) -> bool, known: Option<u64>) -> String {
    match (since(&shared), shared(&release(*RELEASES.end()))) {
        (Some(first), _) if Some(first) != known => format!("one; several since 1.{first}"),
        (_, true) => "several".to_owned(),
        (_, false) => "one".to_owned(),
    }
}

/// `writes:`.
fn writes(schema: &Value, catalogue: &Catalogue) -> String {
    let mut rows = String::new();
    for (word, what) in words(schema, "writes") {
        let stream: &Stream = catalogue.stream(&word).unwrap();
        let known = since(|version| stream.known(version));
        let mut notes = Vec::new();
        let classes: Vec<&Class> =
            catalogue.classes.iter().filter(|class| class.stream.as_ref() == Some(&word)).collect();
        let newest = release(*RELEASES.end());
        let requests: Vec<String> = classes
            .iter()
            .filter_map(|class| class.endpoints.iter().find(|one| one.active(&newest)))
            .map(path)
            .map(|path| format!("`{path}`"))
            .collect();
        if stream.with_media {
            notes.push("only pools that handle `media`, the first of them unasked");
        }
        rows += &format!(
            "| `{word}` | {} | {} | {} | {} | {} |\n",
            cell(&what),
            many(|version| stream.shared(version), known),
            known.map_or_else(|| "always".to_owned(), |minor| format!("1.{minor}")),
            requests.join(", "),
            notes.join("; ")
        );
    }
    format!(
        "## Words of `writes`\n\n\
         Streams of Synapse. One that no pool writes is main's. Several writers may be processes of one pool or of several.\n\
         Requests named here go to its writers, also without `handles`.\n\n\
         | word | what it is | writers | since | requests | bounds |\n\
         | --- | --- | --- | --- | --- | --- |\n{rows}"
    )
}

/// `runs:`.
fn runs(schema: &Value, catalogue: &Catalogue) -> String {
    let mut rows = String::new();
    for (word, what) in words(schema, "runs") {
        let job = catalogue.job(&word).unwrap();
        let bounds =
            if job.with_media { "only pools that handle `media`, the first of them unasked" } else { "" };
        let processes = if job.shared() { "several" } else { "one" };
        rows += &format!("| `{word}` | {} | {processes} | `{}` | {bounds} |\n", cell(&what), job.key);
    }
    format!(
        "## Words of `runs`\n\n\
         Jobs. One that no pool runs is done by main; without `outbound_federation` each process sends its own requests.\n\n\
         | word | what the job is | processes | key of homeserver.yaml | bounds |\n| --- | --- | --- | --- | --- |\n{rows}"
    )
}

/// The schema, with what it refers to.
struct Schema<'a> {
    whole: &'a Value,
    /// Mappings that were told.
    told: BTreeSet<String>,
    out: String,
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
    fn mapping(&mut self, path: &str, node: &Value) {
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

/// An inventory that says this besides what each needs.
fn inventory_with(place: &str, value: Value) -> String {
    let mut inventory = json!({
        "hosts": {"hs1": {"address": "192.0.2.10"}},
        "synapse": {"server_name": "example.org", "version": "1.163.2"},
        "postgresql": {"host": "hs1"},
        "redis": {"host": "hs1"},
        "main": {"host": "hs1"},
        "workers": {"sync": {"host": "hs1", "handles": ["sync"]}},
    });
    let (mapping, key) = place.rsplit_once('/').unwrap();
    inventory.pointer_mut(mapping).unwrap()[key] = value;
    serde_json::to_string(&inventory).unwrap()
}

/// What is bounded, by how much, and an inventory that has so much.
type Bound = (&'static str, usize, fn(usize) -> String);

const MOST: &[Bound] = &[
    ("processes of a pool on one host", 100, |most| inventory_with("/workers/sync/count", json!(most))),
    ("`weight`", 256, |most| inventory_with("/workers/sync/weight", json!(most))),
    ("characters in the name of a pool", 63, |most| {
        inventory_with(
            &format!("/workers/{}", "a".repeat(most)),
            json!({"host": "hs1", "handles": ["media"]}),
        )
    }),
    ("entries of a list", 1000, |most| {
        let keys: Vec<String> = (0..most).map(|number| format!("key{number}")).collect();
        inventory_with("/hosts/hs1/identity_files", json!(keys))
    }),
    ("bytes in a value of `environment`", 4096, |most| {
        inventory_with("/main/environment", json!({"A": "a".repeat(most)}))
    }),
    ("bytes in the whole file", 1 << 20, |most| {
        let inventory = inventory_with("/main/nice", json!(1));
        format!("{inventory}{}", "\n".repeat(most - inventory.len()))
    }),
];

/// The bounds, each tried at the parser.
fn limits() -> String {
    let is_refused =
        |text: &str| inventory::parse(text).1.iter().any(|found| found.severity == Severity::Error);
    let mut rows = String::new();
    for (what, most, with) in MOST {
        assert!(
            !is_refused(&with(*most)),
            "{most} {what} are refused: {:?}",
            inventory::parse(&with(*most)).1
        );
        assert!(is_refused(&with(most + 1)), "more than {most} {what} are accepted");
        rows += &format!("| {what} | {most} |\n");
    }
    let memory = |size: &str| inventory_with("/main/memory_max", json!(size));
    assert!(is_refused(&memory("127M")) && !is_refused(&memory("128M")));
    format!(
        "## Limits\n\n`check` refuses what is beyond these. Bounds of other numbers stand at their keys.\n\n\
         | what | at most |\n| --- | --- |\n{rows}\n`memory_max` and `memory_high` are at least `128M`.\n"
    )
}

/// The page.
pub fn page() -> String {
    let whole: Value = serde_json::from_str(SCHEMA).unwrap();
    let catalogue = Catalogue::builtin().unwrap();
    let mut schema = Schema { whole: &whole, told: BTreeSet::new(), out: String::new() };
    for (key, node) in whole["properties"].as_object().unwrap() {
        schema.mapping(key, node);
    }
    format!(
        "# Keys, words and limits of the inventory\n\n\
         Written by `SYNPROV_WRITE=1 cargo test --test docs` from `schema/inventory.schema.json` and \
         `modules/worker/endpoints.yaml`; changes here are lost. [inventory.md](../inventory.md) explains.\n\n\
         {}\n{}\n{}\n{}\n## Keys\n{}",
        handles(&whole, catalogue),
        writes(&whole, catalogue),
        runs(&whole, catalogue),
        limits(),
        schema.out
    )
}
