//! What the program answered, with the questions a scenario asks of it.

use std::process::Output;

use serde_json::Value;

/// A finished run of the binary.
#[derive(Debug, Default)]
pub struct Answer {
    /// Exit code; 128 + signal if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let signal = || 128 + output.status.signal().unwrap_or(0);
        Self {
            code: output.status.code().unwrap_or_else(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Ends the scenario unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Ends the scenario unless both streams together contain this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "does not say {text:?}:\n{}", self.all());
        self
    }

    /// Ends the scenario if either stream contains this.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "says {text:?}:\n{}", self.all());
        self
    }
}

/// A plan as `plan --json` puts it out.
#[derive(Debug)]
pub struct Plan(pub Value);

impl Plan {
    /// `update drift /path` for each change, in order.
    pub fn changes(&self) -> Vec<String> {
        let word = |change: &Value, key: &str| change[key].as_str().unwrap_or("?").to_owned();
        self.list("changes")
            .iter()
            .map(|change| ["operation", "cause", "name"].map(|key| word(change, key)).join(" "))
            .collect()
    }

    /// Titles of the steps, in order.
    pub fn steps(&self) -> Vec<String> {
        self.list("steps").iter().map(|step| step["title"].as_str().unwrap_or("?").to_owned()).collect()
    }

    /// Titles of the steps that start, restart, reload or stop something, in order.
    pub fn service_steps(&self) -> Vec<String> {
        let words = ["start ", "restart ", "reload ", "stop "];
        let service = |title: &String| words.iter().any(|word| title.starts_with(word));
        self.steps().into_iter().filter(|title| service(title) && title != "reload systemd's units").collect()
    }

    /// The change to this resource.
    #[track_caller]
    pub fn change(&self, name: &str) -> &Value {
        let found = self.list("changes").iter().find(|change| change["name"] == name);
        found.unwrap_or_else(|| panic!("nothing about {name} in {:#?}", self.changes()))
    }

    /// `attribute: before -> after` of each attribute that differs in this resource.
    pub fn attributes(&self, name: &str) -> Vec<String> {
        let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
        let attributes = self.change(name)["attributes"].as_array().unwrap();
        attributes
            .iter()
            .map(|one| format!("{}: {} -> {}", word(&one[0]), word(&one[1]), word(&one[2])))
            .collect()
    }

    /// Summaries of why it may not be applied.
    pub fn refusals(&self) -> Vec<String> {
        self.list("refusals").iter().map(|one| one["summary"].as_str().unwrap_or("?").to_owned()).collect()
    }

    fn list(&self, key: &str) -> &[Value] {
        self.0[key].as_array().map_or(&[], Vec::as_slice)
    }
}
