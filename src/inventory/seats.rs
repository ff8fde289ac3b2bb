//! `host:`, `count:`, `hosts:` of a pool: how many processes where, and their shares of the requests.

use std::ops::RangeInclusive;

use indexmap::IndexMap;

use super::decode::{Found, Section, integer, wrong};
use crate::diagnostic::{Diagnostic, Spanned};
use crate::yaml::{Kind, Node};

/// Most processes of one pool on one host; a typing error, not a need, beyond it.
const MOST: i64 = 100;

/// What `weight:` may be. HAProxy's are at most 256.
pub(super) const WEIGHTS: RangeInclusive<i64> = 1..=256;

/// How many on which host, and the shares that stand there.
type Seats = (Vec<(Spanned<String>, u32)>, IndexMap<String, u32>);

/// `host:` with `count:`, or `hosts: {NAME: number}`, or `hosts: {NAME: {count: number, weight: share}}`.
pub(super) fn hosts(section: &Section<'_>, found: &mut Found) -> Seats {
    let what = &section.what;
    let count = section.integer("count", 1..=MOST, found);
    match (section.entry("host"), section.entry("hosts")) {
        (Some((first, _)), Some((second, _))) => {
            found.push(
                Diagnostic::error(second, format!("{what} has both \"host\" and \"hosts\""))
                    .related(first, "the other one")
                    .help("keep one of them: hosts: {hs1: 1, hs2: 3}"),
            );
            Seats::default()
        }
        (None, None) => {
            section.missing("host", "host: NAME, or hosts: {hs1: 1, hs2: 3}", found);
            Seats::default()
        }
        (Some(_), None) => {
            let number = count.and_then(|count| u32::try_from(count.value).ok()).unwrap_or(1);
            let hosts = section.text("host", found).map(|host| vec![(host, number)]).unwrap_or_default();
            (hosts, IndexMap::new())
        }
        (None, Some(_)) => {
            if let Some((span, _)) = section.entry("count") {
                found.push(
                    Diagnostic::error(span, format!("{what} has \"count\" beside \"hosts\""))
                        .help("write the number behind each host: hosts: {hs1: 1, hs2: 3}"),
                );
            }
            numbers(section, found)
        }
    }
}

fn numbers(section: &Section<'_>, found: &mut Found) -> Seats {
    let mut seats = Seats::default();
    let Some(node) = section.node("hosts", found) else { return seats };
    let what = format!("\"hosts\" in {}", section.what);
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() => {
            for (host, node) in entries {
                let (count, weight) = number(host, node, &what, found);
                seats.0.extend(count.map(|count| (host.clone(), count)));
                seats.1.extend(weight.map(|weight| (host.value.clone(), weight)));
            }
        }
        Kind::Map(_) => {
            found
                .push(Diagnostic::error(node.span, format!("{what} is empty")).help("write hosts: {hs1: 1}"));
        }
        Kind::Seq(items) => {
            let hosts: Vec<String> =
                items.iter().filter_map(Node::as_str).map(|host| format!("{host}: 1")).collect();
            found
                .push(wrong(node, &what, "a mapping").help(format!("write hosts: {{{}}}", hosts.join(", "))));
        }
        _ => {
            found.push(wrong(node, &what, "a mapping").help("write hosts: {hs1: 1, hs2: 3}, or host: hs1"));
        }
    }
    seats
}

/// What stands behind one host: a number, or `{count: number, weight: share}`.
fn number(host: &Spanned<String>, node: &Node, what: &str, found: &mut Found) -> (Option<u32>, Option<u32>) {
    let small = |number: Option<Spanned<i64>>| number.and_then(|number| u32::try_from(number.value).ok());
    if !matches!(node.kind, Kind::Map(_)) {
        let what = format!("the number on \"{}\" in {what}", host.value);
        return (small(integer(node, &what, 1..=MOST, found)), None);
    }
    let what = format!("\"{}\" in {what}", host.value);
    let Some(section) = Section::open(node, &what, "workers.*.hosts", host.span, &["count", "weight"], found)
    else {
        return (None, None);
    };
    let count = match section.entry("count") {
        Some(_) => small(section.integer("count", 1..=MOST, found)),
        None => Some(1),
    };
    (count, small(section.integer("weight", WEIGHTS, found)))
}
