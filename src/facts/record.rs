//! The host's own record: what synprov owns there, each thing as last applied.
//!
//! A journal of lines in `/var/lib/synprov/SERVER_NAME/record`, one resource a line, the last line
//! for an address wins, a line without its newline at the end of the file is a torn write and is
//! ignored. Before a step changes things it appends what they are about to be (`pending`), at its
//! end what they are (`applied`): whatever was killed in between is neither lost nor called drift.
//! No secret is ever in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a resource is, attribute by attribute, in the words of its kind: `mode` → `0640`.
pub type Attributes = BTreeMap<String, String>;

/// Format of the record this program writes; newer ones are refused.
pub const FORMAT: u32 = 1;

/// Address of the header line, which is no resource.
pub const HEADER: &str = "synprov";

/// Address of the line with the whole topology, kept on main's host.
pub const TOPOLOGY: &str = "topology";

/// Address of the line with this host's instances as an apply that is under way makes them.
pub const ATTEMPTED: &str = "attempted";

/// The record of one host, folded: at most one entry an address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Header, if the record has one.
    pub header: Option<Header>,
    /// The topology as last applied, on main's host only.
    pub topology: Option<RecordedTopology>,
    /// This host's instances as an apply that has not come to its end was about to make them: what may hold something.
    pub attempted: Option<RecordedTopology>,
    /// Entries by address text, in order of address.
    pub entries: BTreeMap<String, Entry>,
}

/// Who wrote the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// Version of synprov that applied last.
    pub synprov: String,
    /// Digest of the built-in and shadowing modules used.
    pub modules: String,
    /// Counts applies that changed something.
    pub generation: u64,
}

/// One resource as synprov left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Entry {
    /// As last applied; `None` while its first apply is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Attributes>,
    /// As an apply that has not reported back was about to make it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Attributes>,
    /// A service: what it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Started>,
    /// What leaving needs to know and the address does not say, e.g. a file's set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// What a running process was started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Started {
    /// systemd's InvocationID of that start.
    pub invocation: String,
    /// For services that reload by new worker processes: start of the newest one, in ticks since boot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workers: String,
    /// Seconds from its stop, or its start, until it was ready; empty for what reloads or was never awaited.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub took: String,
    /// What it read: label to digest.
    pub inputs: BTreeMap<String, String>,
    /// Set while something it has read is being replaced: the reason for the restart still owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<String>,
    /// With `owed`: reading again while it runs is enough, if what it reads then has this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rereads: Option<String>,
}

/// The topology as main's host remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RecordedTopology {
    /// Host names with the address they were reached at.
    pub hosts: BTreeMap<String, String>,
    /// Instances by name.
    pub instances: BTreeMap<String, RecordedInstance>,
}

/// An instance as last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct RecordedInstance {
    /// Host name.
    pub host: String,
    /// systemd unit.
    pub unit: String,
    /// Listener to port.
    pub ports: BTreeMap<String, u16>,
    /// Streams written and jobs run.
    pub holds: Vec<String>,
}

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer synprov wrote it.
    #[error("its record has format {found}, this synprov knows up to {FORMAT}: use the newer synprov")]
    Newer {
        /// Format found.
        found: u32,
    },
    /// A line that is not the last is no record line.
    #[error("line {line} of its record is damaged: {reason}")]
    Damaged {
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
}

impl Record {
    /// Folds the lines of a record, in file order, without their newlines.
    ///
    /// The last line may be torn (the host lost power while it was written); it is then left out. A record that
    /// is nothing but zero bytes comes as one empty line: nobody ever began to write that.
    pub fn fold(lines: &[&str]) -> Result<Self, RecordError> {
        let mut record = Self::default();
        for (index, line) in lines.iter().enumerate() {
            match record.take(index, line) {
                Err(RecordError::Damaged { .. }) if index + 1 == lines.len() && lines != [""] => {}
                other => other?,
            }
        }
        Ok(record)
    }

