//! Boxes that hide what is not wanted, as rules of the style sheet: no script, and they work without one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::escape;

/// A box.
struct Check {
    id: String,
    /// Escaped.
    label: String,
    on: bool,
}

/// The boxes of a page and the rules that they need.
#[derive(Default)]
pub struct Filters {
    /// With their legends; those without one share a row.
    groups: Vec<(&'static str, Vec<Check>)>,
    rules: BTreeMap<String, String>,
}

impl Filters {
    /// Boxes that are checked: unchecked, they hide what only has to do with them. `labels` with how much there is
    /// of each. Returns an id for each label.
    pub fn group(&mut self, legend: &'static str, labels: &[(String, usize)]) -> Vec<String> {
        let group = self.groups.len();
        let id = |at: usize| format!("p-f{group}-{at}");
        let there = labels.iter().enumerate().filter(|(_, (_, count))| *count > 0);
        let named = there.map(|(at, (label, count))| Check {
            id: id(at),
            label: format!("{} <span class=\"p-dim\">{count}</span>", escape(label)),
            on: true,
        });
        let boxes: Vec<_> = named.collect();
        // One box that hides everything is none.
        self.groups.push((legend, if boxes.len() > 1 { boxes } else { Vec::new() }));
        (0..labels.len()).map(id).collect()
    }

    /// A box that is not checked: checked, everything with the class `hides` is hidden.
    pub fn only(&mut self, label: &str, hides: &str) {
        let id = format!("p-f{}-0", self.groups.len());
        self.rules.insert(id.clone(), format!("body:has(#{id}:checked) .{hides}{{display:none}}\n"));
        self.groups.push(("", vec![Check { id, label: escape(label), on: false }]));
    }

    /// A box that unfolds everything, where the browser can do that without a script.
    pub fn unfold(&mut self) {
        let (id, label) = ("p-unfold".to_owned(), "unfold all".to_owned());
        self.groups.push(("", vec![Check { id, label, on: false }]));
    }

    /// Class of what has to do with these boxes of one group: hidden if none of them is checked.
    pub fn class(&mut self, ids: &[String]) -> String {
        let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return String::new();
        }
        let class = format!("{}_", ids.join("_"));
        let boxes: String = ids.iter().map(|id| format!(":has(#{id}:not(:checked))")).collect();
        self.rules.insert(class.clone(), format!("body{boxes} .{class}{{display:none}}\n"));
        class
    }

    /// The boxes.
    pub fn boxes(&self) -> String {
        let mut out = String::from("<div class=\"p-filters\">\n");
        let (named, alone): (Vec<_>, Vec<_>) = self.groups.iter().partition(|(legend, _)| !legend.is_empty());
        for (legend, boxes) in named.iter().filter(|(_, boxes)| !boxes.is_empty()) {
            let _ = writeln!(out, "<div><span class=\"p-dim\">{legend}</span> {}</div>", labels(boxes));
        }
        let alone: String = alone.iter().map(|(_, boxes)| labels(boxes)).collect();
        let _ = writeln!(out, "<div>{alone}</div>\n</div>");
        out
    }

    /// Their rules.
    pub fn rules(&self) -> String {
        self.rules.values().map(String::as_str).collect()
    }
}

fn labels(boxes: &[Check]) -> String {
    let label = |Check { id, label, on }: &Check| {
        let checked = if *on { " checked" } else { "" };
        format!("<label><input type=\"checkbox\" id=\"{id}\"{checked}> {label}</label> ")
    };
    boxes.iter().map(label).collect()
}
