//! One thing that somebody does, what `drift` says of it, and how it is put right.

use serde_json::Value;

use crate::heal::HEAL;
use crate::site::Site;

/// A mutation.
pub struct Mutation {
    /// What somebody does, for people.
    pub name: &'static str,
    /// Done as root on the host.
    pub script: String,
    /// Every finding of class drift: `kind name change`; `*` at the end stands for anything.
    pub findings: Vec<String>,
    /// What puts it right where neither `apply` nor a command of the report does.
    pub undo: Option<String>,
}

impl Mutation {
    /// Does it, and insists that `drift` names it and nothing else, until it is healed, and is then silent.
    /// Returns what was named.
    pub fn check(&self, site: &Site) -> String {
        site.sh(&self.script);
        let answer = site.run(&["drift", "--format", "json"]);
        let document: Value = serde_json::from_str(&answer.stdout)
            .unwrap_or_else(|error| panic!("{error}: exit {}\n{}", answer.code, answer.all()));
        crate::formats::assert_valid(&document);
        let mut found: Vec<String> = of_class(&document, "drift").map(words).collect();
        found.sort();
        let mut expected = self.findings.clone();
        expected.sort();
        let fits = |(found, expected): (&String, &String)| match expected.strip_suffix('*') {
            Some(start) => found.starts_with(start),
            None => found == expected,
        };
        assert!(
            found.len() == expected.len() && found.iter().zip(&expected).all(fits),
            "{}: found {found:#?}, expected {expected:#?}\n{document:#}",
            self.name
        );
        let code = if expected.is_empty() { 0 } else { 2 };
        assert_eq!(answer.code, code, "{}\n{}", self.name, answer.all());
        let text = site.run(&["drift"]).exits(code);
        assert_eq!(text.stdout.is_empty(), expected.is_empty(), "{}", text.stdout);
        assert!(text.stdout.lines().count() < 60, "too long for a mail:\n{}", text.stdout);
        self.put_right(site, document);
        is_silent(site);
        site.is_settled();
        found.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", ")
    }

    fn put_right(&self, site: &Site, mut document: Value) {
        if let Some(undo) = &self.undo {
            site.sh(undo);
            return;
        }
        // What one remedy brings to light (a drop-in that was not loaded yet) has its own.
        for _ in 0..3 {
            for finding in of_class(&document, "drift") {
                if let Some(command) = finding["command"].as_str() {
                    site.sh(command);
                }
            }
            site.run(&["apply", "--yes", "--diff", "none", "--allow-datastore-restart"]).exits(0);
            let answer = site.run(&["drift", "--format", "json"]);
            if answer.code == 0 {
                return;
            }
            document = serde_json::from_str(&answer.stdout).unwrap();
        }
        panic!("{} is not healed: {document:#}", self.name);
    }
}

/// Findings of a class.
pub fn of_class<'a>(document: &'a Value, class: &'a str) -> impl Iterator<Item = &'a Value> {
    document["findings"].as_array().unwrap().iter().filter(move |one| one["class"] == class)
}

/// `kind name change`.
pub fn words(finding: &Value) -> String {
    ["kind", "name", "change"].map(|key| finding[key].as_str().unwrap_or("?")).join(" ")
}

/// `drift` prints nothing at all and exits 0.
#[track_caller]
pub fn is_silent(site: &Site) {
    let answer = site.run(&["drift"]);
    assert_eq!((answer.code, answer.all()), (0, String::new()), "not silent");
}

/// Whatever is said, is done; for what comes after a failure. Whether the host is as it was.
pub fn heal(site: &Site) -> bool {
    crate::reset(site);
    for _ in 0..3 {
        let answer = site.run(&["drift", "--format", "json"]);
        let Ok(document) = serde_json::from_str::<Value>(&answer.stdout) else { break };
        for finding in of_class(&document, "drift") {
            if let Some(command) = finding["command"].as_str() {
                let _ = site.lab.exec(crate::site::HOST, &["bash", "-c", command]);
            }
        }
        let answer = site.run(&HEAL);
        if answer.code != 0 {
            eprintln!("could not be healed (exit {}):\n{}", answer.code, answer.all());
        }
    }
    site.run(&["drift"]).code == 0
}
