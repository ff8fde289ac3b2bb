//! What processes of one host logged: asked for in one exec, line by line. A host's words are data: of bounded
//! length, and stripped of whatever a terminal would obey.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::Offset;

use super::conversation::{Conversation, Heard, HostError, clean};
use super::privilege::Privilege;
use crate::transport::Session;

/// The script; functions only, like the facts script.
const SCRIPT: &str = include_str!("journal.sh");

/// How much is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Units whose journal is read, or the file that one logs to.
    pub sources: Vec<Source>,
    /// Lines of each before now.
    pub lines: u32,
    /// Not older than this, in words that `journalctl --since` and `date -d` both understand.
    pub since: Option<String>,
    /// Go on with what comes.
    pub follow: bool,
}

/// Where one process logs.
#[derive(Debug, Clone)]
pub enum Source {
    /// The journal of a unit, or of all that fit a pattern.
    Unit(String),
    /// A file.
    File(String),
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Position of its source in the request.
    pub source: usize,
    /// Microseconds since the epoch; `None`: it goes on with the line before.
    pub time: Option<i64>,
    /// Without time, process id and control characters.
    pub text: String,
}

/// Reads until the host is at the end, or, with `follow`, until `take` says `false`.
pub fn read(
    session: &mut dyn Session,
    privilege: &Privilege,
    request: &Request,
    take: &mut dyn FnMut(Line) -> bool,
) -> Result<(), HostError> {
    let mut conversation = Conversation::start(session, privilege, SCRIPT, &text(request))?;
    let mut zone = Offset::UTC;
    loop {
        match conversation.hear(Duration::from_secs(1))? {
            Heard::Nothing => {}
            Heard::Line(line) if line == "end" => return Ok(()),
            Heard::Line(line) => match line.split_once('\t') {
                Some(("zone", east)) => zone = offset(east).unwrap_or(Offset::UTC),
                Some(("line", rest)) => {
                    if let Some(line) = understand(rest, request, zone)
                        && !take(line)
                    {
                        return Ok(());
                    }
                }
                _ => {}
            },
            Heard::End(_) => {
                let said = conversation.complaints();
                return Err(HostError::unreachable(format!("its log ended early {said}").trim_end(), None));
            }
        }
    }
}

fn text(request: &Request) -> String {
    let mut text = format!("lines\t{}\n", request.lines);
    if request.follow {
        text.push_str("follow\n");
    }
    // Writing to a String cannot fail.
    if let Some(since) = &request.since {
        let _ = writeln!(text, "since\t{since}");
    }
    for (at, source) in request.sources.iter().enumerate() {
        let _ = match source {
            Source::Unit(unit) => writeln!(text, "unit\t{at}\t{unit}"),
            Source::File(path) => writeln!(text, "file\t{at}\t{path}"),
        };
    }
    text.push_str("end\n");
    text
}

fn understand(rest: &str, request: &Request, zone: Offset) -> Option<Line> {
    let (source, text) = rest.split_once('\t')?;
    let source: usize = source.parse().ok()?;
    let (time, text) = match request.sources.get(source)? {
        Source::Unit(_) => journal(text),
        Source::File(_) => file(text, zone),
    };
    Some(Line { source, time, text: clean(text).trim_end().to_owned() })
}

/// `1795717424.123456 matrix_main[42]: text`, as `journalctl --output=short-unix` has it.
fn journal(line: &str) -> (Option<i64>, &str) {
    let split = || {
        let (time, rest) = line.split_once(' ')?;
        let (seconds, micros) = time.split_once('.')?;
        let time = seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse().ok()?)?;
        let (_, text) = rest.split_once(": ").unwrap_or(("", rest));
        Some((time, text))
    };
    split().map_or((None, line), |(time, text)| (Some(time), text))
}

/// `2026-11-26 18:10:11,123 - text`, as Synapse writes to a file, in the host's own time.
fn file(line: &str, zone: Offset) -> (Option<i64>, &str) {
    let split = || {
        let (stamp, text) = line.split_at_checked("2026-11-26 18:10:11,123".len())?;
        let time = zone.to_timestamp(stamp.parse::<DateTime>().ok()?).ok()?;
        Some((time.as_microsecond(), text))
    };
    split().map_or((None, line), |(time, text)| (Some(time), text.trim_start_matches(" - ")))
}

/// `+0130`, as `date +%z` has it.
fn offset(text: &str) -> Option<Offset> {
    strtime::parse("%z", text).ok()?.offset()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: Source, line: &str, expected: (Option<i64>, &str)) {
        let request = Request { sources: vec![source], ..Request::default() };
        let found = understand(&format!("0\t{line}"), &request, offset("+0100").unwrap()).unwrap();
        assert_eq!((found.time, found.text.as_str()), expected);
    }

    #[test]
    fn lines_of_a_journal_lose_their_time_and_process() {
        let unit = || Source::Unit("matrix_main.service".to_owned());
        check(unit(), "1795717424.123456 matrix_main[42]: a: b", (Some(1_795_717_424_123_456), "a: b"));
        check(unit(), "          a second line", (None, "          a second line"));
        check(unit(), "1.5 x: \x1b]0;owned\x07\x1b[2Jred\r\u{202e}", (Some(1_000_005), "]0;owned[2Jred"));
    }

    #[test]
    fn lines_of_a_file_are_in_the_time_of_their_host() {
        let path = || Source::File("/var/log/matrix/main.log".to_owned());
        check(
            path(),
            "1970-01-01 01:00:01,500 - synapse - INFO - x",
            (Some(1_500_000), "synapse - INFO - x"),
        );
        check(path(), "Traceback (most recent call last):", (None, "Traceback (most recent call last):"));
        check(path(), "2026-11-ä6 01:00:01,500 - x", (None, "2026-11-ä6 01:00:01,500 - x"));
        check(path(), "2026-11-31 01:00:01,500 - x", (None, "2026-11-31 01:00:01,500 - x"));
        let east = ["+0130", "-0200", "", "CET", "+99"].map(|text| offset(text).map(Offset::seconds));
        assert_eq!(east, [Some(5_400), Some(-7_200), None, None, None]);
    }

    #[test]
    fn a_source_that_was_not_asked_for_is_not_taken() {
        let request = Request { sources: vec![Source::Unit("a".to_owned())], ..Request::default() };
        assert_eq!(understand("1\tx", &request, Offset::UTC), None);
        assert_eq!(understand("x\tx", &request, Offset::UTC), None);
    }
}