    fn take(&mut self, index: usize, line: &str) -> Result<(), RecordError> {
        let record = self;
        {
            let damaged = |reason: String| RecordError::Damaged { line: index + 1, reason };
            let (address, json) = line.split_once('\t').ok_or_else(|| damaged("no tab".to_owned()))?;
            if address == HEADER {
                // The format comes first, so that a newer layout is refused before it is misread.
                let format: serde_json::Value =
                    serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
                let found = format.get("format").and_then(serde_json::Value::as_u64).unwrap_or(0);
                if found > u64::from(FORMAT) {
                    return Err(RecordError::Newer { found: found.try_into().unwrap_or(u32::MAX) });
                }
                record.header =
                    Some(serde_json::from_value(format).map_err(|error| damaged(error.to_string()))?);
            } else if address == TOPOLOGY {
                record.topology =
                    Some(serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?);
            } else if address == ATTEMPTED {
                record.attempted = if json == "-" {
                    None
                } else {
                    Some(serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?)
                };
            } else if json == "-" {
                record.entries.remove(address);
            } else {
                let entry: Entry = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
                record.entries.insert(address.to_owned(), entry);
            }
        }
        Ok(())
    }

    /// The whole record as text, for replacing the journal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Some(header) = &self.header {
            text.push_str(&line(HEADER, header));
        }
        if let Some(topology) = &self.topology {
            text.push_str(&line(TOPOLOGY, topology));
        }
        for (address, entry) in &self.entries {
            text.push_str(&line(address, entry));
        }
        text
    }
}

impl Entry {
    /// The journal line that makes this the entry of `address`.
    pub fn line(&self, address: &str) -> String {
        line(address, self)
    }
}

/// The journal line that removes the entry of `address`.
pub fn forget(address: &str) -> String {
    format!("{address}\t-\n")
}

/// One journal line with its newline.
pub fn line(address: &str, value: &impl Serialize) -> String {
    // Maps with string keys and plain fields cannot fail to serialise.
    format!("{address}\t{}\n", serde_json::to_string(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(text: &str) -> Result<Record, RecordError> {
        Record::fold(&text.lines().collect::<Vec<_>>())
    }

    fn entry(mode: &str) -> Entry {
        Entry { applied: Some(Attributes::from([("mode".into(), mode.into())])), ..Entry::default() }
    }

    #[test]
    fn the_last_line_of_an_address_wins_and_forgetting_removes_it() {
        let text = [entry("1").line("a"), entry("2").line("b"), entry("3").line("a"), forget("b")].concat();
        let record = fold(&text).unwrap();
        assert_eq!(record.entries.len(), 1);
        assert_eq!(record.entries["a"], entry("3"));
        assert_eq!(fold(&record.text()).unwrap(), record);
    }

    #[test]
    fn a_record_of_zero_bytes_is_damaged_and_a_tail_of_them_is_torn() {
        assert!(matches!(Record::fold(&[""]), Err(RecordError::Damaged { line: 1, .. })));
        assert_eq!(Record::fold(&["x/y/file:/a\t-", ""]), Ok(Record::default()));
        assert_eq!(Record::fold(&[]), Ok(Record::default()));
    }

    #[test]
    fn a_newer_format_is_refused() {
        let error = fold("synprov\t{\"format\":2,\"what\":\"ever\"}\n").unwrap_err();
        assert_eq!(error, RecordError::Newer { found: 2 });
    }

    #[test]
    fn a_damaged_line_is_named_and_a_torn_last_line_is_left_out() {
        let error = fold(&format!("a\t{{\"applied\":7}}\n{}", entry("1").line("b"))).unwrap_err();
        assert!(matches!(error, RecordError::Damaged { line: 1, .. }), "{error}");
        let whole = entry("1").line("b") + &entry("2").line("c");
        for cut in entry("1").line("b").len()..whole.len() - 1 {
            assert_eq!(fold(&whole[..cut]).unwrap().entries.len(), 1, "cut at {cut}");
        }
    }
}
