//! The Debian package, made of the program under test: what is in it, whose, and that it is the same twice.
//! Needs dpkg-dev and systemd, as `make test-deps` installs them.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

const INVENTORY: &str = include_str!("../inventories/single-host.yaml");

/// What a command says; it has to end well.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Builds a package into `folder`. Without symbols, as a release has none, and not compressed: both only cost time.
fn package(folder: &Path) -> PathBuf {
    let programs = tempfile::tempdir().unwrap();
    let program = programs.path().join("synprov");
    run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_synprov")));
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/build-deb"));
    command.arg(&program).arg(folder);
    command.env("SOURCE_DATE_EPOCH", "1764201600").env("DEB_COMPRESSION", "none");
    run(&mut command);
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let [file] = found.collect::<Vec<_>>().try_into().unwrap();
    file
}

#[test]
fn the_package_holds_what_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let file = package(folder.path());
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.starts_with(concat!("synprov_", env!("CARGO_PKG_VERSION"), "_")), "{name}");

    let list = run(Command::new("dpkg-deb").arg("--contents").arg(&file).env("TZ", "UTC"));
    for line in list.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let path = fields[5];
        let mode = match path {
            _ if path.ends_with('/') => "drwxr-xr-x",
            "./usr/bin/synprov" => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!((fields[0], fields[1]), (mode, "root/root"), "{line}");
        assert_eq!((fields[3], fields[4]), ("2025-11-27", "00:00"), "{line}");
    }
    for path in [
        "/usr/bin/synprov",
        "/usr/share/man/man1/synprov.1.gz",
        "/usr/share/man/man1/synprov-apply.1.gz",
        "/usr/share/bash-completion/completions/synprov",
        "/usr/share/zsh/vendor-completions/_synprov",
        "/usr/share/fish/vendor_completions.d/synprov.fish",
        "/usr/share/doc/synprov/README.md",
        "/usr/share/doc/synprov/changelog.gz",
        "/usr/share/doc/synprov/copyright",
        "/usr/share/doc/synprov/docs/drift.md",
        "/usr/lib/systemd/system/synprov-drift.service",
        "/usr/lib/systemd/system/synprov-drift.timer",
        "/etc/default/synprov",
    ] {
        assert!(list.lines().any(|line| line.ends_with(&format!(" .{path}"))), "no {path} in\n{list}");
    }
    assert!(!list.contains("wants/"), "the timer is off until somebody wants it:\n{list}");

    let field = |name: &str| run(Command::new("dpkg-deb").arg("--field").arg(&file).arg(name));
    assert_eq!(field("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert!(field("Depends").contains("libc6 (>= "), "{}", field("Depends"));
    let vendored = cfg!(feature = "vendored");
    assert_eq!(field("Depends").contains("libssl"), !vendored, "{}", field("Depends"));
    let conffiles = run(Command::new("dpkg-deb").arg("--info").arg(&file).arg("conffiles"));
    assert_eq!(conffiles, "/etc/default/synprov\n");
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    run(Command::new("cmp").arg(package(one.path())).arg(package(other.path())));
}

/// Unpacked as dpkg would, the unit is one that systemd takes, and what it runs is what the configuration says.
#[test]
fn the_packaged_unit_runs_with_its_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let packages = folder.path().join("packages");
    std::fs::create_dir(&packages).unwrap();
    run(Command::new("dpkg-deb").arg("--extract").arg(package(&packages)).arg(&root));
    run(Command::new("bash").arg("-n").arg(root.join("usr/share/bash-completion/completions/synprov")));
    let home = folder.path().join("home");
    std::fs::create_dir_all(home.join("homeserver")).unwrap();
    // At an address of this machine where nothing listens.
    let unreachable = INVENTORY.replace("address: 192.0.2.10 ", "address: 127.0.0.1\n    port: 1 ");
    std::fs::write(home.join("homeserver/inventory.yaml"), unreachable).unwrap();
    // The paths are the machine's, so they are moved to where the package was unpacked.
    let script = r#"set -eu
        root=$1; home=$2; units=$(mktemp -d)
        sed -i "s|/var/lib/prometheus/node-exporter|$home|" "$root"/etc/default/synprov
        for unit in service timer; do
            sed "s|/usr/bin/|$root/usr/bin/|; s|/etc/default|$root/etc/default|" "$root/usr/lib/systemd/system/synprov-drift.$unit" > "$units/synprov-drift.$unit"
        done
        said=$(systemd-analyze verify --recursive-errors=no "$units"/* 2>&1) || { echo "$said"; exit 90; }
        [ -z "$said" ] || { echo "$said"; exit 91; }
        set -a; . "$(sed -n 's/^EnvironmentFile=//p' "$units/synprov-drift.service")"; set +a
        cd "$home"; export HOME="$home"
        status=0; eval "$(sed -n 's/^ExecStart=//p' "$units/synprov-drift.service")" || status=$?
        [ $status = 3 ] || exit 92
        cat "$home/synprov.prom""#;
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).arg(&root).arg(&home).env("SYSTEMD_LOG_LEVEL", "warning");
    let metrics = run(&mut command);
    assert!(metrics.contains("synprov_host_reachable{server_name="), "{metrics}");
}
