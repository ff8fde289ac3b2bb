//! Words of `handles`, `writes` and `runs`: what they are says the schema, what follows from them the catalogue.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use synprov::topology::catalogue::{Catalogue, Class, EndpointPattern, Stream};
use synprov::version::Version;

use super::cell;

/// Releases that tables tell apart.
const RELEASES: std::ops::RangeInclusive<u64> = 90..=163;

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
pub fn handles(schema: &Value, catalogue: &Catalogue) -> String {
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
pub fn writes(schema: &Value, catalogue: &Catalogue) -> String {
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
pub fn runs(schema: &Value, catalogue: &Catalogue) -> String {
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
