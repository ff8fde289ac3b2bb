//! A plan as a page: whole, self-contained, and inert whatever hosts and inventories say.

use synprov::render::graph::{Graph, svg};
use synprov::render::html::{Around, page};

use crate::causes::SMALL;
use crate::inventories::SHIPPED;
use crate::machine::Kind;
use crate::world::World;

fn shown(world: &World, title: &str) -> String {
    let picture = svg(&Graph::new(&world.topology));
    let around = Around {
        title,
        made: "2026-11-22 04:33:46 UTC by admin@desk",
        picture: Some(&picture),
        unreachable: 0,
    };
    page(&world.plan(), &around)
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
    const ELEMENTS: &str = "!doctype html head meta title style body h1 h2 h3 p br strong details summary div label input \
        span code table tr th td pre ol li svg defs marker path rect text tspan g line polyline circle a";
    const ATTRIBUTES: &str = "lang charset http-equiv content name class type id checked value";
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
    assert!(!page.contains("@import"));
    let policy = "content=\"default-src 'none'; style-src 'sha256-";
    assert!(page.contains(policy) && page.contains("base-uri 'none'; form-action 'none'"));
}

#[test]
fn every_plan_is_a_page_that_loads_nothing() {
    for (_, text) in SHIPPED {
        assert_inert(&shown(&World::bare(text), "Plan for example.org"));
    }
    assert_inert(&shown(&World::model(SMALL), "nothing to do"));
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
    let page = shown(&world, hostile);
    assert_inert(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(page.contains("&lt;b onclick=x&gt;"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
}

/// For eyes: `SYNPROV_PAGES=DIR` keeps the pages, to be opened in a browser.
#[test]
fn pages_to_look_at() {
    let Some(directory) = std::env::var_os("SYNPROV_PAGES").map(std::path::PathBuf::from) else { return };
    let first = World::bare(SHIPPED[1].1);
    let mut many = format!(
        "{SMALL}  many: {{hosts: {{hs1: 8, hs2: 12}}, handles: [encryption], config: {{event_cache_size: 10K}}}}\n"
    );
    let mut later = World::model(&many);
    many = many.replace("10K", "20K");
    later.becomes(&many);
    later.machine("hs1").node("/opt/matrix/conf/log/main.yaml").kind = Kind::File("mine\n".to_owned());
    for (name, world) in [("first", first), ("later", later)] {
        let page = shown(&world, "Plan for example.org, from inventory.yaml");
        std::fs::write(directory.join(format!("{name}.html")), page).unwrap();
    }
}
