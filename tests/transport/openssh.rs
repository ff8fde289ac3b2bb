//! OpenSSH's client as the transport, and who is chosen for what, against real sshds.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use synprov::transport::{
    Client, Config, Error, Event, Means, OpenSsh, Session, Ssh, Ssh2, Target, Transport as _, remote_command,
};

use crate::run;
use crate::sshd::{Sshd, client_config, keygen, public, ssh_keygen};
use crate::streams::check_streams;

/// Whoever is chosen, without the agent and the keys of whoever runs the tests.
fn connect(target: &Target) -> Result<Box<dyn Session>, Error> {
    Ssh { ssh2: Ssh2::default() }.connect(target)
}

fn by_openssh(target: Target) -> Target {
    Target { client: Client { means: Means::OpenSsh, ..Client::default() }, ..target }
}

fn connected(target: &Target, sshd: &Sshd) -> Box<dyn Session> {
    connect(target).unwrap_or_else(|error| panic!("{error}\n{:?}\n{}", error.help(), sshd.log()))
}

fn refusal(target: &Target) -> (Error, String) {
    let error = connect(target).err().expect("the connection is refused");
    let text = format!("{error}\nhelp: {}", error.help().unwrap_or_default());
    (error, text)
}

fn logins(sshd: &Sshd) -> usize {
    sshd.log().matches("Accepted publickey").count()
}

/// Whether a connection to `sshd` is OpenSSH's at this moment.
fn speaks_openssh(sshd: &Sshd) -> bool {
    let pattern =
        format!("ssh .*ControlPersist=60.*-p {}|ssh .*-p {} .*ControlPersist=60", sshd.port, sshd.port);
    Command::new("pgrep").args(["-f", &pattern]).output().unwrap().status.success()
}

#[test]
fn it_streams_as_the_others_do_over_one_log_in() {
    let sshd = Sshd::start(&[]);
    let mut session = connected(&by_openssh(sshd.target()), &sshd);
    check_streams(&mut *session);
    let counters = session.counters();
    assert_eq!((counters.logins(), logins(&sshd)), (1, 1));
    assert!(counters.execs() > 5 && counters.bytes_in() > 8 << 20);
    assert!(speaks_openssh(&sshd));
    drop(session);
    assert!(!speaks_openssh(&sshd), "nothing is left");
}

#[test]
fn every_login_shell_reads_the_command_alike() {
    let program = r#"v="$(head -c 5)"; printf "%s|" "$v" {x,y} $((1 + 2)) "a;b&c"; cat; exit 6"#;
    for shell in ["bash", "dash", "fish", "tcsh", "csh", "zsh"] {
        let path = format!("/bin/{shell}");
        if !Path::new(&path).exists() {
            continue;
        }
        let sshd = Sshd::start(&[&format!("ForceCommand exec {path} -c \"$SSH_ORIGINAL_COMMAND\"")]);
        let mut session = connected(&by_openssh(sshd.target()), &sshd);
        let outcome = run(&mut *session, &remote_command(program).unwrap(), b"abcderest");
        assert_eq!(outcome.text(), ("abcde|x|y|3|a;b&c|rest".into(), String::new(), Some(6)), "{shell}");
    }
}

/// Starts a command that says something at once, and abandons it then.
fn begun_and_left(session: &mut dyn Session, command: &str) {
    let mut exec = session.exec(command).unwrap();
    assert!(matches!(exec.next(Duration::from_secs(20)), Ok(Event::Stdout(_))));
}

