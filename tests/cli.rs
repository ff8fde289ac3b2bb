//! The program from outside: flags, streams, exit codes. No host is needed for any of it.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;

const GOOD: &str = include_str!("../inventories/single-host.yaml");

fn synprov(directory: &Path) -> Command {
    let mut command = Command::cargo_bin("synprov").unwrap();
    command
        .current_dir(directory)
        .env_remove("SYNPROV_INVENTORY")
        .env("HOME", directory)
        .env_remove("SSH_AUTH_SOCK");
    command
}

fn directory_with(inventory: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("inventory.yaml"), inventory).unwrap();
    directory
}

/// The good inventory with its host at an address of this machine where nothing listens.
fn unreachable() -> String {
    GOOD.replace("address: 192.0.2.10 ", "address: 127.0.0.1\n    port: 1 ")
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    let directory = tempfile::tempdir().unwrap();
    for words in [&["--nonsense"][..], &["plan", "--diff", "colourful"], &["plan", "--forks", "0"], &[]] {
        synprov(directory.path()).args(words).assert().code(64).stdout("");
    }
    for words in
        [&["--help"][..], &["plan", "--help"], &["apply", "-h"], &["lab", "ssh", "--help"], &["--version"]]
    {
        synprov(directory.path()).args(words).assert().code(0).stderr("");
    }
}

/// `-V` is one line for scripts, `--version` what a report of a bug needs. In a checkout the commit
/// is the one that git says.
#[test]
fn version_tells_the_build() {
    let told = |words: &[&str]| {
        let output = synprov(Path::new(env!("CARGO_MANIFEST_DIR"))).args(words).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let short = format!("synprov {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(told(&["-V"]), short);
    let long = told(&["--version"]);
    assert_eq!(told(&["plan", "--version"]), long.replacen("synprov", "synprov-plan", 1));
    let data = long.strip_prefix(&short).unwrap_or_else(|| panic!("{long}"));
    let value = |key: &str| data.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    let git = std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"])
        .output();
    // git is asked, and refuses checkouts of other users.
    let head = git.ok().filter(|output| checkout && output.status.success());
    if let (Some(head), None) = (head, std::env::var_os("SYNPROV_COMMIT")) {
        assert_eq!(value("commit:"), Some(String::from_utf8(head.stdout).unwrap().trim()), "{long}");
    }
    assert!(value("target:").is_some_and(|target| target.contains(std::env::consts::ARCH)), "{long}");
    for library in ["OpenSSL:", "libssh2:"] {
        let told = value(library).unwrap_or_else(|| panic!("{long}"));
        assert!(told.starts_with(|c: char| c.is_ascii_digit()), "{long}");
        assert!(told.ends_with("built in") || told.ends_with("the system's"), "{long}");
    }
    assert_eq!(data.lines().count(), 3 + usize::from(value("commit:").is_some()), "{long}");
}

#[test]
fn every_subcommand_explains_its_exit_codes_or_the_program_does() {
    let directory = tempfile::tempdir().unwrap();
    let output = synprov(directory.path()).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "6 ", "7 ", "64 ", "129, 130, 143"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(code)), "{code} is missing:\n{help}");
    }
}

#[test]
fn check_is_offline_and_says_what_it_found() {
    let directory = directory_with(GOOD);
    synprov(directory.path())
        .arg("check")
        .assert()
        .code(0)
        .stdout(predicate::str::contains("inventory.yaml is valid: 1 host, main and 11 workers"));
    assert!(!directory.path().join("inventory.lock").exists(), "check writes nothing");
}

#[test]
fn check_reports_all_errors_at_once_on_standard_error() {
    let directory = directory_with(
        &GOOD
            .replace("handles: [media]", "handels: [media]")
            .replace("postgresql: {host: hs1}", "postgresql: {host: hs9}"),
    );
    synprov(directory.path()).arg("check").assert().code(1).stdout("").stderr(
        predicate::str::contains("handels")
            .and(predicate::str::contains("hs9"))
            .and(predicate::str::contains("inventory.yaml:")),
    );
}

