//! Secrets are where they belong and nowhere else, and strings arrive as they were written.

use synprov::yaml;

use crate::site::{CANARIES, HOST, ROOT, Site};

/// Collects every process' arguments and environment for as long as it runs.
const SAMPLER: &str = "while :; do for f in /proc/[0-9]*; do tr '\\0' '\\n' < $f/cmdline; tr '\\0' '\\n' < $f/environ; done \
    2> /dev/null; sleep 0.05; done | awk '!seen[$0]++ { print; fflush() }' > /root/seen-processes";

/// Begins to watch the host's processes.
pub fn watch(site: &Site) {
    site.sh(&format!(
        "systemctl is-active --quiet watch || systemd-run --quiet --unit=watch bash -c {}",
        quoted(SAMPLER)
    ));
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// From `env:`, `file:`, `command:` and generated: in no output, lock, record, log, argument or environment.
pub fn no_secret_is_anywhere_else(site: &Site) {
    watch(site);
    // So that this apply carries secrets too: one is gone, one has another value.
    let second = "canary-smtp-second-7WdN3xQa";
    site.sh(&format!("rm {ROOT}/conf/secrets/captcha {ROOT}/conf/workers/client.yaml"));
    site.set_env("CANARY_SMTP", second);
    let mut said = vec![("first apply", site.first.all())];
    for arguments in [
        &["check"][..],
        &["check", "--json"],
        &["plan"],
        &["plan", "--json"],
        &["plan", "-vvv"],
        &["apply", "--yes", "--json", "-vvv"],
        &["apply", "--yes", "-vvv"],
    ] {
        said.push((arguments[0], site.run(arguments).exits(0).all()));
    }
    site.sh("systemctl stop watch");
    let lock = std::fs::read_to_string(site.directory.join("inventory.lock")).unwrap();
    said.push(("inventory.lock", lock));
    said.push(("the record", site.sh("cat /var/lib/synprov/example.org/{record,digests,redacted/*}")));
    said.push(("the journal", site.sh("journalctl --sync; journalctl --output=export | tr -d '\\0'")));
    said.push((
        "other logs",
        site.sh("find /var/log -path /var/log/journal -prune -o -type f -print | xargs cat | tr -d '\\0'"),
    ));
    let processes = site.sh("cat /root/seen-processes; rm /root/seen-processes");
    assert!(
        processes.contains("bash --noprofile") || processes.contains("--noprofile"),
        "the watch saw no apply"
    );
    said.push(("arguments and environments", processes));
    said.push((
        "what is left in /run and /tmp",
        site.sh("find /run/synprov /tmp /var/tmp -type f | xargs -r cat | tr -d '\\0'"),
    ));

    let mut secrets: Vec<(String, String)> =
        CANARIES.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    secrets.push(("CANARY_SMTP, changed".to_owned(), second.to_owned()));
    for name in ["database", "macaroon", "redis", "registration", "replication", "signing_key"] {
        let value = site.sh(&format!("cat {ROOT}/conf/secrets/{name}"));
        // Of the signing key the third word is the secret.
        secrets.push((name.to_owned(), value.rsplit(' ').next().unwrap().to_owned()));
    }
    assert!(secrets.iter().all(|(_, value)| value.len() >= 20), "a secret is too short to be looked for");
    for (name, value) in &secrets {
        let encoded = {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(value)
        };
        for (place, text) in &said {
            assert!(!text.contains(value.as_str()), "secret {name} in {place}");
            assert!(!text.contains(&encoded), "secret {name} in {place}, as base64");
        }
    }
    // And the files that do hold one are nobody else's to read.
    let patterns: Vec<String> = secrets.iter().map(|(_, value)| value.clone()).collect();
    let script = "grep --recursive --files-with-matches --fixed-strings --file=- /etc /opt/matrix/conf /var/lib/synprov /root /run/synprov \
        2> /dev/null | xargs stat --format '%a %n'";
    let output =
        site.lab.exec_with_input(HOST, &["bash", "-c", script], patterns.join("\n").as_bytes()).unwrap();
    let files = String::from_utf8(output.stdout).unwrap();
    let open: Vec<&str> =
        files.lines().filter(|line| !line.split(' ').next().unwrap().ends_with('0')).collect();
    assert!(open.is_empty() && files.lines().count() > 10, "readable by others: {open:?} of\n{files}");
    site.set_env("CANARY_SMTP", CANARIES[0].1);
    site.apply();
}

/// What our emitter writes, the PyYAML that Synapse uses reads back unchanged.
pub fn strings_arrive(site: &Site) {
    let strings: Vec<String> = serde_json::from_str(include_str!("../data/hostile_strings.json")).unwrap();
    assert!(strings.len() >= 90);
    let keys: serde_json::Map<String, serde_json::Value> =
        strings.iter().map(|text| (text.clone(), text.clone().into())).collect();
    let document = serde_json::json!({"list": strings, "keys": keys});
    let python = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout)";
    let script = format!("{ROOT}/venvs/*/bin/python -c '{python}'");
    let text = yaml::emit_text(&document);
    let output = site.lab.exec_with_input(HOST, &["bash", "-c", &script], text.as_bytes()).unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let read: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{error}"));
    assert_eq!(read, document);
}