#[test]
fn a_host_that_is_mean_with_connections() {
    let sshd = Sshd::start(&["MaxStartups 1", "MaxSessions 1"]);
    let mut session = connected(&by_openssh(sshd.target()), &sshd);
    for round in 0..4 {
        assert_eq!(run(&mut *session, "cat", b"x").stdout, b"x", "{round}: {}", sshd.log());
    }
    // What still runs is waited for, and what was sent meanwhile arrives; but not for ever.
    begun_and_left(&mut *session, "echo; sleep 0.25");
    assert_eq!(run(&mut *session, "cat", b"patience").stdout, b"patience", "{}", sshd.log());
    begun_and_left(&mut *session, "echo; sleep 3");
    let mut exec = session.exec("true").unwrap();
    let error = loop {
        match exec.next(Duration::from_secs(20)) {
            Ok(Event::Idle | Event::Exit(_)) => panic!("{}", sshd.log()),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, Error::Exec { .. }) && error.help().unwrap().contains("MaxSessions"),
        "{error:?}"
    );
    assert_eq!(logins(&sshd), 1);
}

#[test]
fn a_banner_and_a_noisy_start() {
    let sshd = Sshd::start(&["Banner DIRbanner", "PrintMotd yes"]);
    std::fs::write(sshd.path("banner"), "NO TRESPASSING\n").unwrap();
    let mut session = connected(&by_openssh(sshd.target()), &sshd);
    assert_eq!(run(&mut *session, "echo in", b"").text(), ("in\n".into(), String::new(), Some(0)));
}

#[test]
fn configuration_names_the_way_and_libssh2_goes_it() {
    let sshd = Sshd::start(&[]);
    let directory = sshd.directory.path();
    let known = sshd.known_hosts("HOST KEY\n");
    std::fs::write(
        directory.join("more"),
        format!("Match originalhost pro*\n  IdentityFile {}\n  User root\n", sshd.path("id").display()),
    )
    .unwrap();
    let config = client_config(
        directory,
        &format!(
            "Host production\n  HostName 127.0.0.1\n  Port {}\n  UserKnownHostsFile {}\n  StrictHostKeyChecking no\nInclude {}\n",
            sshd.port,
            known.display(),
            directory.join("more").display(),
        ),
    );
    let target = Target {
        address: "production".into(),
        port: 22,
        user: "nobody-of-that-name".into(),
        identity_files: vec![],
        known_hosts: vec![],
        client: Client { config, port_is_default: true, user_is_default: true, ..Client::default() },
        ..sshd.target()
    };
    let mut session = connected(&target, &sshd);
    assert_eq!(run(&mut *session, "echo in", b"").stdout, b"in\n");
    assert!(!speaks_openssh(&sshd));

    // What the inventory says wins.
    let client = Client { user_is_default: false, ..target.client.clone() };
    assert!(matches!(refusal(&Target { client, ..target.clone() }).0, Error::Auth { .. }));

    // A configuration cannot switch the check of host keys off.
    std::fs::write(&known, "").unwrap();
    assert!(matches!(refusal(&target).0, Error::HostKey { .. }));
    let client = Client { means: Means::OpenSsh, ..target.client.clone() };
    let (error, text) = refusal(&Target { client, ..target });
    assert!(matches!(error, Error::HostKey { .. }), "{text}");
}

#[test]
fn a_configuration_that_ssh_refuses() {
    let sshd = Sshd::start(&[]);
    let config = client_config(sshd.directory.path(), "Hots x\n");
    let client = Client { config, ..Client::default() };
    let (_, text) = refusal(&Target { client, ..sshd.target() });
    assert!(text.contains("ssh refuses its configuration") && text.contains("hots"), "{text}");
}

