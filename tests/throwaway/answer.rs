//! What the program answered, and the questions a test asks of it.

use std::process::Output;

use serde_json::Value;

/// A finished run of the binary.
#[derive(Debug)]
pub struct Answer {
    /// Exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Standard output, then standard error.
    pub text: String,
    /// Standard output.
    pub stdout: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let text = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        Self { code: output.status.code(), text, stdout }
    }
}

impl Answer {
    /// The exit code must be this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "exit code of\n{}", self.text);
        self
    }

    /// Both streams together must contain this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.text.contains(text), "does not say {text:?}:\n{}", self.text);
        self
    }
}

/// A plan as `plan --json` puts it out.
#[derive(Debug)]
pub struct Plan(pub Value);

impl Plan {
    /// `hs2 update drift /path` for each change, in order.
    pub fn changes(&self) -> Vec<String> {
        self.words("changes", &["host", "operation", "cause", "name"])
    }

    /// `hs2 restart …` for each step, in order.
    pub fn steps(&self) -> Vec<String> {
        self.words("steps", &["host", "title"])
    }

    /// Why it may not be applied.
    pub fn refusals(&self) -> Vec<String> {
        self.words("refusals", &["host", "summary"])
    }

    fn words(&self, list: &str, keys: &[&str]) -> Vec<String> {
        let word = |item: &Value, key: &str| item[key].as_str().unwrap_or("-").to_owned();
        let items = self.0[list].as_array().map_or(&[][..], Vec::as_slice);
        items
            .iter()
            .map(|item| keys.iter().map(|key| word(item, key)).collect::<Vec<_>>().join(" "))
            .collect()
    }
}
