//! What `examples/` shows, run as it stands there, with stand-ins for what this machine has not.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use synprov::yaml::{self, Kind, Node};

const INVENTORY: &str = include_str!("../inventories/single-host.yaml");

/// The shipped inventory with its host at an address of this machine where nothing listens.
fn unreachable() -> String {
    INVENTORY.replace("address: 192.0.2.10 ", "address: 127.0.0.1\n    port: 1 ")
}

/// An executable of this name.
fn executable(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The command of cron's line, run as cron does: by sh, in the home directory, with PATH of the file.
#[test]
fn the_crontab_line_runs() {
    let file = include_str!("../examples/cron/synprov-drift");
    let line = file.lines().find(|line| line.starts_with(|c: char| c.is_ascii_digit())).unwrap();
    let words: Vec<&str> = line.splitn(7, ' ').collect();
    assert_eq!(words[1..6], ["*", "*", "*", "*", "synprov"], "every hour, and a user as in /etc/cron.d");
    let path = file.lines().find_map(|line| line.strip_prefix("PATH=")).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("homeserver")).unwrap();
    std::fs::write(home.path().join("homeserver/inventory.yaml"), unreachable()).unwrap();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_synprov"), bin.join("synprov")).unwrap();
    let output = Command::new("sh")
        .args(["-c", words[6]])
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", format!("{}:{path}", bin.display()))
        .current_dir(home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert!(text(&output).contains("could not be asked"), "{}", text(&output));
    assert!(!home.path().join("homeserver/inventory.lock").exists(), "drift writes no lock");
}

/// systemd takes the units, and ExecStart runs, with stand-ins at the paths that it names.
#[test]
fn the_units_are_taken_by_systemd_and_their_command_runs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
    let unit = std::fs::read_to_string(folder.join("synprov-drift.service")).unwrap();
    let value = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("homeserver")).unwrap();
    std::fs::write(home.path().join("homeserver/inventory.yaml"), unreachable()).unwrap();
    // In a mount namespace of its own, so that nothing of this machine changes.
    let script = format!(
        r#"set -eu
        program=$(readlink -f "$1"); folder=$2; home=$3; units=$(mktemp -d)
        cp "$folder"/synprov-drift.* "$units"/; cp "$program" "$home"/synprov
        mount -t tmpfs tmpfs /usr/local/bin && cp "$home"/synprov /usr/local/bin/synprov
        said=$(systemd-analyze verify --recursive-errors=no "$units"/synprov-drift.service "$units"/synprov-drift.timer 2>&1) || {{ echo "$said"; exit 90; }}
        [ -z "$said" ] || {{ echo "$said"; exit 91; }}
        mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/prometheus/node-exporter
        cd "$home"; export HOME="$home" {environment}
        status=0; {command} || status=$?
        cat /var/lib/prometheus/node-exporter/*
        stat -c %a /var/lib/prometheus/node-exporter/synprov.prom
        ls -A /var/lib/prometheus/node-exporter | wc -l
        exit $status"#,
        environment = value("Environment="),
        command = value("ExecStart="),
    );
    let output = Command::new("unshare")
        .args(["--mount", "bash", "-c", &script, "bash", env!("CARGO_BIN_EXE_synprov")])
        .arg(&folder)
        .arg(home.path())
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .output()
        .unwrap();
    let said = text(&output);
    let code = output.status.code().unwrap();
    assert!(value("SuccessExitStatus=").split(' ').any(|one| one == code.to_string()), "exit {code}: {said}");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("synprov_host_reachable{server_name="), "{said}");
    assert!(said.ends_with("644\n1\n"), "readable by others, and nothing else is left: {said}");
}

/// What `drift --format prometheus` puts out for a host that does not answer.
fn metrics() -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("inventory.yaml"), unreachable()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_synprov"))
        .args(["drift", "--format", "prometheus"])
        .current_dir(folder.path())
        .env_remove("SYNPROV_INVENTORY")
        .env("HOME", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    String::from_utf8(output.stdout).unwrap()
}

fn items<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match &node.get(key).unwrap_or_else(|| panic!("no {key}")).kind {
        Kind::Seq(items) => items,
        other => panic!("{key} is {other:?}"),
    }
}

fn str_of<'a>(node: &'a Node, key: &str) -> &'a str {
    node.get(key).and_then(Node::as_str).unwrap_or_else(|| panic!("no {key}"))
}

/// Words of `text` that begin like our metrics.
fn names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("synprov_"))
        .collect()
}

#[test]
fn the_alerts_stand_on_metrics_that_are_there() {
    let metrics = metrics();
    let declared: BTreeSet<&str> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split('{').next().unwrap();
        assert!(declared.contains(name), "{line}");
        assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
    }
    let root = yaml::parse(include_str!("../examples/prometheus/synprov.rules.yaml")).unwrap();
    let mut alerts = 0;
    for group in items(&root, "groups") {
        for rule in items(group, "rules") {
            let (alert, expression) = (str_of(rule, "alert"), str_of(rule, "expr"));
            assert!(!names(expression).is_empty(), "{alert}");
            for name in names(expression) {
                assert!(declared.contains(name), "{alert}: {name} is never written");
            }
            assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{alert}");
            assert!(rule.get("annotations").and_then(|it| it.get("summary")).is_some(), "{alert}");
            alerts += 1;
        }
    }
    assert_eq!(alerts, 6);
}

/// The step of the workflow, run by bash as the runner does, with a stand-in for `gh`.
#[test]
fn the_pipeline_comments_the_plan() {
    let root = yaml::parse(include_str!("../examples/ci/plan.yaml")).unwrap();
    let job = root.get("jobs").and_then(|jobs| jobs.get("plan")).unwrap();
    let step = items(job, "steps").iter().find(|step| step.get("run").is_some()).unwrap();
    assert_eq!(str_of(step, "shell"), "bash");
    let folder = tempfile::tempdir().unwrap();
    let (bin, work) = (folder.path().join("bin"), folder.path().join("work"));
    std::fs::create_dir(&work).unwrap();
    executable(
        &bin,
        "gh",
        "#!/bin/sh\necho \"$@\" > \"$HOME/gh\"\nwhile [ $# -gt 1 ]; do [ \"$1\" = --body-file ] && cp \"$2\" \"$HOME/comment\"; shift; done\n",
    );
    // A program whose plan ends with the status of this test: what a host would answer is not the point here.
    let run = |status: i32| {
        executable(
            &bin,
            "synprov",
            &format!(
                "#!/bin/sh\n[ \"$1\" = check ] && exec {} \"$@\"\necho 'Plan: 1 to add.'; echo talk >&2; exit {status}\n",
                env!("CARGO_BIN_EXE_synprov")
            ),
        );
        std::fs::write(work.join("inventory.yaml"), unreachable()).unwrap();
        // The repository has the lock that goes with it.
        let plan = Command::new(env!("CARGO_BIN_EXE_synprov"))
            .args(["plan", "inventory.yaml"])
            .current_dir(&work)
            .env("HOME", folder.path())
            .output()
            .unwrap();
        assert_eq!(plan.status.code(), Some(3), "{}", text(&plan));
        let key = folder.path().join("key");
        let _ = std::fs::remove_file(&key);
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let output = Command::new("bash")
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", str_of(step, "run")])
            .env_remove("SYNPROV_INVENTORY")
            .env("HOME", folder.path())
            .env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()))
            .env("NUMBER", "12")
            .env("NO_COLOR", "1")
            .env("SYNPROV_SSH_KEY", std::fs::read_to_string(&key).unwrap())
            .current_dir(&work)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        (output.status.code().unwrap(), read("gh"), read("comment"), text(&output))
    };
    for (status, ends, title) in [
        (0, 0, "### synprov: No changes"),
        (2, 0, "### synprov: Changes"),
        (3, 1, "The plan failed (exit status 3)"),
    ] {
        let (code, gh, comment, said) = run(status);
        assert_eq!(code, ends, "{said}");
        assert!(gh.starts_with("pr comment 12 ") && gh.contains("--create-if-none"), "{gh}");
        assert!(
            comment.contains(title) && comment.contains("Plan: 1 to add.") && comment.contains("talk"),
            "{comment}"
        );
    }
}
