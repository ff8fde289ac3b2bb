//! Lines of logs, each with its time and whose it is.

use std::collections::BTreeMap;

use super::paint::Paint;
use super::time::printed;
use crate::facts::journal::Line;
use crate::plan::control::select::Service;

/// Puts out lines of several processes, which keep their colours and columns.
pub struct Printer {
    paint: Paint,
    /// Host to the label of each source.
    labels: BTreeMap<String, Vec<String>>,
    width: usize,
}

impl Printer {
    /// `wanted`: the processes asked for on each host, in the order of the requests.
    pub fn new(wanted: &BTreeMap<&str, Vec<&Service<'_>>>, color: bool) -> Self {
        let all: Vec<&str> = wanted.values().flatten().map(|service| service.name).collect();
        let several = |name: &str| all.iter().filter(|other| **other == name).count() > 1;
        let label = |host: &str, name: &str| {
            if several(name) { format!("{host}/{name}") } else { name.to_owned() }
        };
        let labels: BTreeMap<String, Vec<String>> = wanted
            .iter()
            .map(|(host, services)| {
                ((*host).to_owned(), services.iter().map(|service| label(host, service.name)).collect())
            })
            .collect();
        let width = labels.values().flatten().map(|label| label.chars().count()).max().unwrap_or(0);
        Self { paint: Paint(color), labels, width }
    }

    /// One line with its newline.
    pub fn line(&self, host: &str, line: &Line) -> String {
        let all = self.labels.get(host);
        let label = all.and_then(|all| all.get(line.source)).map_or("", String::as_str);
        let time = line.time.map_or_else(|| " ".repeat(TIME), time);
        let padded = format!("{label:width$}", width = self.width);
        format!("{} {} {}\n", self.paint.dim(&time), self.paint.cyan(&padded), line.text)
    }

    /// All of them in order of time; lines that go on with another stay behind it.
    pub fn all(&self, lines: Vec<(String, Line)>) -> String {
        let mut last: BTreeMap<(String, usize), i64> = BTreeMap::new();
        let mut timed: Vec<(i64, String, Line)> = lines
            .into_iter()
            .map(|(host, line)| {
                let before = last.entry((host.clone(), line.source)).or_insert(0);
                *before = line.time.unwrap_or(*before);
                (*before, host, line)
            })
            .collect();
        timed.sort_by_key(|(time, ..)| *time);
        timed.iter().map(|(_, host, line)| self.line(host, line)).collect()
    }
}

/// Width of a time.
const TIME: usize = 23;

/// `2026-11-26 18:10:11.123`, UTC.
fn time(micros: i64) -> String {
    printed("%Y-%m-%d %H:%M:%S%.3f", micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "1970-01-01 00:00:00.000");
        assert_eq!(time(1_709_251_199_123_456), "2024-02-29 23:59:59.123");
    }

    #[test]
    fn lines_are_in_order_of_time_and_tracebacks_stay_whole() {
        let line =
            |source, time, text: &str| ("hs1".to_owned(), Line { source, time, text: text.to_owned() });
        let labels = BTreeMap::from([("hs1".to_owned(), vec!["main".to_owned(), "sync".to_owned()])]);
        let printer = Printer { paint: Paint(false), labels, width: 4 };
        let lines = vec![
            line(0, Some(3_000_000), "late"),
            line(1, Some(1_000_000), "error"),
            line(1, None, "  traceback"),
            line(1, Some(2_000_000), "after"),
        ];
        let text = printer.all(lines);
        let words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()).collect();
        assert_eq!(words, ["error", "traceback", "after", "late"]);
    }
}