#[test]
fn jumps_of_jumps() {
    let hosts = [Sshd::start(&[]), Sshd::start(&[]), Sshd::start(&[])];
    let mut known = String::new();
    let mut config = String::new();
    for (name, sshd) in ["first", "second", "last"].iter().zip(&hosts) {
        known += &format!("[127.0.0.1]:{} {}\n", sshd.port, public(&sshd.path("host_ed25519")));
        config += &format!(
            "Host {name}\n  HostName 127.0.0.1\n  Port {}\n  User root\n  IdentityFile {}\n",
            sshd.port,
            sshd.path("id").display()
        );
    }
    let last = &hosts[2];
    std::fs::write(last.path("known"), &known).unwrap();
    let last_key = known.lines().last().unwrap();
    config += &format!("Host *\n  UserKnownHostsFile {}\n", last.path("known").display());
    let config = client_config(last.directory.path(), &config);
    let with = |jump: &[&str]| Target {
        client: Client {
            config: config.clone(),
            jump: jump.iter().map(|&jump| jump.to_owned()).collect(),
            ..Client::default()
        },
        ..last.target()
    };
    let target = with(&["first", "second"]);
    let mut session = connected(&target, last);
    assert_eq!(run(&mut *session, "cat", b"through two").stdout, b"through two");
    for sshd in &hosts {
        assert_eq!(logins(sshd), 1, "{}", sshd.log());
    }
    drop(session);

    // Who is not let through says so, and nobody asks the terminal.
    let (error, text) = refusal(&Target { client: with(&["no-such-user@first"]).client, ..target.clone() });
    assert!(matches!(error, Error::Auth { .. }) && text.contains("jump host"), "{text}");
    assert!(text.contains("ssh -v -J no-such-user@first -p"), "{text}");
    // ... and is asked once: the last ssh's "Connection closed" is not a busy host's.
    assert_eq!(hosts[0].log().matches("Invalid user no-such-user from").count(), 1, "{}", hosts[0].log());
    // The last one's key alone is not enough.
    std::fs::write(last.path("known"), last_key).unwrap();
    let (error, text) = refusal(&target);
    assert!(matches!(error, Error::HostKey { .. }), "{text}");
}

#[test]
fn certificates_of_users_and_hosts() {
    let sshd =
        Sshd::start(&["TrustedUserCAKeys DIRauthority.pub", "HostCertificate DIRhost_ed25519-cert.pub"]);
    let directory = sshd.directory.path();
    let authority = keygen(directory, "authority", "ed25519", "");
    let sign = |arguments: &[&str], file: &str| {
        let path = sshd.path(file);
        let mut all = vec!["-q", "-s", authority.to_str().unwrap(), "-I", "test"];
        all.extend(arguments);
        all.push(path.to_str().unwrap());
        ssh_keygen(&all);
    };
    sign(&["-h", "-n", "127.0.0.1"], "host_ed25519.pub");
    sshd.reload();
    let user = keygen(directory, "certified", "ed25519", "");
    let mut target = Target { identity_files: vec![user], ..sshd.target() };
    assert!(matches!(refusal(&target).0, Error::Auth { .. }), "the bare key is not accepted");

    sign(&["-n", "root"], "certified.pub");
    assert_eq!(run(&mut *connected(&target, &sshd), "echo in", b"").stdout, b"in\n");

    target.known_hosts = vec![sshd.path("known_by_authority")];
    let name = format!("[127.0.0.1]:{}", sshd.port);
    std::fs::write(&target.known_hosts[0], format!("@cert-authority {name} {}\n", public(&authority)))
        .unwrap();
    assert_eq!(run(&mut *connected(&target, &sshd), "echo in", b"").stdout, b"in\n");
    let other = keygen(directory, "other", "ed25519", "");
    std::fs::write(&target.known_hosts[0], format!("@cert-authority {name} {}\n", public(&other))).unwrap();
    let (error, text) = refusal(&target);
    assert!(matches!(error, Error::HostKey { .. }), "{text}");
}

#[test]
fn unknown_changed_and_revoked_host_keys() {
    let sshd = Sshd::start(&[]);
    let other = public(&keygen(sshd.directory.path(), "other_host", "ed25519", ""));
    for (known, word) in [
        (String::new(), "is known for"),
        (format!("HOST {other}\n"), "has changed"),
        ("@revoked HOST KEY\n".to_owned(), "revoked"),
    ] {
        let target = by_openssh(sshd.target());
        sshd.known_hosts(&known);
        let (error, text) = refusal(&target);
        assert!(matches!(error, Error::HostKey { .. }) && text.contains(word), "{word}: {text}");
    }
    let pinned = |key: &str| by_openssh(Target { host_key: Some(key.to_owned()), ..sshd.target() });
    drop(connected(&pinned(&public(&sshd.path("host_ed25519"))), &sshd));
    assert!(matches!(refusal(&pinned(&other)).0, Error::HostKey { .. }));
    let first =
        by_openssh(Target { accept_new: true, known_hosts: vec![sshd.path("fresh")], ..sshd.target() });
    drop(connected(&first, &sshd));
    drop(connected(&by_openssh(Target { known_hosts: vec![sshd.path("fresh")], ..sshd.target() }), &sshd));
}

