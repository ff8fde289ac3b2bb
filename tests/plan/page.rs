//! A plan, and what a drift run found, as a page: whole, self-contained, and inert whatever hosts and inventories say.

use synprov::facts::{HostError, HostErrorKind};
use synprov::render::drift::Report;
use synprov::render::graph::{Graph, svg};
use synprov::render::html::{self, Around};

use crate::causes::SMALL;
use crate::inventories::SHIPPED;
use crate::machine::Kind;
use crate::world::World;

fn shown(world: &World, title: &str) -> String {
    let picture = svg(&Graph::new(&world.topology));
    let around = Around { title, made: "2026-11-22 04:33:46 UTC by admin@desk", picture: Some(&picture) };
    html::plan(&world.plan(), &[], &around)
}

/// What a drift run found, with a host that could not be asked.
fn found(world: &World, words: &str) -> String {
    let picture = svg(&Graph::new(&world.topology));
    let around = Around { title: words, made: "2026-11-22 04:33:46 UTC", picture: Some(&picture) };
    let lost = HostError {
        summary: words.to_owned(),
        help: Some(words.to_owned()),
        kind: HostErrorKind::Unreachable,
    };
    let (drift, errors) = (world.drift(), [("hs9".to_owned(), lost)]);
    let server_name = &world.topology.server_name;
    let report = Report { server_name, drift: &drift, errors: &errors, began: 0, seconds: 1.0, exit: 2 };
    html::drift(&report, &around)
}

/// Names of the elements, and of their attributes, as a browser would find them outside of `<style>`.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let tag = &rest[at + 1..];
        let name: String = tag.chars().take_while(|c| !c.is_whitespace() && *c != '>').collect();
        let (mut attributes, mut word, mut quoted, mut end) = (Vec::new(), String::new(), false, tag.len());
        for (at, c) in tag[name.len()..].char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = name.len() + at;
                    break;
                }
                '=' if !quoted => attributes.push(std::mem::take(&mut word)),
                c if c.is_whitespace() || quoted => word.clear(),
                c => word.push(c),
            }
        }
        rest = &tag[end..];
        if name == "style" {
            rest = &rest[rest.find("</style").unwrap()..];
        }
        found.push((name, attributes));
    }
    found
}

/// Nothing runs, nothing is loaded.
fn assert_inert(page: &str) {
    const ELEMENTS: &str = "!doctype html head meta title style body header main nav section h1 h2 h3 h4 p br strong i details \
        summary div label input span code ins del mark table tr th td pre ul ol li svg defs marker path rect text tspan g a";
    const ATTRIBUTES: &str = "lang charset http-equiv content name class type id checked value";
    // Ways within the page.
    let page = &page.replace("<a href=\"#", "<a id=\"#");
    for (name, attributes) in elements(page) {
        let name = name.trim_start_matches('/').trim_end_matches('/');
        assert!(ELEMENTS.split_whitespace().any(|known| known == name), "<{name}> in\n{page}");
        for attribute in attributes {
            assert!(!attribute.starts_with("on"), "{name} {attribute}");
            let drawn = ["svg", "marker", "path", "rect", "text", "tspan", "g", "line", "polyline", "circle"];
            let known = ATTRIBUTES.split_whitespace().any(|known| known == attribute);
            let loads = ["href", "src", "style"].iter().any(|word| attribute.contains(word));
            assert!((known || drawn.contains(&name)) && !loads, "{name} {attribute}");
        }
    }
    // The arrow head of the picture is in the page itself.
    assert_eq!(page.matches("url(").count(), page.matches("url(#").count());
    assert!(!page.contains("@import") && !page.contains("<script"));
    let policy = "content=\"default-src 'none'; style-src 'sha256-";
    assert!(page.contains(policy) && page.contains("base-uri 'none'; form-action 'none'"));
}

#[test]
fn every_plan_and_every_drift_is_a_page_that_loads_nothing() {
    for (_, text) in SHIPPED {
        assert_inert(&shown(&World::bare(text), "Plan for example.org"));
        assert_inert(&found(&World::bare(text), "Drift of example.org"));
    }
    assert_inert(&shown(&World::model(SMALL), "nothing to do"));
    assert_inert(&found(&World::model(SMALL), "nothing found"));
}

#[test]
fn hostile_words_are_text() {
    let hostile = "</pre></style><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x\n\
                   '><a href=javascript:alert(3)>x</a><svg/onload=alert(4)>&lt;\u{202e}\u{1b}[2J\n--><!--<iframe>\n";
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    let path = "/opt/matrix/conf/workers/client.yaml";
    world.machine("hs1").node(path).kind = Kind::File(hostile.to_owned());
    world.machine("hs1").node("/opt/matrix/conf/log/client.yaml").owner = "<b onclick=x>".to_owned();
    world.machine("hs1").node("/opt/matrix/conf/log/main.yaml").kind = Kind::Link("\"><script>".to_owned());
    for page in [shown(&world, hostile), found(&world, hostile)] {
        assert_inert(&page);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        assert!(page.contains("&lt;b onclick=x&gt;"), "{page}");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
    }
}

#[test]
fn the_same_is_the_same_page() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    world.machine("hs1").node("/opt/matrix/conf/log/main.yaml").kind = Kind::File("mine\n".to_owned());
    for page in [shown, found] {
        assert_eq!(page(&world.clone(), "title"), page(&world, "title"));
    }
}

/// Everything the boxes can hide has a rule, and every rule has its box.
#[test]
fn boxes_and_rules_belong_together() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K").replace("  sync: {host: hs2, handles: [sync]}\n", ""));
    world.machine("hs1").node("/opt/matrix/conf/log/main.yaml").kind = Kind::File("mine\n".to_owned());
    for page in [shown(&world, "title"), found(&world, "title")] {
        let ids: Vec<&str> = page
            .split("<input type=\"checkbox\" id=\"")
            .skip(1)
            .map(|rest| &rest[..rest.find('"').unwrap()])
            .collect();
        assert!(ids.len() > 3, "{ids:?}");
        for id in ids {
            assert!(page.contains(&format!(":has(#{id}:")), "{id} does nothing");
        }
    }
}

#[test]
fn what_somebody_changed_stands_apart_from_what_is_not_applied() {
    let mut world = World::model(SMALL);
    world.becomes(&SMALL.replace("10K", "20K"));
    let path = "/opt/matrix/conf/log/main.yaml";
    let node = world.machine("hs1").node(path);
    (node.kind, node.changed) = (Kind::File("mine\n".to_owned()), 1_795_716_086_000_000);
    let page = found(&world, "why");
    let (before, after) = page.split_once("Not applied yet</h2>").unwrap();
    let (_, drift) = before.split_once("Changed by somebody else</h2>").unwrap();
    for part in [path, "owner: homeserver", "since 2026-11-26 18:01 UTC", "<ins>", "mine"] {
        assert!(drift.contains(part), "{part} is missing:\n{drift}");
    }
    assert!(after.contains("/opt/matrix/conf/workers/client.yaml") && !after.contains(path));
    assert!(page.contains("<strong>hs9 could not be asked.</strong> why<br>why"));
}