#[test]
fn check_json_is_one_document_and_nothing_else() {
    for (inventory, valid) in
        [(GOOD.to_owned(), true), (GOOD.replace("version: 1.163.2", "version: [1]"), false)]
    {
        let directory = directory_with(&inventory);
        let output = synprov(directory.path()).args(["check", "--json"]).output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["valid"], valid);
        assert_eq!(output.status.code(), Some(if valid { 0 } else { 1 }));
        assert_eq!(document["diagnostics"].as_array().unwrap().is_empty(), valid);
    }
}

#[test]
fn a_missing_inventory_says_where_to_get_one() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["check", "plan", "apply"] {
        synprov(directory.path()).arg(command).assert().code(1).stderr(
            predicate::str::contains("cannot read inventory.yaml")
                .and(predicate::str::contains("SYNPROV_INVENTORY")),
        );
    }
}

#[test]
fn the_inventory_can_come_from_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("other.yaml"), GOOD).unwrap();
    synprov(directory.path()).arg("check").env("SYNPROV_INVENTORY", "other.yaml").assert().code(0);
}

#[test]
fn plan_of_an_unreachable_host_is_incomplete_and_says_so() {
    let directory = directory_with(&unreachable());
    synprov(directory.path())
        .args(["plan", "--timeout", "5"])
        .assert()
        .code(3)
        .stdout(
            predicate::str::contains("1 host could not be asked")
                .and(predicate::str::contains("No changes").not())
                .and(predicate::str::contains("Nothing is known.")),
        )
        .stderr(
            predicate::str::contains("hs1")
                .and(predicate::str::contains("127.0.0.1:1"))
                .and(predicate::str::contains("help")),
        );
    let output = synprov(directory.path()).args(["plan", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["complete"], false);
    assert_eq!(document["unreachable"][0]["host"], "hs1");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn several_inventories_are_told_in_their_order_and_the_worst_outcome_counts() {
    let directory = directory_with(&unreachable());
    std::fs::write(directory.path().join("broken.yaml"), "hosts: {}\n").unwrap();
    std::fs::write(directory.path().join("other.yaml"), unreachable()).unwrap();
    let told = |arguments: &[&str], code: i32| {
        let output = synprov(directory.path()).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        let headings: Vec<String> =
            stderr.lines().filter(|line| line.starts_with("== ")).map(str::to_owned).collect();
        (String::from_utf8(output.stdout).unwrap(), stderr, headings)
    };
    let all = ["== other.yaml ==", "== inventory.yaml ==", "== broken.yaml =="];
    let (stdout, _, headings) =
        told(&["plan", "--timeout", "5", "other.yaml", "inventory.yaml", "broken.yaml"], 1);
    assert_eq!(headings, all);
    assert_eq!(stdout.matches("1 host could not be asked").count(), 2, "{stdout}");
    assert_eq!(told(&["drift", "--timeout", "5", "inventory.yaml", "other.yaml"], 3).2.len(), 2);
    assert_eq!(told(&["check", "inventory.yaml", "other.yaml"], 0).1.matches("error").count(), 0);
    // One after the other, and no further than the first that fails.
    let (_, stderr, headings) =
        told(&["apply", "--yes", "--timeout", "5", "inventory.yaml", "other.yaml"], 3);
    assert_eq!(headings, ["== inventory.yaml =="]);
    assert!(stderr.ends_with("Not begun: other.yaml\n"), "{stderr}");
    // Side by side the same: who was not begun when one fails stays as it is.
    let apply = ["apply", "--timeout", "5", "--at-once", "2", "other.yaml", "broken.yaml", "inventory.yaml"];
    let (_, stderr, _) = told(&apply, 64);
    assert!(stderr.contains("--yes"), "nobody can answer two questions at once: {stderr}");
    let (_, stderr, headings) = told(&[&apply[..], &["--yes"]].concat(), 1);
    assert_eq!(headings, ["== other.yaml ==", "== broken.yaml =="]);
    assert!(stderr.ends_with("Not begun: inventory.yaml\n"), "{stderr}");
    // Files that one would write over the other.
    let (_, stderr, _) = told(&["plan", "--out", "x.plan", "inventory.yaml", "other.yaml"], 64);
    assert!(stderr.contains("--out names one file") && !directory.path().join("x.plan").exists(), "{stderr}");
}

#[test]
fn apply_changes_nothing_when_a_host_is_missing() {
    let directory = directory_with(&unreachable());
    synprov(directory.path())
        .args(["apply", "--yes"])
        .assert()
        .code(3)
        .stderr(predicate::str::contains("Nothing was changed"));
}

#[test]
fn plan_extends_the_lock_and_locked_forbids_it() {
    let directory = directory_with(&unreachable());
    let lock = directory.path().join("inventory.lock");
    synprov(directory.path())
        .args(["plan", "--locked"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("--locked"));
    assert!(!lock.exists());
    synprov(directory.path()).arg("plan").assert().code(3);
    let first = std::fs::read_to_string(&lock).unwrap();
    synprov(directory.path()).args(["plan", "--locked"]).assert().code(3);
    assert_eq!(std::fs::read_to_string(&lock).unwrap(), first, "nothing is reshuffled");
}

#[test]
fn a_broken_lock_is_refused_and_left_alone() {
    let directory = directory_with(GOOD);
    let lock = directory.path().join("inventory.lock");
    // What to do is said once: by what is wrong in it, else for the file as a whole.
    for (text, help) in [
        ("format: 2\n", "use that one"),
        ("ports: [", "version control"),
        ("format: 1\nports: {sync: {client: many}}\n", "version control"),
        ("ports: {}\n", "version control"),
        ("{}\n", "version control"),
        ("", "version control"),
        ("# a comment\n", "version control"),
        ("format: 1\n<<<<<<< ours\n", "delete the marks"),
    ] {
        std::fs::write(&lock, text).unwrap();
        let output = synprov(directory.path()).arg("check").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text:?}: {said}");
        assert!(said.contains("inventory.lock cannot be used") && said.contains(help), "{text:?}: {said}");
        assert_eq!(said.matches("help: ").count(), 1, "{text:?}: {said}");
        assert_eq!(std::fs::read_to_string(&lock).unwrap(), text);
    }
}

#[test]
fn limit_must_name_a_host() {
    let directory = directory_with(GOOD);
    synprov(directory.path())
        .args(["plan", "--limit", "hs1,hs7"])
        .assert()
        .code(64)
        .stderr(predicate::str::contains("hs7").and(predicate::str::contains("hosts are: hs1")));
}

#[test]
fn secrets_that_cannot_be_had_are_all_named_and_never_shown() {
    let secrets =
        "  secrets: {smtp: env:NOT_SET_ANYWHERE, two: {command: [false]}, three: {file: missing.txt}}\n";
    let inventory = unreachable().replace(
        "  config:                           #",
        &format!("{secrets}  config:\n    email: {{smtp_pass: {{secret: smtp}}}}\n    turn_shared_secret: {{secret: two}}\n    recaptcha_private_key: {{secret: three}} #"),
    );
    let directory = directory_with(&inventory);
    let output = synprov(directory.path()).arg("plan").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["NOT_SET_ANYWHERE", "\"false\"", "missing.txt"] {
        assert!(said.contains(word), "{word} is missing:\n{said}");
    }
}

#[test]
fn colours_only_where_they_are_wanted() {
    let directory = directory_with(&GOOD.replace("handles: [media]", "handels: [media]"));
    let coloured = |words: &[&str]| {
        let output = synprov(directory.path()).args(words).env("TERM", "xterm").output().unwrap();
        output.stderr.contains(&0x1b)
    };
    assert!(!coloured(&["check"]), "standard error is no terminal");
    assert!(coloured(&["check", "--color", "always"]));
    assert!(!coloured(&["check", "--color", "never"]));
}

#[test]
fn modules_beside_the_inventory_shadow_and_add() {
    let directory = directory_with(GOOD);
    let count = || -> u32 {
        let output = synprov(directory.path()).arg("check").assert().code(0).get_output().stdout.clone();
        let text = String::from_utf8(output).unwrap();
        let (before, _) = text.split_once(" resources").unwrap();
        before.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let without = count();
    let module = directory.path().join("modules/motd");
    std::fs::create_dir_all(&module).unwrap();
    let text = "format: 1\nresources:\n  - kind: file\n    path: /etc/motd\n    owner: root\n    group: root\n    mode: \"0644\"\n    set: plain\n    content: {text: \"{{ synapse.nonsense }}\"}\n";
    std::fs::write(module.join("module.yaml"), text).unwrap();
    synprov(directory.path()).arg("check").assert().code(1).stderr(
        predicate::str::contains("motd/module.yaml").and(predicate::str::contains("synapse.nonsense")),
    );
    std::fs::write(module.join("module.yaml"), text.replace("nonsense", "server_name")).unwrap();
    assert_eq!(count(), without + 1);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let directory = directory_with(GOOD);
    let binary = assert_cmd::cargo::cargo_bin("synprov");
    let status = std::process::Command::new("bash")
        .args([
            "-c",
            "set -o pipefail; \"$0\" completion bash | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}",
        ])
        .arg(binary)
        .current_dir(directory.path())
        .status()
        .unwrap();
    assert_ne!(status.code(), Some(101));
}

#[test]
fn nobody_has_to_read_standard_error() {
    let directory =
        directory_with(&unreachable().replace("port: 1 ", "port: 1\n    transport: openssh\n    "));
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin("synprov"));
    command.args(["plan", "-vvv"]).current_dir(directory.path()).env("HOME", directory.path());
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

#[test]
fn completion_and_man_pages_come_from_the_same_flags() {
    let directory = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        synprov(directory.path())
            .args(["completion", shell])
            .assert()
            .code(0)
            .stdout(predicate::str::contains("detailed-exitcode"));
    }
    synprov(directory.path()).args(["man", "."]).assert().code(0);
    let page = std::fs::read_to_string(directory.path().join("synprov-plan.1")).unwrap();
    assert!(page.contains("detailed"), "{page}");
}

/// Where a request goes is said in terms of the inventory, without a host and without a token.
#[test]
fn route_says_where_a_request_goes_and_why() {
    let directory = directory_with(GOOD);
    let told = |words: &[&str]| {
        let output = synprov(directory.path()).arg("route").args(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let sync = "https://matrix.example.org/_matrix/client/v3/sync?since=s1";
    let text = told(&["GET", sync, "--header", "Authorization: Bearer syt_YWxpY2U_geheim_1"]);
    for part in [
        "sync: sync handles sync (inventory.yaml:51:41)",
        "^/_matrix/client/(r0|v3)/sync$",
        "location ~ ",
        "sync on hs1 (127.0.0.1:8081), sync2 on hs1 (127.0.0.1:8082)",
        "the user's name in the token, YWxpY2U",
        "600 s",
        "stands in while none",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    assert!(!text.contains("geheim"), "{text}");
    let text = told(&["GET", sync, "--header", "Authorization: Bearer mat_geheim"]);
    assert!(text.contains("address and User-Agent") && !text.contains("geheim"), "{text}");

    let text = told(&["inventory.yaml", "PUT", "/_matrix/client/v3/rooms/%21a%3Ab/typing/@u:b"]);
    assert!(text.contains("ephemeral writes typing (inventory.yaml:"), "{text}");
    assert!(text.contains("/_matrix/client/v3/rooms/!a:b/typing/@u:b (decoded"), "{text}");
    assert!(text.contains("cannot stand in: it does not write the stream"), "{text}");
    let text = told(&["POST", "/_matrix/client/v3/account/password"]);
    assert!(text.contains("no worker of Synapse serves that"), "{text}");

    let other = ["--json", "GET", "https://matrix.exmaple.org/_matrix/client/versions"];
    let document: serde_json::Value = serde_json::from_str(&told(&other)).unwrap();
    let said = document["diagnostics"][0]["summary"].as_str().unwrap();
    assert!(said.contains("not to \"matrix.exmaple.org\"") && document["route"].is_object(), "{document}");
    for own in ["https://Matrix.Example.org/", "https://example.org:8448/_matrix/key/v2/server"] {
        let document: serde_json::Value = serde_json::from_str(&told(&["--json", "GET", own])).unwrap();
        assert_eq!(document["diagnostics"].as_array().unwrap().len(), 0, "{own}");
    }

    let text = told(&["--json", "GET", "/_matrix/federation/v1/version"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["route"]["class"], "federation_read");
    assert_eq!(document["route"]["since"], "1.130");
    assert_eq!(document["route"]["processes"][0]["name"], "federation_reader");

    let text = told(&["GET", "/_synapse/%61dmin/v1/users", "--from", "192.0.2.1"]);
    assert!(text.contains("404: the admin API is not open to this address"), "{text}");

    // The same in HAProxy's words.
    let haproxy = GOOD.replace("kind: nginx", "kind: haproxy");
    std::fs::write(directory.path().join("haproxy.yaml"), haproxy).unwrap();
    let text = told(&["haproxy.yaml", "GET", "/_matrix/client/v3/keys/changes"]);
    assert!(text.contains("/etc/haproxy/matrix.cfg:") && text.contains(": acl encryption "), "{text}");
}

#[test]
fn a_request_that_is_none_is_wrong_usage() {
    let directory = directory_with(GOOD);
    for (words, said) in [
        (&["get", "/x"][..], "capitals: GET"),
        (&["/x", "GET"], "write the method before the URL"),
        (&["GET", "x"], "write https://HOST"),
        (&["GET", "/a b"], "%20"),
        (&["GET", "/x", "--header", "nonsense"], "NAME: VALUE"),
        (&["GET", "/x", "--from", "nowhere"], "invalid value"),
        (&["GET", "/x", "--appservice", "telegram"], "no application service \"telegram\""),
        (&["GET"], "INVENTORY METHOD URL"),
    ] {
        let assert = synprov(directory.path()).arg("route").args(words).assert().code(64).stdout("");
        assert.stderr(predicate::str::contains(said));
    }
}

#[test]
fn why_names_what_it_knows_and_asks_the_hosts() {
    let directory = directory_with(&unreachable());
    synprov(directory.path()).args(["why", "nonsense"]).assert().code(64).stdout("").stderr(
        predicate::str::contains("no instance, pool or unit")
            .and(predicate::str::contains("known: main, sync, sync2"))
            .and(predicate::str::contains("nginx.service")),
    );
    synprov(directory.path()).arg("why").assert().code(64);
    synprov(directory.path())
        .args(["why", "sync"])
        .assert()
        .code(3)
        .stdout("")
        .stderr(predicate::str::contains("127.0.0.1:1"));
    let output = synprov(directory.path()).args(["why", "sync", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["units"].as_array().unwrap().len(), 0);
}

#[test]
fn drift_of_an_unreachable_host_is_3_in_every_format_and_writes_nothing() {
    let directory = directory_with(&unreachable());
    let drift = |words: &[&str]| synprov(directory.path()).arg("drift").args(words).assert();
    drift(&[])
        .code(3)
        .stdout(predicate::str::contains("could not be asked").and(predicate::str::contains("incomplete")))
        .stderr("");
    drift(&["--quiet"]).code(3).stdout("").stderr("");
    let output = drift(&["--format", "json"]).code(3).stderr("").get_output().stdout.clone();
    let document: serde_json::Value = serde_json::from_slice(&output).unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../schema/drift.schema.json")).unwrap();
    jsonschema::validate(&schema, &document).unwrap();
    assert_eq!((&document["complete"], &document["exit"]), (&false.into(), &3.into()));
    drift(&["--format", "prometheus"]).code(3).stdout(predicate::str::contains("synprov_host_reachable"));
    // A directory that is not there is an error, whatever was found.
    drift(&["--format", "json", "--out", "nowhere/x.json"]).code(1).stdout("");
    drift(&["--format", "json", "--out", "x.json"]).code(3).stdout("");
    let written = std::fs::read(directory.path().join("x.json")).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&written).is_ok());
    let mut left: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["inventory.yaml", "x.json"], "no lock, no state, no half-written file");
    for wrong in [
        &["--quiet", "--format", "json"][..],
        &["--notify", "mail"],
        &["--notify", "command:[]"],
        &["--limit", "x"],
    ] {
        drift(wrong).code(64);
    }
}

#[test]
fn pages_are_whole_files_for_nobody_else_and_say_which_hosts_are_missing() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = directory_with(&unreachable());
    let page = directory.path().join("page.html");
    for (command, words) in ["plan", "drift"].map(|command| (command, "Nothing is known.")) {
        // What others may read is not written into, but replaced.
        std::fs::write(&page, "old").unwrap();
        std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o644)).unwrap();
        synprov(directory.path()).args([command, "--html", "page.html"]).assert().code(3);
        let text = std::fs::read_to_string(&page).unwrap();
        assert_eq!(std::fs::metadata(&page).unwrap().permissions().mode() & 0o7777, 0o600, "{command}");
        assert!(text.starts_with("<!doctype html>") && text.ends_with("</html>\n"), "{text}");
        for part in [words, "<strong>hs1 could not be asked.</strong>", "<svg", "default-src &#39;none&#39;"]
        {
            let part = part.replace("&#39;", "'");
            assert!(text.contains(&part), "{command}: {part} is missing:\n{text}");
        }
        synprov(directory.path()).args([command, "--html", "nowhere/page.html"]).assert().stderr(
            predicate::str::contains("cannot write nowhere/page.html").and(predicate::str::contains("help")),
        );
    }
    // cron gets no mail about a page.
    synprov(directory.path())
        .args(["drift", "--quiet", "--html", "page.html"])
        .assert()
        .code(3)
        .stdout("")
        .stderr("");
    let left = std::fs::read_dir(directory.path()).unwrap();
    let left: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with(".synprov-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn drift_notifies_only_when_the_outcome_is_another() {
    let directory = directory_with(&unreachable());
    let log = directory.path().join("log");
    let run = |command: &str, code: i32| {
        synprov(directory.path())
            .env_remove("XDG_STATE_HOME")
            .args(["drift", "--quiet", "--notify", command])
            .assert()
            .code(code)
            .stdout("");
        std::fs::read_to_string(&log).unwrap_or_default()
    };
    // A command that fails is an error, and is run again by the next run.
    assert_eq!(run("command:['false']", 1), "");
    assert_eq!(run("command:[no-such-program]", 1), "");
    let tell = "command:[sh, -c, 'echo $SYNPROV_BEFORE $SYNPROV_STATE $SYNPROV_EXIT $SYNPROV_SERVER_NAME >> log; cat >> log']";
    let first = run(tell, 3);
    assert!(first.starts_with("clean incomplete 3 example.org\n"), "{first}");
    assert!(first.contains("could not be asked"), "{first}");
    assert_eq!(run(tell, 3), first, "the same again is not told");
    let state = directory.path().join(".local/state/synprov/drift");
    let files: Vec<_> = std::fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    // A file that nobody can read counts as nothing found: told once too often rather than not at all.
    std::fs::write(&files[0], "{").unwrap();
    assert_eq!(run(tell, 3).len(), 2 * first.len());
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::remove_dir(&state).unwrap();
    std::fs::write(&state, "no directory").unwrap();
    synprov(directory.path())
        .env_remove("XDG_STATE_HOME")
        .args(["drift", "--quiet", "--notify", "command:['true']"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("the next run notifies again"));
}

/// `restart sync2` means a process of the default inventory, `restart other.yaml` an inventory.
#[test]
fn names_and_an_inventory_are_told_apart() {
    let directory = directory_with(&unreachable());
    std::fs::copy(directory.path().join("inventory.yaml"), directory.path().join("other.yml")).unwrap();
    let check = |words: &[&str], code: i32, said: &str| {
        synprov(directory.path()).args(words).assert().code(code).stderr(predicate::str::contains(said));
    };
    for verb in ["start", "stop", "restart", "reload", "enable", "disable", "status", "logs"] {
        check(&[verb, "nobody"], 64, "\"nobody\" is no process of this inventory");
        check(&[verb, "nobody", "other.yml"], 64, "\"nobody\" is no process of this inventory");
        check(&[verb, "main", "missing.yaml"], 1, "cannot read missing.yaml");
        check(&[verb, "a.yaml", "b.yaml"], 64, "two inventories are named, the second is b.yaml");
        check(&[verb, "main"], 3, "hs1: cannot connect to 127.0.0.1:1");
    }
    check(&["restart", "main", "-i", "other.yml", "--limit", "hs9"], 64, "\"hs9\"");
    check(&["logs", "main", "--since", "yesterday"], 64, "write 90s, 15m, 2h, 3d");
    check(&["status", "--watch"], 64, "--watch needs a terminal");
}

#[test]
fn a_status_of_hosts_that_do_not_answer_is_json_all_the_same() {
    let directory = directory_with(&unreachable());
    let output = synprov(directory.path()).args(["status", "--json"]).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(document["well"], false);
    assert_eq!(document["unreachable"][0]["host"], "hs1");
}

#[test]
fn secrets_are_exported_to_nobody_by_mistake() {
    let directory = directory_with(&unreachable());
    std::fs::write(directory.path().join("there.age"), "mine").unwrap();
    synprov(directory.path())
        .args(["secrets", "export", "-o", "there.age"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("there.age exists and is not overwritten"));
    assert_eq!(std::fs::read_to_string(directory.path().join("there.age")).unwrap(), "mine");
    synprov(directory.path())
        .args(["secrets", "import", "there.age"])
        .assert()
        .code(1)
        .stderr(predicate::str::contains("there.age is no age file"));
}

#[test]
fn only_the_deployments_own_secrets_can_be_rotated() {
    let directory = directory_with(&unreachable());
    synprov(directory.path())
        .args(["plan", "--rotate", "nonsense"])
        .assert()
        .code(64)
        .stderr(predicate::str::contains("there is no secret \"nonsense\""));
}

#[test]
fn every_schema_is_printed_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.strip_suffix(".schema.json").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        synprov(directory.path()).args(["schema", name]).assert().code(0).stdout(text);
        seen += 1;
    }
    assert!(seen > 5);
}

/// What hosts that did not answer may hold is not known; that everything is well, or as it was, is not said.
#[test]
fn nothing_is_said_about_hosts_that_did_not_answer() {
    let directory = directory_with(&unreachable());
    let said = |words: &[&str]| {
        let output = synprov(directory.path()).args(words).assert().code(3).get_output().clone();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let incomplete = "Nothing is known. 1 host could not be asked: this answer is incomplete.\n";
    for command in ["status", "history", "drift"] {
        let [stdout, _] = said(&[command]);
        assert!(stdout.ends_with(incomplete), "{command}: {stdout}");
    }
    let [stdout, _] = said(&["history", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["unreachable"][0]["host"], "hs1");
    for verb in ["start", "stop", "restart", "reload"] {
        let [stdout, stderr] = said(&[verb, "--yes"]);
        assert_eq!(stdout, "", "{verb}");
        assert!(stderr.ends_with("Nothing was done. Mend these hosts, or leave them out with --limit.\n"));
    }
    let [_, stderr] = said(&["history", "--show", "7"]);
    assert!(!stderr.contains("no host keeps"), "{stderr}");
    let [_, stderr] = said(&["plan", "--target", "sync"]);
    assert!(stderr.contains("no host that answered remembers an apply"), "{stderr}");
}

#[test]
fn a_result_that_nobody_takes_is_an_error_and_one_that_nobody_reads_is_none() {
    let directory = directory_with(GOOD);
    for words in [&["schema"][..], &["check", "--json"], &["graph"], &["--help"], &["route", "GET", "/"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("synprov"));
        let output = command.current_dir(directory.path()).args(words).stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert_eq!(said.matches("standard output does not take the result").count(), 1, "{words:?}: {said}");
        let (reader, closed) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("synprov"));
        let output = command.current_dir(directory.path()).args(words).stdout(closed).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{words:?}");
    }
}

#[test]
fn what_is_no_inventory_is_refused_with_what_it_is_instead() {
    let directory = directory_with(GOOD);
    std::fs::write(directory.path().join("latin.yaml"), b"hosts:\n  a: {address: 192.0.2.1}\n# \xe4\n")
        .unwrap();
    let huge = std::fs::File::create(directory.path().join("huge.yaml")).unwrap();
    huge.set_len(10 << 30).unwrap();
    for (name, words) in [
        ("latin.yaml", "latin.yaml is not UTF-8 text, first in line 3"),
        ("huge.yaml", "the inventory is larger than 1 MB"),
        ("/dev/zero", "the inventory is larger than 1 MB"),
        (".", "name the file in it"),
        ("nowhere.yaml", "`synprov init` writes one"),
        ("/dev/null", "`synprov init` writes one"),
    ] {
        synprov(directory.path())
            .args(["check", name])
            .assert()
            .code(1)
            .stderr(predicate::str::contains(words));
    }
}

#[test]
fn what_needs_no_host_is_refused_before_one_is_asked() {
    let directory = directory_with(&unreachable());
    for (words, code, summary) in [
        (&["plan", "--locked"][..], 1, "--locked forbids it"),
        (&["apply", "--locked", "--yes"], 1, "--locked forbids it"),
        (&["plan", "--rotate", "nix"], 64, "there is no secret \"nix\""),
    ] {
        let asked = predicate::str::contains("hs1").not();
        synprov(directory.path())
            .args(words)
            .assert()
            .code(code)
            .stderr(predicate::str::contains(summary).and(asked));
    }
    for flag in ["--output=rules", "--policy=accept", "--allow=51820/udp"] {
        synprov(directory.path())
            .args(["firewall", flag])
            .assert()
            .code(64)
            .stderr(predicate::str::contains("--format nftables"));
    }
}

#[test]
fn a_plan_can_be_looked_at_where_nobody_may_write() {
    let directory = directory_with(&unreachable());
    let mount =
        format!("mount --bind {0} {0} && mount -o remount,ro,bind {0} && cd {0}", directory.path().display());
    let run = |words: &str| {
        let program = assert_cmd::cargo::cargo_bin!("synprov").display();
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", &format!("{mount} && exec {program} {words}")])
            .env("HOME", directory.path())
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run("plan");
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("note: what this plan adds to the lock is not kept") && !said.contains(".tmp"),
        "{said}"
    );
    let (code, said) = run("plan --out saved.plan");
    assert!(code == Some(1) && said.contains("cannot write inventory.lock"), "{said}");
}

#[test]
fn documents_of_several_inventories_say_whose_they_are() {
    let directory = directory_with(&unreachable());
    std::fs::copy(directory.path().join("inventory.yaml"), directory.path().join("other.yaml")).unwrap();
    for (command, code) in [("check", 0), ("plan", 3)] {
        let output = synprov(directory.path())
            .args([command, "inventory.yaml", "other.yaml", "--json"])
            .assert()
            .code(code)
            .get_output()
            .clone();
        let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<serde_json::Value>();
        let names: Vec<_> =
            documents.map(|one| one.unwrap()["inventory"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["inventory.yaml", "other.yaml"], "{command}");
    }
    let drift = |words: &[&str]| {
        let arguments = ["drift", "inventory.yaml"].iter().chain(words);
        let output = synprov(directory.path()).args(arguments).assert().code(3).get_output().clone();
        String::from_utf8(output.stdout).unwrap()
    };
    let document: serde_json::Value = serde_json::from_str(&drift(&["--json"])).unwrap();
    assert_eq!(document["server_name"], "example.org");
    let page = drift(&["other.yaml", "--format", "prometheus"]);
    assert_eq!(page.matches("# HELP synprov_host_reachable ").count(), 1, "{page}");
    assert_eq!(page.lines().filter(|line| line.starts_with("synprov_host_reachable{")).count(), 2, "{page}");
    // One file for node_exporter.
    drift(&["other.yaml", "--format", "prometheus", "--out", "synprov.prom"]);
    let kept = std::fs::read_to_string(directory.path().join("synprov.prom")).unwrap();
    assert_eq!(kept.matches("synprov_host_reachable{").count(), 2, "{kept}");
}
