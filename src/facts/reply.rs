//! Reads the answer of the facts script. Whatever a host sends is data: bounded, typed, never run.

use base64::Engine as _;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::conversation::clean;
use super::generation::{Stored, parse_meta};
use super::host::{
    HostFacts, PathFact, PostgresqlFact, ProcessFact, Reached, SecretFact, Secretful, UnitFact, VenvFact,
};
use super::record::{Record, RecordError};
use super::request::Port;

/// No host's facts have more bytes (contents of files are capped at a sixteenth of it), or more lines.
const LONGEST: usize = 64 << 20;
const MOST: usize = 200_000;
/// More kinds of process than this are on no host.
const SERVED: usize = 500;
/// More generations than this are on no host.
const GENERATIONS: usize = 1000;
/// No time is farther from the epoch, in seconds (the year 33,658): what is computed with times cannot overflow.
const FARTHEST: u64 = 1_000_000_000_000;
/// More background updates than this need not be named.
const UPDATES: usize = 20;

/// Why an answer is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The script stopped before its last line.
    #[error("its facts are incomplete")]
    CutShort,
    /// There is no end to it.
    #[error("its facts have no end: {} MiB and {MOST} lines are the most", LONGEST >> 20)]
    Endless,
    /// A line of unknown form.
    #[error("its facts have a line that is not understood: {0:?}")]
    Line(String),
    /// The record cannot be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The script itself reported an error.
    #[error("its facts script failed: {0}")]
    Script(String),
}

/// Takes lines one at a time until the script says that it is at its end.
#[derive(Debug, Default)]
pub struct Reply {
    facts: HostFacts,
    record: Vec<String>,
    unit: String,
    bytes: usize,
    lines: usize,
    complete: bool,
}

