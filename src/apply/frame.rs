//! What a host is sent in one piece: bash code that calls the functions of `host/*.sh`, and the bytes they need.

use super::quote::shell;
use crate::facts::generation::KEPT;
use crate::facts::packed::packed;
use crate::plan::step::SecretFile;
use crate::secret::Secret;

/// Where on a host a frame is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// One after the other.
    Main,
    /// Beside those: at most one.
    Beside,
}

/// Code and payload of one frame.
#[derive(Debug, Default)]
pub struct Frame {
    pub(super) code: String,
    payload: Vec<u8>,
    /// What a service other than main may take to be ready.
    pub(super) ready_seconds: u32,
}

impl Frame {
    /// Appends a call; a failing call ends the step.
    pub(super) fn call<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        let words: Vec<String> = words.into_iter().map(shell).collect();
        self.code.push_str(&words.join(" "));
        self.code.push_str(" || exit 1\n");
    }

    /// Appends bytes to the payload and returns `OFFSET`, `LENGTH` as words.
    pub(super) fn attach(&mut self, bytes: &[u8]) -> [String; 2] {
        let offset = self.payload.len();
        self.payload.extend_from_slice(bytes);
        [offset.to_string(), bytes.len().to_string()]
    }

    /// Lines for the record, on disk before whatever comes after them in this frame.
    pub fn record(&mut self, lines: &str) {
        if !lines.is_empty() {
            let [offset, length] = self.attach(lines.as_bytes());
            self.call(["record_append", &offset, &length]);
        }
    }

    /// Replaces the whole record.
    pub fn finish(&mut self, record: &str) {
        let [offset, length] = self.attach(record.as_bytes());
        self.call(["finish", &offset, &length]);
    }

    /// Keeps a generation: its number, and what its files say, which travels compressed.
    pub fn keep_generation(&mut self, number: u64, files: [&str; 4]) {
        let mut words = vec!["keep_generation".to_owned(), number.to_string(), KEPT.to_string()];
        files.iter().for_each(|text| words.extend(self.attach(&packed(text))));
        self.call(words.iter().map(String::as_str));
    }

    /// Asks for a secret's value.
    pub fn fetch(&mut self, name: &str, path: &str) {
        self.call(["fetch_secret", name, path]);
    }

    /// Puts the value back that this run has replaced, and what the record said of it.
    pub fn restore_secret(&mut self, file: &SecretFile, record: &str) {
        let [offset, length] = self.attach(record.as_bytes());
        let SecretFile { name, path, owner, group, mode } = file;
        self.call(["restore_secret", name, path, owner, group, mode, &offset, &length]);
    }

    /// Asks which of these wheels the host lacks, and has it forget all others: lines of digest and name.
    pub fn want_wheels(&mut self, list: &str) {
        let [offset, length] = self.attach(list.as_bytes());
        self.call(["want_wheels", &offset, &length]);
    }

    /// A part of a wheel; with the last one it is held against its digest and put in place.
    pub fn take_wheel(&mut self, name: &str, sha256: &str, first: bool, last: bool, part: &[u8]) {
        let [offset, length] = self.attach(part);
        let (first, last) = (if first { "first" } else { "next" }, if last { "last" } else { "more" });
        self.call(["take_wheel", name, sha256, first, last, &offset, &length]);
    }

    /// The bytes that go to the host: header line, code, payload.
    pub fn bytes(&self, id: &str) -> Secret {
        self.bytes_for(id, Lane::Main)
    }

    /// The same, for a frame that is done in a lane.
    pub fn bytes_for(&self, id: &str, lane: Lane) -> Secret {
        let word = match lane {
            Lane::Main => "step",
            Lane::Beside => "beside",
        };
        let mut bytes = format!("{word} {id} {} {}\n", self.code.len(), self.payload.len()).into_bytes();
        bytes.extend_from_slice(self.code.as_bytes());
        bytes.extend_from_slice(&self.payload);
        Secret::new(bytes)
    }

    /// Lines for the record once everything before them in this frame has succeeded; what only the host
    /// can tell stands in them as a name ([`super::ledger::Ledger::promise`]).
    pub fn done(&mut self, lines: &str) {
        if !lines.is_empty() {
            let [offset, length] = self.attach(lines.as_bytes());
            self.call(["record_done", &offset, &length]);
        }
    }
}
