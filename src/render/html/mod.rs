//! A plan, or what a drift run found, as one page: for a review on a phone, an attachment, a build's artifacts.
//!
//! It asks nobody for anything and runs nothing: its filters are rules of its style sheet, so that they work where
//! scripts are forbidden (mail, artifacts of a pipeline), and its policy tells the browser so. What a host or an
//! inventory says goes through [`escape`], always. Same data, same bytes.

mod diff;
mod drift;
mod filter;
mod plan;
mod steps;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::facts::HostError;
use crate::facts::conversation::clean;

pub use drift::page as drift;
pub use plan::page as plan;

const STYLE: &str = include_str!("page.css");

/// What stands around a plan or a report.
pub struct Around<'a> {
    /// Title: what the page is of.
    pub title: &'a str,
    /// When, by whom.
    pub made: &'a str,
    /// The topology as [`super::graph::svg`] draws it, if it is known.
    pub picture: Option<&'a str>,
}

/// The whole page around its body. `rules`: the style that only this page has.
fn page(around: &Around<'_>, rules: &str, body: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, around, rules, body);
    out
}

/// Only the style sheets that are in it, by their digests, are in force; nothing else is loaded, run or sent.
fn policy(styles: &[&str]) -> String {
    let digests: Vec<String> = styles
        .iter()
        .map(|style| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(style.as_bytes()))))
        .collect();
    format!("default-src 'none'; style-src {}; base-uri 'none'; form-action 'none'", digests.join(" "))
}

fn write(out: &mut String, around: &Around<'_>, rules: &str, body: &str) -> std::fmt::Result {
    let title = escape(around.title);
    let drawn = around.picture.and_then(|svg| svg.split_once("<style>")?.1.split_once("</style>"));
    let styles: Vec<&str> = [STYLE, rules].into_iter().chain(drawn.map(|(style, _)| style)).collect();
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<style>{rules}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p class=\"p-dim\">{}</p>\n</header>\n<main>\n{body}",
        policy(&styles),
        escape(around.made),
    )?;
    if let Some(picture) = around.picture {
        writeln!(
            out,
            "<h2 id=\"topology\">Hosts, processes and what each is for</h2>\n<div class=\"p-scroll p-picture\">{picture}</div>"
        )?;
    }
    writeln!(out, "</main>\n</body>\n</html>")
}

/// Numbers on top, each with its class and its words.
fn tiles(out: &mut String, tiles: &[(&str, usize, &str)]) -> std::fmt::Result {
    out.write_str("<ul class=\"p-tiles\">\n")?;
    for (class, number, words) in tiles {
        let class = if *number == 0 { "p-zero" } else { class };
        writeln!(out, "<li class=\"{class}\"><strong>{number}</strong> {words}</li>")?;
    }
    out.write_str("</ul>\n")
}

/// Ways to the parts of the page.
fn contents(out: &mut String, parts: &[(&str, &str)]) -> std::fmt::Result {
    out.write_str("<nav>")?;
    for (id, words) in parts {
        write!(out, "<a href=\"#{id}\">{words}</a>")?;
    }
    out.write_str("</nav>\n")
}

/// Hosts that did not take part, with the reason.
fn unreachable(out: &mut String, errors: &[(String, HostError)]) -> std::fmt::Result {
    for (host, error) in errors {
        let help = error.help.as_deref().map(|help| format!("<br>{}", prose(help))).unwrap_or_default();
        writeln!(
            out,
            "<p class=\"p-refused\"><strong>{} could not be asked.</strong> {}{help}</p>",
            escape(host),
            prose(&error.summary)
        )?;
    }
    Ok(())
}

/// A sentence: what stands between backticks is code.
fn prose(text: &str) -> String {
    let parts: Vec<String> = escape(text).split('`').map(str::to_owned).collect();
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        match (at % 2 == 1, at + 1 == parts.len()) {
            (true, false) => out.push_str(&format!("<code>{part}</code>")),
            // One that nothing closes.
            (true, true) => out.push_str(&format!("`{part}")),
            (false, _) => out.push_str(part),
        }
    }
    out
}

/// Text that stays text, in an element and in a quoted attribute. What turns the direction of writing is
/// taken out; what is there and cannot be seen is named.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{2060}'..='\u{2064}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{escape, prose};

    #[test]
    fn backticks_make_code_and_nothing_else() {
        assert_eq!(prose("try `a <b>` or `c"), "try <code>a &lt;b&gt;</code> or `c");
        assert_eq!(prose("``"), "<code></code>");
    }

    #[test]
    fn what_cannot_be_seen_is_named_or_taken_out() {
        assert_eq!(escape("a\u{200b}b\u{feff}"), "a[U+200B]b[U+FEFF]");
        assert_eq!(escape("a\0\u{1b}[2J\u{202e}b\u{85}\r"), "a[2Jb");
        assert_eq!(escape("\"'<&>\n\t"), "&quot;&#39;&lt;&amp;&gt;\n\t");
    }
}
