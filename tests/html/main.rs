//! The pages in a real browser: they run nothing, ask nobody, fit a phone, and can be read without scripts.
//!
//! `SYNPROV_SCREENSHOTS=DIR` says where the screenshots go, else they lie under `target/tmp`, as the pages do.
//! `make pages` runs it: it needs Debian's packages chromium and fonts-dejavu-core.

// Clippy takes only `#[test]` functions for tests, not the helpers beside them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod browser;
#[allow(dead_code, reason = "the tests of plans use all of it")]
#[path = "../plan/machine.rs"]
mod machine;
mod pages;
#[allow(dead_code, reason = "the tests of plans use all of it")]
#[path = "../plan/perform.rs"]
mod perform;
#[allow(dead_code, reason = "the tests of plans use all of it")]
#[path = "../plan/world.rs"]
mod world;

use std::path::PathBuf;

use browser::{Browser, DESKTOP, PHONE, View};
use synprov::plan::Plan;

/// For messages of the model.
fn tell(plan: &Plan) -> String {
    format!("{:#?}", plan.changes)
}

/// Every page there is, by name.
fn all() -> Vec<(&'static str, String)> {
    let [plan, drift] = pages::hostile();
    vec![
        ("first", pages::first()),
        ("plan", pages::plan()),
        ("drift", pages::drift()),
        ("hostile plan", plan),
        ("hostile drift", drift),
    ]
}

/// Lines of diffs, of tables and of commands that can be seen.
const SEEN: &str = "[...document.querySelectorAll('ins code, del code, td, pre')].filter(one => one.checkVisibility()).map(one => one.textContent)";

/// How many entries can be seen, of those that a selector names.
fn visible(browser: &mut Browser, selector: &str) -> usize {
    let count =
        format!("[...document.querySelectorAll({selector:?})].filter(one => one.checkVisibility()).length");
    usize::try_from(browser.value(&count).as_u64().unwrap()).unwrap()
}

#[test]
#[ignore = "needs chromium"]
fn pages_ask_nobody_for_anything_and_have_nothing_to_say_to_the_console() {
    let mut browser = Browser::start();
    for (name, page) in all() {
        for view in [DESKTOP, PHONE] {
            browser.open(&page, view);
            assert_eq!(browser.told(), [] as [&str; 0], "{name} {view:?}");
        }
    }
    // It would be noticed.
    browser.open(
        "<!doctype html><img src=http://example.com/x.png><script>console.error('x')</script>",
        DESKTOP,
    );
    let told = browser.told();
    assert!(told.iter().any(|one| one.starts_with("request http://example.com/x.png")), "{told:?}");
    assert!(told.iter().any(|one| one.starts_with("console")), "{told:?}");
}