impl Reply {
    /// Takes one line without its newline. `Ok(true)` after the last one.
    pub fn take(&mut self, line: &str) -> Result<bool, ReplyError> {
        self.bytes += line.len() + 1;
        self.lines += 1;
        if self.bytes > LONGEST || self.lines > MOST {
            return Err(ReplyError::Endless);
        }
        let (tag, rest) = line.split_once('\t').unwrap_or((line, ""));
        let bad = || ReplyError::Line(line.chars().take(120).collect());
        let fields: Vec<&str> = rest.split('\t').collect();
        let facts = &mut self.facts;
        match (tag, fields.as_slice()) {
            ("end", _) => {
                self.complete = true;
                return Ok(true);
            }
            ("error", _) => return Err(ReplyError::Script(clean(rest))),
            ("record", _) => self.record.push(rest.to_owned()),
            ("now", [text]) => facts.now = microseconds(text).ok_or_else(bad)?,
            ("uptime", [text]) => facts.uptime = microseconds(text).ok_or_else(bad)?,
            ("euid", [text]) => facts.euid = text.parse().map_err(|_| bad())?,
            ("machine", [text]) => facts.machine = (*text).to_owned(),
            ("bash", [_]) => {}
            ("systemd", _) => facts.systemd = true,
            ("python", [text]) => facts.python = (*text).to_owned(),
            ("os", ["ID", text]) => facts.os_id = (*text).to_owned(),
            ("os", ["VERSION_ID", text]) => facts.os_version = (*text).to_owned(),
            ("os", ["PRETTY_NAME", text]) => facts.os_name = (*text).to_owned(),
            ("path", [kind, mode, owner, group, size, changed, touched, path]) => {
                let fact = PathFact {
                    kind: path_kind(kind),
                    mode: format!("{mode:0>4}"),
                    owner: (*owner).to_owned(),
                    group: (*group).to_owned(),
                    size: size.parse().map_err(|_| bad())?,
                    changed: microseconds(changed).ok_or_else(bad)?,
                    touched: microseconds(touched).ok_or_else(bad)?,
                    ..PathFact::default()
                };
                facts.paths.insert((*path).to_owned(), fact);
            }
            ("link", [path, target]) => path_of(facts, path).link = Some((*target).to_owned()),
            ("digest", [digest, path]) => path_of(facts, path).digest = Some((*digest).to_owned()),
            ("secretful", [path, state]) => {
                path_of(facts, path).secretful = Some(match *state {
                    "same" => Secretful::Same,
                    "edited" => Secretful::Edited,
                    _ => Secretful::Unknown,
                });
            }
            ("content", [path, base64]) => {
                let content = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| bad())?;
                path_of(facts, path).content = Some(content);
            }
            ("unit", [unit]) if !unit.is_empty() => {
                self.unit = (*unit).to_owned();
                facts.units.insert(self.unit.clone(), UnitFact::default());
            }
            ("property", _) => {
                let (key, value) = rest.split_once('=').ok_or_else(bad)?;
                let unit = facts.units.get_mut(&self.unit).ok_or_else(bad)?;
                property(unit, key, value);
            }
            ("child", [pid, ticks]) => {
                let unit = facts.units.get_mut(&self.unit).ok_or_else(bad)?;
                unit.workers.push((pid.parse().map_err(|_| bad())?, ticks.parse().map_err(|_| bad())?));
            }
            ("state", [unit, kilobytes, program, missing]) => {
                let memory = kilobytes.parse::<u64>().map_err(|_| bad())?.saturating_mul(1024);
                let fact = ProcessFact { memory, program: clean(program), missing: clean(missing) };
                facts.processes.insert((*unit).to_owned(), fact);
            }
            ("package", [name, version, status]) => {
                if *status == "installed" {
                    // `name:arch` for packages that exist in several architectures.
                    let name = name.split(':').next().unwrap_or(name);
                    facts.packages.insert(name.to_owned(), (*version).to_owned());
                }
            }
            ("registered", [line]) if facts.served.len() < SERVED => facts.served.push((*line).to_owned()),
            ("reached", [address, port, how]) => {
                let port = port.parse().map_err(|_| bad())?;
                let how = match *how {
                    "open" => Reached::Open,
                    "refused" => Reached::Refused,
                    "silent" => Reached::Silent,
                    said => Reached::Failed(clean(said)),
                };
                facts.reached.insert(Port { address: (*address).to_owned(), port }, how);
            }
            ("unserved", _) => facts.unserved = clean(rest),
            ("user", [name, line]) => {
                facts.users.insert((*name).to_owned(), (*line).to_owned());
            }
            ("venv", [path, packages, state]) => {
                let fact = VenvFact { packages: (*packages).into(), state: (*state).into(), synapse: None };
                facts.venvs.insert((*path).to_owned(), fact);
            }
            ("synapse", [path, version]) => {
                if let Some(venv) = facts.venvs.get_mut(*path) {
                    venv.synapse = Some((*version).to_owned());
                }
            }
            ("secret", [name, nonced, revision]) => {
                let revision = if *revision == "-" { String::new() } else { (*revision).to_owned() };
                facts.secrets.insert((*name).to_owned(), SecretFact { nonced: (*nonced).into(), revision });
            }
            ("key", [path, key]) => facts.keys.entry((*path).to_owned()).or_default().push((*key).to_owned()),
            ("directive", [name, path, value]) => {
                let value = value.parse().map_err(|_| bad())?;
                facts.directives.insert(((*name).to_owned(), (*path).to_owned()), value);
            }
            ("watched", fields) => facts.watched.take(fields).ok_or_else(bad)?,
            ("postgresql", ["absent"]) => facts.postgresql = None,
            ("postgresql", ["unreachable"]) => postgresql(facts).unreachable = true,
            ("postgresql", ["version", number]) => {
                postgresql(facts).version = number.parse().map_err(|_| bad())?;
            }
            ("pg_setting", [name, value, pending]) => {
                postgresql(facts).settings.insert((*name).to_owned(), ((*value).to_owned(), *pending == "t"));
            }
            ("pg_role", [_, login]) => postgresql(facts).role = Some(*login == "t"),
            ("pg_database", [_, encoding, collate, ctype, owner]) => {
                let database = ((*encoding).into(), (*collate).into(), (*ctype).into(), (*owner).into());
                postgresql(facts).database = Some(database);
            }
            ("pg_peer", [address, "scram-sha-256"]) => postgresql(facts).peers.push((*address).to_owned()),
            ("pg_peer", _) => {}
            ("pg_holds", fields) => holds(facts, fields).ok_or_else(bad)?,
            ("claim", [config, name]) => {
                facts.claims.insert((*config).to_owned(), clean(name));
            }
            ("generation", [number, base64]) => {
                let number = number.parse().map_err(|_| bad())?;
                let text = base64::engine::general_purpose::STANDARD.decode(base64).map_err(|_| bad())?;
                // One that cannot be read is not there; to go back to it is refused for that.
                if let (true, Ok(meta)) =
                    (facts.generations.len() < GENERATIONS, parse_meta(&String::from_utf8_lossy(&text)))
                {
                    facts.generations.insert(number, meta);
                }
            }
            ("kept", [number]) => {
                let number = number.parse().map_err(|_| bad())?;
                facts.generation = Some(Stored::new(number));
            }
            ("kept", [file, base64]) => {
                let stored = facts.generation.as_mut().ok_or_else(bad)?;
                stored.take(file, base64).ok_or_else(bad)?;
            }
            _ => return Err(bad()),
        }
        Ok(false)
    }

    /// The facts, if the answer is complete.
    pub fn finish(mut self) -> Result<HostFacts, ReplyError> {
        if !self.complete {
            return Err(ReplyError::CutShort);
        }
        let lines: Vec<&str> = self.record.iter().map(String::as_str).collect();
        self.facts.record = Record::fold(&lines)?;
        if let Some(postgresql) = &mut self.facts.postgresql {
            postgresql.peers.sort();
        }
        Ok(self.facts)
    }
}

