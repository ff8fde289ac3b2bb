//! Registration files of application services: what Synapse would refuse in them.
//!
//! Source: synapse/config/appservice.py. Text in, findings out: who reads the file knows where it
//! came from. A registration holds tokens, so no value of it is ever in a message.

use crate::yaml::{Kind, Node, parse_lenient};

/// A registration file as text.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'t> {
    /// Name in the inventory.
    pub name: &'t str,
    /// Its YAML.
    pub text: &'t str,
}

/// Fields that must be there as text.
const TEXTS: [&str; 4] = ["id", "as_token", "hs_token", "sender_localpart"];

/// What is wrong with these files, each with the name of its appservice.
pub fn check<'t>(files: &[Registration<'t>]) -> Vec<(&'t str, String)> {
    let mut found = Vec::new();
    let mut taken: Vec<(&str, String, &str)> = Vec::new();
    for file in files {
        let (root, errors) = parse_lenient(file.text);
        let root = match root {
            Some(root) if errors.is_empty() => root,
            _ => {
                let line = errors.first().map_or(1, |error| error.span.line);
                found.push((file.name, format!("line {line} is no YAML")));
                continue;
            }
        };
        let Kind::Map(entries) = &root.kind else {
            found.push((
                file.name,
                "it is no mapping with id, as_token, hs_token, sender_localpart".to_owned(),
            ));
            continue;
        };
        let value = |key: &str| entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node);
        for key in TEXTS {
            match value(key) {
                None => found.push((file.name, format!("it has no {key}"))),
                Some(node) if node.as_str().is_none_or(str::is_empty) => {
                    found.push((file.name, format!("its {key} (line {}) is not text", node.span.line)));
                }
                Some(_) => {}
            }
        }
        match value("url") {
            None => found.push((file.name, "it has no url; null, if it is never to be called".to_owned())),
            Some(node) if node.kind != Kind::Null && node.as_str().is_none() => {
                found
                    .push((file.name, format!("its url (line {}) is neither text nor null", node.span.line)));
            }
            Some(_) => {}
        }
        if let Some(limited) =
            value("rate_limited").filter(|node| !matches!(node.kind, Kind::Bool(_) | Kind::Null))
        {
            found.push((
                file.name,
                format!("its rate_limited (line {}) is not true or false", limited.span.line),
            ));
        }
        found.extend(namespaces(value("namespaces")).into_iter().map(|problem| (file.name, problem)));
        for key in ["id", "as_token"] {
            let Some(mine) = value(key).and_then(Node::as_str) else { continue };
            match taken.iter().find(|(what, other, _)| *what == key && other == mine) {
                Some((_, _, other)) => found.push((file.name, format!("it has the same {key} as {other:?}"))),
                None => taken.push((key, mine.to_owned(), file.name)),
            }
        }
    }
    found
}

/// `namespaces: {users: [{exclusive: true, regex: …}], aliases: …, rooms: …}`.
fn namespaces(node: Option<&Node>) -> Vec<String> {
    let mut found = Vec::new();
    let Some(node) = node else { return found };
    let Kind::Map(spaces) = &node.kind else {
        return match node.kind {
            Kind::Null => found,
            _ => vec![format!("its namespaces (line {}) are no mapping", node.span.line)],
        };
    };
    for (space, list) in spaces {
        let Kind::Seq(items) = &list.kind else {
            if list.kind != Kind::Null {
                found.push(format!("its namespace {} (line {}) is no list", space.value, list.span.line));
            }
            continue;
        };
        for item in items {
            let part = |key: &str| match &item.kind {
                Kind::Map(entries) => {
                    entries.iter().find(|(name, _)| name.value == key).map(|(_, node)| node)
                }
                _ => None,
            };
            if !part("exclusive").is_some_and(|node| matches!(node.kind, Kind::Bool(_)))
                || part("regex").and_then(Node::as_str).is_none()
            {
                found.push(format!(
                    "an entry of its namespace {} (line {}) lacks exclusive: true or false, or regex",
                    space.value, item.span.line
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Registration, check};

    fn said(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<Registration<'_>> =
            files.iter().map(|(name, text)| Registration { name, text }).collect();
        check(&files).into_iter().map(|(name, problem)| format!("{name}: {problem}")).collect()
    }

    const GOOD: &str = "id: irc\nas_token: CANARY1\nhs_token: CANARY2\nsender_localpart: ircbot\nurl: null\nrate_limited: false\nnamespaces: {users: [{exclusive: true, regex: '@irc_.*'}], rooms: []}\n";

    #[test]
    fn good_ones_are_good() {
        assert_eq!(
            said(&[("irc", GOOD), ("other", &GOOD.replace("irc", "tg").replace("CANARY1", "x"))]),
            [""; 0]
        );
    }

    #[test]
    fn bad_ones_are_explained_without_their_tokens() {
        let lines = said(&[
            (
                "a",
                "as_token: [CANARY1]\nurl: 1\nnamespaces: {users: [{regex: x}], rooms: 1}\nrate_limited: maybe",
            ),
            ("b", "{CANARY1"),
            ("c", "- CANARY1"),
            ("d", ""),
            ("e", GOOD),
            ("f", GOOD),
        ]);
        assert!(!lines.join("\n").contains("CANARY"), "{lines:#?}");
        insta::assert_snapshot!("registrations", lines.join("\n"));
    }
}
