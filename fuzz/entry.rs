//! What the fuzz targets do with bytes, each of which came from somewhere that is not trusted. A panic is a
//! finding. `fuzz_targets/` gives libFuzzer these functions, `tests/fuzz.rs` runs them with every `cargo test`.

use synprov::diagnostic::Diagnostic;
use synprov::facts::record::Record;
use synprov::facts::reply::Reply;
use synprov::inventory::{self, Lock};
use synprov::plan::saved::Saved;
use synprov::render::plan::{DiffStyle, Style, saved_json, saved_text};
use synprov::secret::sha256_hex;
use synprov::{render, topology, yaml};

/// An inventory as a person, or a pull request, wrote it: parsed, resolved, and every finding shown.
pub fn inventory(bytes: &[u8]) {
    let text = match yaml::decode(bytes) {
        Ok(text) => text,
        Err(found) => return shown(&found, &String::from_utf8_lossy(bytes)),
    };
    let (inventory, found) = inventory::parse(text);
    shown(&found, text);
    let Some(inventory) = inventory else { return };
    let resolved = topology::resolve(&inventory, &Lock::default());
    shown(&resolved.diagnostics, text);
    let lock = inventory::lock::emit(&resolved.lock);
    assert!(inventory::lock::parse(&lock).is_ok(), "a lock that cannot be read again:\n{lock}");
}

/// What a host answers when it is asked for facts.
pub fn facts(bytes: &[u8]) {
    let mut reply = Reply::default();
    for line in String::from_utf8_lossy(bytes).lines() {
        match reply.take(line) {
            Ok(false) => {}
            Ok(true) => break,
            Err(error) => return drop(error.to_string()),
        }
    }
    match reply.finish() {
        Ok(facts) => {
            for unit in facts.units.values() {
                drop((facts.workers_started(unit), unit.newest_worker()));
            }
            drop(facts.python_tag());
        }
        Err(error) => drop(error.to_string()),
    }
}

/// A file that may be a saved plan. Its digest is put right, or nothing behind it would ever be reached;
/// whoever wants to do harm can do that too.
pub fn plan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    drop(Saved::parse(&text));
    let body = text.split_once('\n').map_or(&*text, |(_, body)| body);
    let digest = sha256_hex(body.as_bytes());
    let header = format!(r#"{{"synprov_plan":1,"bytes":{},"sha256":"{digest}"}}"#, body.len());
    let Ok(saved) = Saved::parse(&format!("{header}\n{body}")) else { return };
    for verbose in [false, true] {
        drop(saved_text(&saved, Style { diff: DiffStyle::Full, color: verbose, verbose }));
    }
    drop(saved_json(&saved).to_string());
    let again = saved.text().ok().and_then(|text| Saved::parse(&text).ok());
    assert!(again.as_ref() == Some(&saved), "a plan that is another when it is written and read again");
}

/// The record that a host keeps, with a torn last line or without.
pub fn record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(mut record) = Record::fold(&text.lines().collect::<Vec<_>>()) else { return };
    // It is of an apply that is under way, and a record that is replaced as a whole has none.
    record.attempted = None;
    let again = record.text();
    let again = Record::fold(&again.lines().collect::<Vec<_>>());
    assert!(again.as_ref() == Ok(&record), "a record that is another when it is written and read again");
}

/// Findings are at places that the text has, and can be shown.
fn shown(found: &[Diagnostic], text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    for diagnostic in found {
        for span in std::iter::once(diagnostic.span).chain(diagnostic.related.iter().map(|(span, _)| *span)) {
            if span.line == 0 {
                continue;
            }
            let line = lines.get(span.line as usize - 1).map(|line| line.chars().count());
            let end = (span.column + span.length) as usize;
            // Columns count from 1, and the end of a line can be marked.
            let fits = line.is_some_and(|length| span.column >= 1 && end <= length + 2);
            assert!(fits, "{span:?} is not in the text: {}", diagnostic.summary);
        }
    }
    drop(render::diagnostic::text(found, "inventory.yaml", text, false));
    drop(render::diagnostic::json(found, "inventory.yaml", text));
}