fn path_of<'a>(facts: &'a mut HostFacts, path: &str) -> &'a mut PathFact {
    facts.paths.entry(path.to_owned()).or_default()
}

fn postgresql(facts: &mut HostFacts) -> &mut PostgresqlFact {
    facts.postgresql.get_or_insert_default()
}

/// What Synapse left in the database.
fn holds(facts: &mut HostFacts, fields: &[&str]) -> Option<()> {
    let holds = postgresql(facts).holds.get_or_insert_default();
    match fields {
        ["locked", word] => holds.locked = *word == "yes",
        ["schema", number] => holds.schema = number.parse().ok()?,
        ["compat", number] => holds.compat = number.parse().ok()?,
        ["server_name", name] => holds.server_name = Some(clean(name)),
        ["update", _] if holds.updates.len() >= UPDATES => {}
        ["update", name] => holds.updates.push(clean(name)),
        _ => return None,
    }
    Some(())
}

/// stat's words to ours.
fn path_kind(kind: &str) -> String {
    match kind {
        "regular file" | "regular empty file" => "file",
        "symbolic link" => "link",
        other => other,
    }
    .to_owned()
}

/// `1763786026.123456` (or with fewer digits) to microseconds. Some locales write a comma.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let seconds = seconds.parse::<i64>().ok().filter(|seconds| seconds.unsigned_abs() <= FARTHEST)?;
    Some(seconds * 1_000_000 + digits.parse::<i64>().ok()?)
}

fn property(unit: &mut UnitFact, key: &str, value: &str) {
    match key {
        "LoadState" => unit.load = value.to_owned(),
        "ActiveState" => unit.active = value.to_owned(),
        "SubState" => unit.sub = value.to_owned(),
        "UnitFileState" => unit.file_state = value.to_owned(),
        "FragmentPath" => unit.fragment = value.to_owned(),
        "DropInPaths" => unit.drop_ins = value.split_whitespace().map(str::to_owned).collect(),
        "NeedDaemonReload" => unit.needs_reload = value == "yes",
        "InvocationID" => unit.invocation = value.to_owned(),
        "ExecMainStartTimestamp" => unit.started = timestamp(value).unwrap_or(0),
        "Result" => unit.result = value.to_owned(),
        "StateChangeTimestamp" => unit.since = timestamp(value).unwrap_or(0),
        // A word or the largest number there is, where it is not counted.
        "MemoryCurrent" => unit.memory = value.parse().ok().filter(|bytes| *bytes != u64::MAX),
        "NRestarts" => unit.restarts = value.parse().unwrap_or(0),
        _ => {}
    }
}

