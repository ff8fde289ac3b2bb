//! A unified diff as two sides; where there is no room for two, one below the other.

use std::fmt::Write as _;

use super::escape;
use crate::plan::diff::body;

/// Longest diff that a page shows, lines; nobody reads more, and a phone would be busy with it.
const MOST: usize = 2000;

/// Lines that are edited together.
#[derive(Default)]
struct Edit<'a> {
    old: Vec<(Option<usize>, &'a str)>,
    new: Vec<(Option<usize>, &'a str)>,
}

/// Writes it. `sides`: what the left and the right one are called.
pub fn diff(out: &mut String, text: &str, sides: (&str, &str)) -> std::fmt::Result {
    let all: Vec<&str> = body(text).lines().collect();
    let lines = &all[..all.len().min(MOST)];
    let has = |sign: char| lines.iter().any(|line| line.starts_with(sign));
    // A whole new file, or one that goes, has one side.
    let (one, head) = match (has('-') || has(' '), has('+') || has(' ')) {
        (true, false) => (" p-one", format!("<span>{}</span>", escape(sides.0))),
        (false, true) => (" p-one", format!("<span>{}</span>", escape(sides.1))),
        _ => ("", format!("<span>{}</span><span>{}</span>", escape(sides.0), escape(sides.1))),
    };
    writeln!(out, "<div class=\"p-diff{one}\">\n<p class=\"p-sides\">{head}</p>")?;
    let (mut old, mut new) = (None, None);
    let mut edit = Edit::default();
    for line in lines {
        let rest = line.get(1..).unwrap_or_default();
        match line.chars().next() {
            Some('-') => {
                if !edit.new.is_empty() {
                    edit.flush(out)?;
                }
                edit.old.push((next(&mut old), rest));
            }
            Some('+') => edit.new.push((next(&mut new), rest)),
            Some('@') => {
                edit.flush(out)?;
                (old, new) = starts(line);
                if let (Some(first), "") = (new.filter(|first| *first > 1), one) {
                    writeln!(out, "<p class=\"p-hunk\">from line {first}</p>")?;
                }
            }
            Some(' ') | None => {
                edit.flush(out)?;
                out.write_str("<div class=\"p-same\">")?;
                cell(out, "span", next(&mut old), &escape(rest))?;
                cell(out, "span", next(&mut new), &escape(rest))?;
                out.write_str("</div>\n")?;
            }
            Some(_) => {
                edit.flush(out)?;
                writeln!(out, "<p class=\"p-hunk\">{}</p>", escape(line.trim_start_matches("\\ ")))?;
            }
        }
    }
    edit.flush(out)?;
    if all.len() > lines.len() {
        writeln!(out, "<p class=\"p-hunk\">… {} more lines</p>", all.len() - lines.len())?;
    }
    out.write_str("</div>\n")
}

/// The line that a counter is at, if it is known.
fn next(counter: &mut Option<usize>) -> Option<usize> {
    let now = *counter;
    *counter = now.map(|now| now.saturating_add(1));
    now
}

/// Where both sides go on: `@@ -12,3 +14,4 @@`.
fn starts(line: &str) -> (Option<usize>, Option<usize>) {
    let start = |sign: char| {
        let part = line.split(' ').find_map(|part| part.strip_prefix(sign))?;
        part.split(',').next()?.parse().ok()
    };
    (start('-'), start('+'))
}

impl Edit<'_> {
    fn flush(&mut self, out: &mut String) -> std::fmt::Result {
        let Edit { old, new } = std::mem::take(self);
        if old.is_empty() && new.is_empty() {
            return Ok(());
        }
        out.write_str("<div class=\"p-edit\">")?;
        for row in 0..old.len().max(new.len()) {
            let (before, after) = (old.get(row), new.get(row));
            let marks = before.zip(after).and_then(|((_, before), (_, after))| differs(before, after));
            let side = |line: &str, mark: Option<(usize, usize)>| match mark {
                Some((from, to)) if from < to => format!(
                    "{}<mark>{}</mark>{}",
                    escape(&line[..from]),
                    escape(&line[from..to]),
                    escape(&line[to..])
                ),
                _ => escape(line),
            };
            match before {
                Some((number, line)) => cell(out, "del", *number, &side(line, marks.map(|marks| marks.0)))?,
                None => out.write_str("<span class=\"p-none\"></span>")?,
            }
            match after {
                Some((number, line)) => cell(out, "ins", *number, &side(line, marks.map(|marks| marks.1)))?,
                None => out.write_str("<span class=\"p-none\"></span>")?,
            }
        }
        out.write_str("</div>\n")
    }
}

