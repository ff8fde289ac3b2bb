//! Ansible's INI: `[group]`, `[group:vars]`, `[group:children]`, a host and its variables a line.

use indexmap::IndexMap;

use super::groups::{Groups, expand};
use crate::import::{Note, shown};

/// What the lines under a heading are.
enum Part {
    Hosts,
    Variables,
    Children,
    Unknown,
}

/// Reads it; lines that are not understood become notes.
pub fn read(text: &str, notes: &mut Vec<Note>) -> Groups {
    let mut groups = Groups::default();
    let (mut name, mut part) = ("ungrouped".to_owned(), Part::Hosts);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let mut strange = |what: &str| {
            let help = "write the host yourself if it is one of yours";
            notes.push(Note::new(format!("line {}", number + 1), what, help));
        };
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[').and_then(heading) {
            (name, part) = heading;
            if matches!(part, Part::Unknown) {
                strange("the heading is none that Ansible knows");
            } else {
                groups.group(&name);
            }
            continue;
        }
        match part {
            Part::Hosts => match host(line) {
                Some((hosts, variables)) => {
                    for host in hosts {
                        groups.group(&name).hosts.entry(host).or_default().extend(variables.clone());
                    }
                }
                None => strange("the line names no host that can be read"),
            },
            Part::Variables => match line.split_once('=') {
                Some((key, value)) => {
                    let value = unquoted(value.trim());
                    groups.group(&name).variables.insert(key.trim().to_owned(), value.to_owned());
                }
                None => strange("the line is no NAME=VALUE"),
            },
            Part::Children => {
                let child = line.split_whitespace().next().unwrap_or_default().to_owned();
                groups.group(&child);
                groups.group(&name).children.insert(child);
            }
            Part::Unknown => {}
        }
    }
    groups
}

/// `matrix:vars]  # comment`; `None`: the line is no heading, but a host whose name begins with a range.
fn heading(rest: &str) -> Option<(String, Part)> {
    let (inside, after) = rest.split_once(']')?;
    if !after.trim().is_empty() && !after.trim_start().starts_with(['#', ';']) {
        return None;
    }
    let (name, part) = match inside.split_once(':') {
        None => (inside, Part::Hosts),
        Some((name, "vars")) => (name, Part::Variables),
        Some((name, "children")) => (name, Part::Children),
        Some((name, _)) => (name, Part::Unknown),
    };
    Some((shown(name.trim()), part))
}

type Line = (Vec<String>, IndexMap<String, String>);

fn host(line: &str) -> Option<Line> {
    let mut words = words(line)?.into_iter();
    let pattern = words.next()?;
    let mut variables = IndexMap::new();
    // `name:2222`; an IPv6 address has more colons, a range has its own in brackets.
    let behind = pattern.rfind(']').map_or(0, |at| at + 1);
    let (pattern, port) = match pattern[behind..].split_once(':') {
        Some((_, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (pattern[..pattern.len() - port.len() - 1].to_owned(), Some(port.to_owned()))
        }
        _ => (pattern, None),
    };
    variables.extend(port.map(|port| ("ansible_port".to_owned(), port)));
    for word in words {
        let (key, value) = word.split_once('=')?;
        variables.insert(key.to_owned(), value.to_owned());
    }
    let hosts = expand(&pattern)?;
    hosts.iter().all(|host| !host.is_empty() && !host.contains('=')).then_some((hosts, variables))
}

/// Words as a shell has them: quotes keep spaces, `#` at the beginning of a word ends the line. Ansible's
/// templates keep theirs too. `None`: a quote is not closed.
pub(super) fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '#') if !begun => break,
            (None, '{') if chars.peek() == Some(&'{') => {
                begun = true;
                word.push(c);
                for c in chars.by_ref() {
                    word.push(c);
                    if word.ends_with("}}") {
                        break;
                    }
                }
            }
            (None, c) if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (None, '\'' | '"') => (quote, begun) = (Some(c), true),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                begun = true;
                word.extend(chars.next());
            }
            (_, c) => {
                begun = true;
                word.push(c);
            }
        }
    }
    if begun {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

fn unquoted(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}
