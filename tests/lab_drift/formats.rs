//! What a scheduler gets of a host that somebody changed: JSON, metrics, one notification a change of state.

use serde_json::Value;

use crate::mutation::{is_silent, of_class, words};
use crate::site::{ROOT, Site};

/// The document is what its schema says.
#[track_caller]
pub fn assert_valid(document: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../schema/drift.schema.json")).unwrap();
    if let Err(error) = jsonschema::validate(&schema, document) {
        panic!("{error} at {}\n{document:#}", error.instance_path());
    }
}

fn metric(text: &str, start: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("no {start} in\n{text}")).rsplit(' ').next().unwrap().to_owned()
}

/// All formats of the same thing, and who is told when.
pub fn formats(site: &Site) {
    let path = format!("{ROOT}/conf/workers/sync.yaml");
    let file = site.directory.join("synprov.prom");
    let state = site.directory.join("state");
    site.set_env("XDG_STATE_HOME", state.to_str().unwrap());
    let log = site.directory.join("notified");
    drop(std::fs::remove_file(&log));
    drop(std::fs::remove_dir_all(&state));
    let tell = "command:[sh, -c, 'echo $SYNPROV_BEFORE $SYNPROV_STATE >> notified; cat >> report']";
    let told = |code: i32| {
        let arguments = ["drift", "--format", "prometheus", "--out", "synprov.prom", "--notify", tell];
        site.run(&arguments).exits(code);
        let metrics = std::fs::read_to_string(&file).unwrap();
        let lines = std::fs::read_to_string(&log).unwrap_or_default();
        (metrics, lines.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let (metrics, lines) = told(0);
    let drifted = "synprov_drift_changes{server_name=\"example.org\",host=\"one\",kind=\"file\"}";
    let pending = "synprov_pending_changes{server_name=\"example.org\",host=\"one\",kind=\"file\"}";
    assert_eq!((metric(&metrics, drifted), lines.len()), ("0".to_owned(), 0));
    let until: i64 = metric(&metrics, "synprov_certificate_not_after_timestamp_seconds{").parse().unwrap();
    let end = site.sh("date -d \"$(openssl x509 -noout -enddate -in /etc/ssl/synprov-lab/fullchain.pem | cut -d= -f2)\" +%s");
    assert_eq!(until.to_string(), end, "as openssl reads it");

    site.sh(&format!("cp -a {path} /root/kept && echo 'event_cache_size: 3' >> {path}"));
    let (metrics, lines) = told(2);
    assert_eq!(
        (metric(&metrics, drifted).as_str(), lines.as_slice()),
        ("1", &["clean drift".to_owned()][..])
    );
    assert_eq!(told(2).1.len(), 1, "told once");
    let report = std::fs::read_to_string(site.directory.join("report")).unwrap();
    assert!(report.contains("+event_cache_size: 3") && report.contains("since 20"), "{report}");

    // An inventory that intends something else is another matter.
    let text = std::fs::read_to_string(site.inventory()).unwrap();
    std::fs::write(
        site.inventory(),
        text.replace("sync, sliding_sync]", "sync, sliding_sync], config: {event_cache_size: 7K}"),
    )
    .unwrap();
    site.sh(&format!("cp -a /root/kept {path}"));
    let (metrics, lines) = told(0);
    assert_eq!((metric(&metrics, drifted), lines.last().unwrap().as_str()), ("0".to_owned(), "drift clean"));
    assert_eq!(metric(&metrics, pending), "2", "{metrics}");
    site.run(&["drift"]).exits(0);
    let answer = site.run(&["drift", "--pending"]).exits(2);
    assert!(answer.stdout.contains("not applied yet"), "{}", answer.stdout);
    let document: Value =
        serde_json::from_str(&site.run(&["drift", "--format", "json"]).exits(0).stdout).unwrap();
    assert_valid(&document);
    assert_eq!(of_class(&document, "drift").map(words).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(of_class(&document, "pending").count() >= 2, "{document:#}");
    std::fs::write(site.inventory(), text).unwrap();
    is_silent(site);
}