fn cell(out: &mut String, element: &str, number: Option<usize>, text: &str) -> std::fmt::Result {
    let number = number.map(|number| number.to_string()).unwrap_or_default();
    write!(out, "<{element}><i>{number}</i><code>{text}</code></{element}>")
}

/// Byte ranges in which two versions of a line differ, whole words; `None`: they have too little in common.
fn differs(before: &str, after: &str) -> Option<((usize, usize), (usize, usize))> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut start: usize =
        before.chars().zip(after.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    start -= before[..start].chars().rev().take_while(|c| word(*c)).map(char::len_utf8).sum::<usize>();
    let (left, right) = (&before[start..], &after[start..]);
    let mut end: usize = left
        .chars()
        .rev()
        .zip(right.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    end -= left[left.len() - end..].chars().take_while(|c| word(*c)).map(char::len_utf8).sum::<usize>();
    let common = before[..start].trim_start().len() + end;
    (common * 3 >= before.trim_start().len().max(after.trim_start().len()))
        .then(|| ((start, before.len() - end), (start, after.len() - end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = String::new();
        diff(&mut out, text, ("old", "new")).unwrap();
        out
    }

    #[test]
    fn lines_that_were_edited_stand_side_by_side_with_what_differs_marked() {
        let out = shown("--- /f\n+++ /f\n@@ -4,3 +4,3 @@\n a\n-size: 10K # é\n+size: 20K # é\n b\n");
        let old = "<del><i>5</i><code>size: <mark>10K</mark> # é</code></del>";
        let new = "<ins><i>5</i><code>size: <mark>20K</mark> # é</code></ins>";
        assert!(out.contains(&format!("<div class=\"p-edit\">{old}{new}</div>")), "{out}");
        assert!(
            out.contains("<span><i>6</i><code>b</code></span><span><i>6</i><code>b</code></span>"),
            "{out}"
        );
    }

    #[test]
    fn more_lines_on_one_side_leave_room_on_the_other() {
        let out = shown("@@ -1,1 +1,2 @@\n-a\n+b\n+c\n x\n");
        assert!(out.contains("</ins><span class=\"p-none\"></span><ins><i>2</i>"), "{out}");
    }

    #[test]
    fn a_new_file_has_one_side() {
        let out = shown("@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert!(out.contains("p-one") && out.contains("<p class=\"p-sides\"><span>new</span></p>"), "{out}");
    }

    #[test]
    fn markup_in_a_line_is_text_also_where_it_is_marked() {
        let out = shown("@@ -1 +1 @@\n-k: <b>\n+k: <script>\n");
        assert!(!out.contains("<b>") && !out.contains("<script>"), "{out}");
        assert!(out.contains("&lt;<mark>script</mark>&gt;"), "{out}");
    }

    #[test]
    fn any_text_is_shown() {
        for text in [
            "",
            "\n",
            "-",
            "+é\n-\u{1f600}x\n+\u{1f601}x\n",
            "@@\n",
            "@@ -x +y @@\n-a\n",
            "(no text)\n",
            "\\ No newline",
        ] {
            shown(text);
        }
        assert!(shown(&"+x\n".repeat(3000)).contains("… 1000 more lines"));
    }
}
