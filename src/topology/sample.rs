//! Paths that a regular expression matches, made from the expression itself.
//!
//! Every alternative and every optional part is taken once; a wildcard becomes `x`. Patterns may come
//! from a host: what they make is bounded. Never in it: what the paths are for.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

/// At most this many paths a pattern; the first ones.
const PATHS: usize = 64;

/// Longest path made, in bytes.
const LENGTH: usize = 1024;

/// A class with at most this many characters gives all of them, a larger one gives one.
const FEW: u32 = 4;

/// Paths made from `pattern` that it `matches`. None if the pattern is beyond the bounds.
pub fn samples(pattern: &str, matches: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(pattern) else { return Vec::new() };
    let mut paths = expand(&hir);
    paths.retain(|path| matches(path));
    paths.dedup();
    paths
}

fn expand(hir: &Hir) -> Vec<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        // A dot that stands alone is most likely a dot that nobody escaped.
        HirKind::Class(class) => characters(class, ".x1"),
        HirKind::Capture(capture) => expand(&capture.sub),
        HirKind::Repetition(repetition) => repeated(repetition),
        HirKind::Concat(parts) => {
            parts.iter().fold(vec![String::new()], |paths, part| product(&paths, &expand(part)))
        }
        HirKind::Alternation(parts) => {
            let mut paths: Vec<String> = parts.iter().flat_map(expand).collect();
            paths.truncate(PATHS);
            paths
        }
    }
}

/// Once, or as often as it must; not at all too, unless it is a wildcard (`.*`).
fn repeated(repetition: &Repetition) -> Vec<String> {
    let once = match repetition.sub.kind() {
        HirKind::Class(class) => characters(class, "x1"),
        _ => expand(&repetition.sub),
    };
    let wildcard = matches!(repetition.sub.kind(), HirKind::Class(_)) && repetition.max != Some(1);
    let mut paths = if repetition.min == 0 && !wildcard { vec![String::new()] } else { Vec::new() };
    let mut least = once.clone();
    for _ in 1..repetition.min {
        if least.iter().any(|path| path.len() >= LENGTH) {
            return paths;
        }
        least = product(&least, &once[..once.len().min(1)]);
    }
    paths.extend(least);
    paths.truncate(PATHS);
    paths
}

fn product(heads: &[String], tails: &[String]) -> Vec<String> {
    let pairs = heads.iter().flat_map(|head| tails.iter().map(move |tail| (head, tail)));
    pairs
        .filter(|(head, tail)| head.len() + tail.len() <= LENGTH)
        .map(|(head, tail)| format!("{head}{tail}"))
        .take(PATHS)
        .collect()
}

/// Its characters if they are few, else one: the first of `usual` that is in it.
fn characters(class: &Class, usual: &str) -> Vec<String> {
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            class.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
        }
        Class::Bytes(class) => {
            class.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
        }
    };
    let count: u32 = ranges.iter().fold(0, |sum, (from, to)| sum.saturating_add(to - from).saturating_add(1));
    if count <= FEW {
        return ranges
            .iter()
            .flat_map(|(from, to)| (*from..=*to).filter_map(char::from_u32))
            .map(String::from)
            .collect();
    }
    let within = |wanted: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&u32::from(wanted)));
    let one = usual.chars().find(|wanted| within(*wanted));
    one.or_else(|| char::from_u32(ranges.first()?.0)).into_iter().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn matched(pattern: &str) -> Vec<String> {
        let regex = Regex::new(pattern).unwrap();
        samples(pattern, |path| regex.is_match(path))
    }

    fn check(pattern: &str, expected: &[&str]) {
        assert_eq!(matched(pattern), expected, "{pattern}");
    }

    #[test]
    fn every_alternative_and_every_optional_part_is_taken() {
        check("^/_matrix/client/versions$", &["/_matrix/client/versions"]);
        check("^/a/(r0|v3)/sync$", &["/a/r0/sync", "/a/v3/sync"]);
        check("^/a/(v1|v2)/send_join/(?P<room_id>[^/]*)$", &["/a/v1/send_join/x", "/a/v2/send_join/x"]);
        check("^/a/devices(/|$)", &["/a/devices/", "/a/devices"]);
        check("^/a(/(?P<key>[^/]*))?$", &["/a", "/a/x"]);
        check("^/a/?$", &["/a", "/a/"]);
        check("^/a/.*/b.+$", &["/a/x/bx"]);
        check("^/a/[0-9]{3}$", &["/a/111"]);
        check("^/im.nheko.summary$", &["/im.nheko.summary"]);
        check(r"^/\.well\-known/matrix$", &["/.well-known/matrix"]);
    }

    #[test]
    fn patterns_from_outside_are_bounded() {
        let many = format!("^{}$", "(a|bc|def|ghij)".repeat(20));
        assert_eq!(matched(&many).len(), PATHS);
        check("^(?:xx){300}$", &["xx".repeat(300).as_str()]);
        check("^x{1025}$", &[]);
        check(r"^[^\x00-\x{10ffff}]$", &[]);
    }
}