#[test]
fn hashed_names_and_odd_paths() {
    let sshd = Sshd::start(&[]);
    let odd = sshd.path("it's 100% \u{e4}").join("known hosts");
    std::fs::create_dir(odd.parent().unwrap()).unwrap();
    std::fs::copy(sshd.known_hosts("HOST KEY\n"), &odd).unwrap();
    ssh_keygen(&["-q", "-H", "-f", odd.to_str().unwrap()]);
    let key = odd.with_file_name("a key");
    std::fs::copy(sshd.path("id"), &key).unwrap();
    let target = Target { known_hosts: vec![odd], identity_files: vec![key], ..sshd.target() };
    drop(connected(&by_openssh(target), &sshd));
}

#[test]
fn a_passphrase_is_not_asked_for_and_nobody_listens() {
    let sshd = Sshd::start(&[]);
    let locked = keygen(sshd.directory.path(), "locked", "ed25519", "secret");
    let (error, text) = refusal(&by_openssh(Target { identity_files: vec![locked], ..sshd.target() }));
    assert!(matches!(error, Error::Auth { .. }) && text.contains("ssh-add"), "{text}");
    let target = Target { port: crate::ports::free(1), ..sshd.target() };
    let (error, text) = refusal(&by_openssh(target));
    assert!(matches!(error, Error::Connect { .. }) && text.contains("Connection refused"), "{text}");
}

#[test]
fn a_host_that_says_nothing_is_given_up() {
    let sshd = Sshd::start(&[]);
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = Target { port, connect_timeout: Duration::from_secs(1), ..sshd.target() };
    assert!(matches!(refusal(&by_openssh(target)).0, Error::Connect { .. }));
}

#[test]
fn a_connection_that_dies_is_lost_and_not_made_anew() {
    let sshd = Sshd::start(&[]);
    // A configuration with which ssh could log in at any time.
    let known = sshd.known_hosts("HOST KEY\n");
    let config = client_config(
        sshd.directory.path(),
        &format!("IdentityFile {}\nUserKnownHostsFile {}\n", sshd.path("id").display(), known.display()),
    );
    let client = Client { config, means: Means::OpenSsh, ..Client::default() };
    let mut session = connected(&Target { client, ..sshd.target() }, &sshd);
    let mut exec = session.exec("kill -9 $PPID; sleep 60").unwrap();
    exec.close_stdin().unwrap();
    let outcome = loop {
        match exec.next(Duration::from_secs(20)) {
            Ok(Event::Idle) => panic!("silence"),
            Ok(Event::Exit(status)) => panic!("{status:?}"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(outcome, Error::Lost { .. }), "{outcome:?}");
    drop(exec);
    let mut exec = session.exec("echo again").unwrap();
    let ended = loop {
        match exec.next(Duration::from_secs(20)) {
            Ok(Event::Stdout(bytes)) => panic!("{bytes:?}"),
            Ok(Event::Exit(status)) => panic!("{status:?}"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::Lost { .. }));
    assert_eq!(logins(&sshd), 1);
}

#[test]
fn openssh_needs_no_configuration() {
    let sshd = Sshd::start(&[]);
    let client = Client { config: Config::None, means: Means::OpenSsh, ..Client::default() };
    drop(OpenSsh.connect(&Target { client, ..sshd.target() }).unwrap());
}
