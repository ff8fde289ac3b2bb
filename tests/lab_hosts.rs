//! Throwaway hosts, for real: needs root, podman and mmdebstrap.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used)]

mod throwaway;

use std::net::TcpListener;
use std::process::{Command, Output};

use synprov::lab::{Distro, Flavour, HostSpec, Lab, LabError, LabSpec, Outward, Sudo};
use throwaway::{host, spec};

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// What a shell line on a host says and whether it succeeded.
fn sh(lab: &Lab, host: &str, line: &str) -> (bool, String) {
    let output = lab.exec(host, &["bash", "-c", line]).unwrap();
    (output.status.success(), text(&output))
}

fn ssh(lab: &Lab, host: &str, line: &str) -> (bool, String) {
    let argv = lab.ssh_command(host).unwrap();
    let output = Command::new(&argv[0]).args(&argv[1..]).arg(line).output().unwrap();
    (output.status.success(), text(&output))
}

/// Everything podman, nft and the file system have of a lab.
fn traces(name: &str) -> Vec<String> {
    let mut traces = Vec::new();
    for (program, args) in [
        ("podman", &["ps", "--all", "--format", "{{.Names}}"][..]),
        ("podman", &["network", "ls", "--format", "{{.Name}}"]),
        ("nft", &["list", "tables"]),
    ] {
        let output = Command::new(program).args(args).output().unwrap();
        let names = [name.to_owned(), name.replace('-', "_")];
        let ours = |line: &&str| names.iter().any(|name| line.contains(name));
        traces.extend(String::from_utf8_lossy(&output.stdout).lines().filter(ours).map(str::to_owned));
    }
    traces.extend(Lab::find(name).err().is_none().then(|| "lab.json".to_owned()));
    traces
}

#[test]
#[ignore = "lab: needs root and podman"]
fn hosts_are_reached_reach_each_other_and_go_without_a_trace() {
    let hosts = vec![
        HostSpec {
            tls_names: vec!["matrix.example.org".into()],
            ..host("hs1", 1, "deploy", Sudo::NoPassword, Distro::Debian12)
        },
        host("hs2", 2, "root", Sudo::No, Distro::Debian13),
        host("hs3", 3, "asked", Sudo::Password, Distro::Debian12),
    ];
    let (spec, removed) = spec("reach", Outward::Indexes, hosts);
    let lab = Lab::up(&spec).unwrap();

    // The key and the pinned host keys, and sudo as ordered.
    assert_eq!(ssh(&lab, "hs1", "id -un; sudo -n id -un"), (true, "deploy\nroot\n".into()));
    assert_eq!(ssh(&lab, "hs2", "hostname; . /etc/os-release; echo $VERSION_ID"), (true, "hs2\n13\n".into()));
    let (allowed, said) = ssh(&lab, "hs3", "sudo -n id -un");
    assert!(!allowed && said.contains("password is required"), "{said}");
    let keys: std::collections::HashSet<_> = lab.hosts().iter().map(|host| &host.host_key).collect();
    assert_eq!(keys.len(), 3, "every host has its own key");
    let known_hosts = &lab.hosts()[0].known_hosts;
    let honest = std::fs::read_to_string(known_hosts).unwrap();
    std::fs::write(known_hosts, honest.replace(&lab.hosts()[0].host_key, &lab.hosts()[1].host_key)).unwrap();
    let (trusted, said) = ssh(&lab, "hs1", "true");
    assert!(!trusted && said.contains("verification failed"), "a changed host key is refused: {said}");
    std::fs::write(known_hosts, honest).unwrap();

    // Names, both networks, a certificate of the lab's own CA.
    let (_, resolved) = sh(&lab, "hs1", "getent hosts hs2");
    assert!(resolved.starts_with(&lab.hosts()[1].address), "{resolved}");
    let internal = &lab.hosts()[1].internal_address;
    assert_eq!(
        sh(&lab, "hs1", &format!("exec 3<>/dev/tcp/{internal}/22; head -c 4 <&3")),
        (true, "SSH-".into())
    );
    let certificate = lab.exec("hs1", &["cat", synprov::lab::LAB_CERTIFICATE]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.stdout).unwrap();
    let verify = Command::new("openssl")
        .args(["verify", "-verify_hostname", "matrix.example.org", "-CAfile"])
        .args([&lab.state().ca, file.path()])
        .output()
        .unwrap();
    assert!(verify.status.success(), "{}", text(&verify));

    // Outwards: the indexes, and nothing else of what the machine reaches.
    let (updated, said) = sh(&lab, "hs1", "apt-get -q update");
    assert!(updated && !said.contains("Err:"), "{said}");
    let machine = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = machine.local_addr().unwrap().port();
    let gateway = sh(&lab, "hs1", "ip route show default").1.split(' ').nth(2).unwrap().to_owned();
    let (reached, said) = sh(&lab, "hs1", &format!(": < /dev/tcp/{gateway}/{port}"));
    assert!(!reached && said.contains("No route"), "{said}");
    let (resolves, _) = sh(&lab, "hs1", "getent hosts example.com");
    assert!(!resolves, "names of the real world do not resolve");

    // Seen from outside, only sshd.
    assert_eq!(lab.port_scan(&lab.hosts()[0].address).unwrap(), [22]);

    // A second lab of the name is refused and does no harm; `find` and `all` know this one.
    assert!(matches!(Lab::up(&spec), Err(LabError::Exists { .. })));
    assert_eq!(Lab::find(&spec.name).unwrap().state(), lab.state());
    assert!(Lab::all().unwrap().iter().any(|other| other.state() == lab.state()));

    assert!(!traces(&spec.name).is_empty());
    lab.down().unwrap();
    assert_eq!(traces(&spec.name), Vec::<String>::new());
    assert!(matches!(Lab::remove(&spec.name), Err(LabError::NotFound { .. })));
    drop(removed);
}