#[test]
#[ignore = "needs chromium"]
fn no_page_is_wider_than_its_screen() {
    let mut browser = Browser::start();
    for (name, page) in all() {
        for width in [320, 375, 390, 768, 1280] {
            browser.open(&page, View { width, ..DESKTOP });
            // Also when everything is unfolded.
            browser.value("document.querySelectorAll('details').forEach(one => one.open = true)");
            let wide =
                browser.value("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)");
            assert_eq!(wide, width, "{name}");
            let out = browser.value(
                "[...document.querySelectorAll('body *')].filter(one => !one.closest('.p-scroll') && one.checkVisibility() \
                 && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 200))",
            );
            assert_eq!(out, serde_json::json!([]), "{name} at {width}");
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn what_hosts_say_does_not_run_and_is_no_element() {
    let mut browser = Browser::start();
    for page in pages::hostile() {
        for scripts in [true, false] {
            browser.open(&page, View { scripts, ..DESKTOP });
            let title = browser.value("document.title");
            assert!(title.as_str().unwrap().contains("<script>document.title='PWNED'</script>"), "{title}");
            let alien = "document.querySelectorAll('script, img, iframe, link, base, object, embed, form, meta[http-equiv=refresh], \
                         a:not([href^=\"#\"]), [onload], [onerror], [style]').length";
            assert_eq!(browser.value(alien), 0);
            assert_eq!(browser.value("document.querySelectorAll('style').length"), 3);
            let odd = browser.value(
                "[...document.documentElement.outerHTML].filter(c => /[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u200b-\\u200f\\u202a-\\u202e\\u2066-\\u2069]/.test(c)).length",
            );
            assert_eq!(odd, 0, "control characters");
            assert_eq!(browser.told(), [] as [&str; 0]);
        }
    }
    // It would run, if it were let.
    let (runs, _) = pages::HOSTILE.split_once("<a ").unwrap();
    browser.open(&format!("<!doctype html><title>x</title><p>{runs}"), DESKTOP);
    assert_eq!(browser.value("document.title"), "PWNED");
}

#[test]
#[ignore = "needs chromium"]
fn diffs_are_read_without_scripts_and_unfold_without_them() {
    let mut browser = Browser::start();
    for (page, lines) in [
        (pages::plan(), ["max_upload_size: 100M", "max_upload_size: 200M", "0777"]),
        (pages::drift(), ["event_cache_size: 20K", "event_cache_size: 500K", "0777"]),
    ] {
        for view in [DESKTOP, PHONE] {
            browser.open(&page, View { scripts: false, ..view });
            let seen = browser.value(SEEN);
            let seen: Vec<&str> = seen.as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
            for line in lines {
                assert!(seen.iter().any(|one| one.trim() == line), "{line} is not in {seen:?}");
            }
            let folded = visible(&mut browser, "details:not([open]) > summary");
            browser.click("details:not([open]) > summary");
            assert_eq!(visible(&mut browser, "details:not([open]) > summary"), folded - 1);
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn the_sides_of_a_diff_stand_side_by_side_on_a_desktop_and_one_below_the_other_on_a_phone() {
    let mut browser = Browser::start();
    let page = pages::drift();
    let places = "(() => { const edit = [...document.querySelectorAll('.p-edit')].find(one => one.querySelector('del') && one.querySelector('ins')); \
                  const at = name => edit.querySelector(name).getBoundingClientRect(); const [old, now] = [at('del'), at('ins')]; \
                  return {beside: old.top === now.top && old.right <= now.left + 1, below: old.bottom <= now.top + 1 && old.left === now.left} })()";
    browser.open(&page, DESKTOP);
    assert_eq!(browser.value(places), serde_json::json!({"beside": true, "below": false}));
    browser.open(&page, PHONE);
    assert_eq!(browser.value(places), serde_json::json!({"beside": false, "below": true}));
}

#[test]
#[ignore = "needs chromium"]
fn a_plans_boxes_hide_and_show_what_they_say_without_scripts_too() {
    let mut browser = Browser::start();
    for scripts in [true, false] {
        browser.open(&pages::plan(), View { scripts, ..DESKTOP });
        let count = |browser: &mut Browser, class: &str| visible(browser, &format!(".p-entry.{class}"));
        let all = ["p-create", "p-update", "p-delete"].map(|class| count(&mut browser, class));
        assert!(all.iter().all(|count| *count > 0), "{all:?}");
        // What: added, changed, removed.
        for (at, class) in ["p-create", "p-update", "p-delete"].iter().enumerate() {
            browser.click(&format!("#p-f0-{at}"));
            assert_eq!(count(&mut browser, class), 0, "{class}");
            assert_eq!(visible(&mut browser, ".p-entry"), all.iter().sum::<usize>() - all[at]);
            browser.click(&format!("#p-f0-{at}"));
        }
        assert_eq!(visible(&mut browser, ".p-entry"), all.iter().sum::<usize>());
        // Where: without hs1 its own section and steps are gone, and what it shares with others stays.
        let headings = "[...document.querySelectorAll('section h3')].filter(one => one.checkVisibility()).map(one => one.textContent)";
        let before: Vec<String> = serde_json::from_value(browser.value(headings)).unwrap();
        let steps = visible(&mut browser, "ol li");
        browser.click("#p-f1-0");
        let after: Vec<String> = serde_json::from_value(browser.value(headings)).unwrap();
        assert!(
            before.contains(&"hs1".to_owned()) && !after.contains(&"hs1".to_owned()),
            "{before:?} {after:?}"
        );
        assert!(after.iter().any(|heading| heading.contains("hs1, ")), "{after:?}");
        assert!(visible(&mut browser, "ol li") < steps);
        browser.click("#p-f1-0");
        // Whose: only what somebody changed.
        browser.click("#p-f2-0");
        let marks = browser.value("[...document.querySelectorAll('.p-entry')].filter(one => one.checkVisibility()).map(one => !!one.querySelector('.p-mark'))");
        assert!(
            marks.as_array().unwrap().iter().all(|mark| *mark == true) && marks != serde_json::json!([]),
            "{marks}"
        );
        browser.click("#p-f2-0");
        browser.click("#p-unfold");
        assert_eq!(
            visible(&mut browser, "details .p-diff"),
            usize::try_from(
                browser.value("document.querySelectorAll('details .p-diff').length").as_u64().unwrap()
            )
            .unwrap()
        );
    }
}

#[test]
#[ignore = "needs chromium"]
fn a_drift_reports_boxes_hide_hosts_and_kinds_and_what_an_apply_puts_right() {
    let mut browser = Browser::start();
    browser.open(&pages::drift(), PHONE);
    let before = visible(&mut browser, ".p-entry");
    browser.click("#p-f0-0");
    let names = "[...document.querySelectorAll('section h3')].filter(one => one.checkVisibility()).map(one => one.textContent)";
    let names: Vec<String> = serde_json::from_value(browser.value(names)).unwrap();
    assert!(!names.is_empty() && names.iter().all(|name| name == "hs2"), "{names:?}");
    browser.click("#p-f0-0");
    browser.click("#p-f1-0");
    assert!(visible(&mut browser, ".p-entry") < before);
    browser.click("#p-f1-0");
    browser.click("#p-f2-0");
    assert_eq!(visible(&mut browser, ".p-entry.p-healed"), 0);
    assert!(visible(&mut browser, ".p-entry pre") > 0);
}

#[test]
#[ignore = "needs chromium"]
fn every_word_stands_out_from_what_is_behind_it_in_both_schemes() {
    // WCAG 2.1, 1.4.3: 4.5 to 1.
    const LEAST: &str = include_str!("contrast.js");
    let mut browser = Browser::start();
    for page in [pages::plan(), pages::drift()] {
        for dark in [false, true] {
            browser.open(&page, View { dark, ..DESKTOP });
            assert_eq!(browser.value(LEAST), serde_json::json!([]), "dark: {dark}");
        }
    }
}

#[test]
#[ignore = "needs chromium"]
fn screenshots_are_taken() {
    let directory = std::env::var_os("SYNPROV_SCREENSHOTS")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots"), PathBuf::from);
    std::fs::create_dir_all(&directory).unwrap();
    let mut browser = Browser::start();
    // The pages themselves, for eyes.
    for (name, page) in all() {
        std::fs::write(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.html")), page)
            .unwrap();
    }
    for (name, page, id) in [("plan", pages::plan(), "steps"), ("drift", pages::drift(), "topology")] {
        for (on, view, height) in [("desktop", DESKTOP, 1500), ("phone", PHONE, 1200)] {
            for (scheme, dark) in [("light", false), ("dark", true)] {
                browser.open(&page, View { dark, ..view });
                let path = |part: &str| directory.join(format!("{name}{part}-{on}-{scheme}.png"));
                browser.shoot(&path(""), (0, height));
                let below = browser.value(&format!(
                    "Math.floor(document.getElementById({id:?}).getBoundingClientRect().top + scrollY) - 10"
                ));
                browser.shoot(
                    &path(&format!("-{id}")),
                    (u32::try_from(below.as_u64().unwrap()).unwrap(), height),
                );
            }
        }
    }
}
