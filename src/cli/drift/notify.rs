//! `--notify command:[…]`: a program of the person's that is told.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

/// A program with its arguments, no shell between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify(Vec<String>);

impl FromStr for Notify {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write command:[PROGRAM, ARGUMENT, …], as in the inventory's secrets".to_owned();
        let list = text.strip_prefix("command:").ok_or_else(|| form.clone())?;
        let (root, found) = crate::yaml::parse_lenient(&format!("command: {list}\n"));
        let items = match root.as_ref().and_then(|root| root.get("command")).map(|node| &node.kind) {
            Some(crate::yaml::Kind::Seq(items)) if found.is_empty() => items,
            _ => return Err(form),
        };
        let words: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
        match words {
            Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(Self(words)),
            _ => Err(format!("{form}; numbers and the like in quotes")),
        }
    }
}

impl Notify {
    /// Runs it with the report on its standard input; what it prints goes to standard error.
    pub fn run(&self, directory: &Path, environment: &[(&str, String)], report: &str) -> Result<(), String> {
        let Some((program, arguments)) = self.0.split_first() else { return Ok(()) };
        let failed = |why: String| format!("{program:?} failed: {why}");
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(directory)
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::from(std::io::stderr()))
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that does not read is none the worse for it.
            drop(stdin.write_all(report.as_bytes()));
        }
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_list_of_words() {
        let words = |text: &str| text.parse::<Notify>().map(|notify| notify.0);
        assert_eq!(words("command:[mail, -s, \"a b\", root]").unwrap(), ["mail", "-s", "a b", "root"]);
        assert!(words("command: [true]").is_err(), "a boolean is no program");
        for wrong in
            ["mail root", "command:mail", "command:[]", "command:[[a]]", "command:{a: b}", "command:[''] "]
        {
            assert!(words(wrong).is_err(), "{wrong}");
        }
    }
}