#[test]
#[ignore = "lab: needs root and podman"]
fn labs_stand_side_by_side_and_a_limited_one_does_not_reach_an_open_one() {
    let one = || vec![host("hs1", 1, "root", Sudo::No, Distro::Debian12)];
    let (open, _open) = spec("open", Outward::All, one());
    let (limited, _limited) = spec("limited", Outward::Indexes, one());
    let (open, limited) = (Lab::up(&open).unwrap(), Lab::up(&limited).unwrap());
    let to = |lab: &Lab| format!("exec 3<>/dev/tcp/{}/22; head -c 4 <&3", lab.hosts()[0].address);
    let machine = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = machine.local_addr().unwrap().port();
    let gateway = sh(&open, "hs1", "ip route show default").1.split(' ').nth(2).unwrap().to_owned();
    let (reached, said) = sh(&open, "hs1", &format!(": < /dev/tcp/{gateway}/{port}"));
    assert!(reached, "an open lab reaches this machine: {said}");
    let (reached, said) = sh(&limited, "hs1", &to(&open));
    assert!(!reached, "{said}");
}

#[test]
#[ignore = "lab: needs root and podman"]
fn a_lab_that_fails_half_way_leaves_nothing() {
    let hosts = vec![
        host("hs1", 1, "root", Sudo::No, Distro::Debian12),
        // The user is there already, so preparing this host fails after both have booted.
        host("hs2", 2, "daemon", Sudo::No, Distro::Debian12),
    ];
    let (spec, _removed) = spec("half", Outward::Indexes, hosts);
    let error = Lab::up(&spec).unwrap_err();
    assert_eq!(error.to_string(), "prepare host \"hs2\": useradd: user 'daemon' already exists");
    assert_eq!(traces(&spec.name), Vec::<String>::new());
}

#[test]
#[ignore = "lab: needs root and podman"]
fn hostile_names_are_refused_before_anything_is_started() {
    for (lab, host_name, user) in [
        ("Ab", "hs1", "root"),
        ("../x", "hs1", "root"),
        ("a", "-hs1", "root"),
        ("a", "hs1", "x;id"),
        ("a", "", "root"),
    ] {
        let hosts = vec![host(host_name, 1, user, Sudo::No, Distro::Debian12)];
        let spec = LabSpec { name: lab.into(), hosts, flavour: Flavour::Bare, outward: Outward::All };
        assert!(matches!(Lab::up(&spec), Err(LabError::Invalid { .. })), "{lab} {host_name} {user}");
    }
}

/// Runs one test of this file again in a process of its own, which sees `CHILD` and does its part there.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--include-ignored"]).env("CHILD", test);
    command
}

fn is_child() -> bool {
    std::env::var_os("CHILD").is_some()
}

#[test]
#[ignore = "lab: needs root and podman"]
fn without_podman_one_error_says_what_to_install() {
    if is_child() {
        let hosts = vec![host("hs1", 1, "root", Sudo::No, Distro::Debian12)];
        let (spec, _) = spec("nothing", Outward::All, hosts);
        let error = Lab::up(&spec).unwrap_err();
        println!("error: {error}\nhelp: {}", error.help().unwrap());
        return;
    }
    let test = "without_podman_one_error_says_what_to_install";
    let output = child(test).env("PATH", "/nowhere").output().unwrap();
    let said = text(&output);
    assert!(said.contains("error: throwaway hosts need podman, mmdebstrap"), "{said}");
    assert!(said.contains("help: apt-get install --no-install-recommends podman"), "{said}");
}

#[test]
#[ignore = "lab: needs root and podman"]
fn a_lab_whose_start_was_killed_is_swept_away_by_the_next_start() {
    let hosts = || vec![host("hs1", 1, "root", Sudo::No, Distro::Debian12)];
    if is_child() {
        let (mut spec, _leak) = spec("killed", Outward::Indexes, hosts());
        spec.name = std::env::var("LAB").unwrap();
        std::mem::forget(Lab::up(&spec));
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let (spec, removed) = spec("killed", Outward::Indexes, hosts());
    let mut killed = child("a_lab_whose_start_was_killed_is_swept_away_by_the_next_start");
    let mut killed = killed.env("LAB", &spec.name).spawn().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while !traces(&spec.name).iter().any(|trace| trace.ends_with(".hs1")) {
        assert!(std::time::Instant::now() < until, "the child started nothing");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(matches!(Lab::up(&spec), Err(LabError::Busy { .. })), "the other process is at it");
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(Lab::names().unwrap().contains(&spec.name), "down finds it");
    let lab = Lab::up(&spec).unwrap();
    assert_eq!(ssh(&lab, "hs1", "true"), (true, String::new()));
    drop(removed);
    assert_eq!(traces(&spec.name), Vec::<String>::new());
}
