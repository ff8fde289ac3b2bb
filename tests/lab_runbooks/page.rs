//! A page under docs/runbooks/ as what it asks a person to do, so that page and test cannot drift apart.
//!
//! - The first comment, `<!-- lab: INVENTORY -->`, names the inventory under tests/data/labs/ to begin with.
//! - A `diff` block is an edit of inventory.yaml: each run of `-` and `+` lines, with the lines around it.
//! - A `console` block has commands behind `$ `, gone on with by `\`; other lines must be in what the one
//!   before says, and `…` stands for anything. A document behind `<< 'END'` belongs to its command. Each command must succeed.
//! - A comment `<!-- lab` to `-->` is a script for the machine itself: what happens to the hosts meanwhile.

/// One thing that is done.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Lines of the inventory become others.
    Edit { from: String, to: String },
    /// A command, and what it must say.
    Run { command: String, says: Vec<String> },
    /// What happens to the hosts.
    Happens(String),
}

/// A parsed page.
#[derive(Debug)]
pub struct Page {
    pub inventory: String,
    pub acts: Vec<Act>,
}

/// Reads a page; one that does nothing is none.
pub fn parse(text: &str) -> Page {
    let inventory = text
        .lines()
        .find_map(|line| line.strip_prefix("<!-- lab: ")?.strip_suffix(" -->"))
        .expect("the page names no inventory")
        .to_owned();
    let mut acts = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        // Blocks of numbered lists are indented.
        let indent = line.len() - line.trim_start().len();
        let mut block = |end: &str| -> Vec<String> {
            let block = lines.by_ref().take_while(|line| line.trim() != end);
            block.map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect()
        };
        match line.trim() {
            "```console" => acts.extend(commands(&block("```"))),
            "```diff" => acts.extend(edits(&block("```"))),
            "<!-- lab" => acts.push(Act::Happens(block("-->").join("\n"))),
            _ => {}
        }
    }
    assert!(acts.iter().any(|act| matches!(act, Act::Run { .. })), "the page runs nothing");
    Page { inventory, acts }
}

fn commands(lines: &[String]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    // What ends the command: a line without a backslash, or this one.
    let (mut open, mut until) = (false, None);
    for line in lines {
        match (line.strip_prefix("$ "), acts.last_mut()) {
            (_, Some(Act::Run { command, .. })) if open => {
                command.push('\n');
                command.push_str(line);
            }
            (Some(command), _) => acts.push(Act::Run { command: command.to_owned(), says: Vec::new() }),
            (None, Some(Act::Run { says, .. })) => says.push(line.clone()),
            (None, _) => panic!("a console block begins with {line:?}"),
        }
        if line.starts_with("$ ") && line.contains("<< 'END'") {
            until = Some("END");
        }
        open = match until {
            Some(end) if line == end => {
                until = None;
                false
            }
            Some(_) => true,
            None => line.ends_with('\\') && (open || line.starts_with("$ ")),
        };
    }
    acts
}

/// A block is one edit: the lines before and after it stand in it.
fn edits(lines: &[String]) -> Vec<Act> {
    let side = |gone: char| -> String {
        let kept = lines.iter().filter(|line| !line.starts_with(gone));
        kept.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
    };
    vec![Act::Edit { from: side('+'), to: side('-') }]
}

/// Whether all that a command must say is said, in this order.
pub fn is_said(says: &[String], said: &str) -> Result<(), String> {
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = squeezed(said);
    for line in says {
        for part in squeezed(line).split('…').map(str::trim).filter(|part| !part.is_empty()) {
            let Some(at) = rest.find(part) else { return Err(part.to_owned()) };
            rest.drain(..at + part.len());
        }
    }
    Ok(())
}

#[test]
fn a_page_is_read() {
    let page = parse(
        "# X\n<!-- lab: a.yaml -->\n1. Do:\n   ```diff\n    hosts:\n   +  b: 1\n   ```\n   ```console\n   $ one \\\n     more\n   said … it\n   $ two\n   ```\n<!-- lab\nkill\n-->\n",
    );
    assert_eq!(page.inventory, "a.yaml");
    let run = |command: &str, says: &[&str]| Act::Run {
        command: command.to_owned(),
        says: says.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(
        page.acts,
        [
            Act::Edit { from: "hosts:\n".to_owned(), to: "hosts:\n  b: 1\n".to_owned() },
            run("one \\\n  more", &["said … it"]),
            run("two", &[]),
            Act::Happens("kill".to_owned()),
        ]
    );
    assert_eq!(is_said(&["a … c".to_owned()], "a  b\nc"), Ok(()));
    assert_eq!(is_said(&["c".to_owned(), "a".to_owned()], "a b c"), Err("a".to_owned()));
}