/// `Sun 2026-11-22 04:33:46.123456 UTC`, as `systemctl --timestamp=us+utc` prints it.
fn timestamp(text: &str) -> Option<i64> {
    let (_, text) = text.strip_suffix(" UTC")?.split_once(' ')?;
    Some(Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?.as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str) -> Result<HostFacts, ReplyError> {
        let mut reply = Reply::default();
        for line in text.lines() {
            if reply.take(line)? {
                break;
            }
        }
        reply.finish()
    }

    #[test]
    fn times_are_microseconds_since_the_epoch() {
        assert_eq!(timestamp("Thu 1970-01-01 00:00:01.500000 UTC"), Some(1_500_000));
        assert_eq!(timestamp("Sun 2026-11-22 04:33:46.123456 UTC"), Some(1_795_322_026_123_456));
        assert_eq!(timestamp("Thu 2024-02-29 23:59:59.000001 UTC"), Some(1_709_251_199_000_001));
        assert_eq!(timestamp("n/a"), None);
        assert_eq!(microseconds("12.5"), Some(12_500_000));
    }

    #[test]
    fn what_is_no_time_is_not_computed_with() {
        let most = i64::MAX;
        for text in [
            format!("Thu {most}-01-01 00:00:01 UTC"),
            format!("Thu 1970-{most}-01 00:00:01 UTC"),
            format!("Thu 1970-01-{most} 00:00:01 UTC"),
            format!("Thu 1970-01-01 {most}:00:01 UTC"),
            format!("Thu 1970-01-01 00:{most}:01 UTC"),
            format!("Thu 1970-01-01 00:00:{most} UTC"),
            "Thu 1970-00-01 00:00:01 UTC".to_owned(),
        ] {
            assert_eq!(timestamp(&text), None, "{text}");
        }
        assert_eq!((microseconds(&most.to_string()), microseconds("-1000000000001")), (None, None));
    }

    #[test]
    fn an_answer_without_its_end_is_no_answer() {
        assert_eq!(facts("euid\t0\n"), Err(ReplyError::CutShort));
    }

    #[test]
    fn garbage_is_refused() {
        for line in
            ["path\tx", "\u{1b}[31m", "unit", "property\tActiveState=active", "now\tsoon", "child\t1\t2"]
        {
            assert!(matches!(facts(&format!("{line}\nend\tfacts\n")), Err(ReplyError::Line(_))), "{line}");
        }
    }

    #[test]
    fn units_files_and_packages_are_read() {
        let text = "unit\ta.service\nproperty\tActiveState=active\nproperty\tExecMainStartTimestamp=Thu 1970-01-01 00:00:02 UTC\n\
            child\t7\t100\npath\tregular file\t640\troot\tmatrix\t5\t3.000000\t4.000000\t/etc/a b\ndigest\tff\t/etc/a b\n\
            package\tnginx:amd64\t1.22\tinstalled\npackage\tredis\t7\tconfig-files\nend\tfacts\n";
        let facts = facts(text).unwrap();
        assert_eq!(facts.units["a.service"].started, 2_000_000);
        assert_eq!(facts.units["a.service"].newest_worker(), "100");
        assert_eq!(facts.paths["/etc/a b"].mode, "0640");
        assert_eq!(facts.paths["/etc/a b"].digest.as_deref(), Some("ff"));
        assert_eq!(facts.packages.keys().collect::<Vec<_>>(), ["nginx"]);
    }
}
