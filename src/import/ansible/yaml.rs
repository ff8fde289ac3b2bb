//! Ansible's YAML: groups with `hosts`, `vars` and `children`.

use indexmap::IndexMap;

use super::groups::{Groups, expand};
use crate::diagnostic::Diagnostic;
use crate::import::{Note, shown};
use crate::yaml::{Kind, Node, parse_lenient};

/// Deepest nesting of groups that is followed.
const DEEPEST: usize = 20;

/// Reads it. What is wrong with the file in one place (a tag like `!vault`, a key twice) becomes a note.
pub fn read(text: &str, notes: &mut Vec<Note>) -> Result<Groups, Vec<Diagnostic>> {
    let (root, found) = parse_lenient(text);
    let Some(root) = root else { return Err(found) };
    let mut groups = Groups::default();
    for (name, node) in map(&root) {
        group(&name, node, 0, &mut groups, notes);
    }
    // Words like `yes`, which one YAML reads as true and another as text, are what Ansible's users write.
    let ambiguous = |diagnostic: &Diagnostic| diagnostic.summary.contains("to some YAML readers");
    for diagnostic in found.iter().filter(|diagnostic| !ambiguous(diagnostic)) {
        let at = format!("line {}", diagnostic.span.line);
        let what = if diagnostic.sensitive { "a value is not read" } else { diagnostic.summary.as_str() };
        notes.push(Note::new(at, shown(what), "look whether it is about a host of yours"));
    }
    Ok(groups)
}

fn group(name: &str, node: &Node, depth: usize, groups: &mut Groups, notes: &mut Vec<Note>) {
    if depth > DEEPEST {
        return;
    }
    groups.group(name);
    for (key, node) in map(node) {
        match key.as_str() {
            "hosts" => {
                for (pattern, node) in map(node) {
                    let Some(hosts) = expand(&pattern) else {
                        let at = format!("line {}", node.span.line);
                        notes.push(Note::new(
                            at,
                            "names no host that can be read",
                            "write the host yourself",
                        ));
                        continue;
                    };
                    for host in hosts {
                        groups.group(name).hosts.entry(host).or_default().extend(variables(node));
                    }
                }
            }
            "vars" => groups.group(name).variables.extend(variables(node)),
            "children" => {
                for (child, node) in map(node) {
                    groups.group(name).children.insert(child.clone());
                    group(&child, node, depth + 1, groups, notes);
                }
            }
            other => {
                let what =
                    format!("{} in group {} is none of hosts, vars, children", shown(other), shown(name));
                notes.push(Note::new(format!("line {}", node.span.line), what, "Ansible ignores it too"));
            }
        }
    }
}

fn map(node: &Node) -> impl Iterator<Item = (String, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|(key, node)| (key.value.clone(), node))
}

/// Scalars as text; lists and mappings say nothing about how a host is reached.
fn variables(node: &Node) -> IndexMap<String, String> {
    let text = |node: &Node| match (&node.kind, &node.written) {
        (Kind::String(text), _) => Some(text.clone()),
        (Kind::Bool(value), _) => Some(value.to_string()),
        (Kind::Int(_) | Kind::Float(_), Some(written)) => Some(written.clone()),
        (Kind::Int(value), None) => Some(value.to_string()),
        _ => None,
    };
    map(node).filter_map(|(key, node)| Some((key, text(node)?))).collect()
}
