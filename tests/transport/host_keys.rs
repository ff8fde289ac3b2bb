//! Which host keys are accepted, recorded, refused.

use synprov::transport::Error;

use crate::run;
use crate::sshd::{Sshd, connect, keygen, public, refusal, ssh_keygen};

/// Connects with this known_hosts text (`HOST` and `KEY` stand for the true ones): "ok", or the refusal's text.
fn check(sshd: &Sshd, known_hosts: &str) -> String {
    let mut target = sshd.target();
    target.known_hosts = vec![sshd.known_hosts(known_hosts)];
    match connect(&target) {
        Ok(mut session) => {
            assert_eq!(run(&mut *session, "echo hello", b"").stdout, b"hello\n");
            "ok".into()
        }
        Err(_) => {
            let (error, text) = refusal(&target);
            assert!(matches!(error, Error::HostKey { .. }), "{text}");
            text
        }
    }
}

fn fingerprint(sshd: &Sshd) -> String {
    let line = ssh_keygen(&["-l", "-f", sshd.path("host_ed25519").to_str().unwrap()]);
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn patterns() {
    let sshd = Sshd::start(&[]);
    let other = public(&keygen(sshd.directory.path(), "other", "ed25519", ""));
    for good in [
        "HOST KEY",
        "HOST KEY a comment\n",
        "elsewhere,HOST KEY",
        "127.0.0.1 KEY", // recorded without the port
        "[127.0.0.*]:* KEY",
        "[127.0.0.?]:*,other KEY",
        "# comment\n\nnonsense\nHOST ssh-ed25519 !!!!\nHOST\nHOST KEY\n",
        "@cert-authority HOST OTHER\nHOST KEY", // libssh2 cannot check certificates
        "127.0.0.1 OTHER\nHOST KEY",
        "HOST OTHER\nHOST KEY", // several keys of one host
        "@revoked HOST OTHER\nHOST KEY",
        "!elsewhere,* KEY",
    ] {
        assert_eq!(check(&sshd, &good.replace("OTHER", &other)), "ok", "{good}");
    }
    for unknown in [
        "",
        "localhost KEY",
        "[127.0.0.1]:1 KEY",
        "@cert-authority HOST KEY",
        "!*127.0.0.1*,* KEY",
        "127.0.0.1 OTHER",
    ] {
        let text = check(&sshd, &unknown.replace("OTHER", &other));
        assert!(text.contains("is not known"), "{unknown}: {text}");
    }
}

#[test]
fn an_unknown_key_comes_with_all_that_is_needed_to_know_it() {
    let sshd = Sshd::start(&[]);
    let text = check(&sshd, "");
    let (port, key) = (sshd.port, public(&sshd.path("host_ed25519")));
    let sentence =
        format!("the key of 127.0.0.1:{port} is not known: ssh-ed25519 {}\nhelp: ", fingerprint(&sshd));
    assert!(text.starts_with(&sentence), "{text}");
    for advice in [
        format!("[127.0.0.1]:{port} {key}"),
        format!("host_key: {key}"),
        "accept_new: true".into(),
        format!("ssh -p {port} root@127.0.0.1"),
    ] {
        assert!(text.contains(&advice), "{advice} in {text}");
    }
    assert!(!sshd.log().contains("Accepted"), "no log-in before the check");
}

#[test]
fn a_changed_key_is_refused_with_its_place() {
    let sshd = Sshd::start(&[]);
    let other = public(&keygen(sshd.directory.path(), "other", "ed25519", ""));
    let text = check(&sshd, &format!("# first\nHOST {other}\n"));
    let place = format!("{}:2 records another ssh-ed25519 key", sshd.path("known_hosts").display());
    assert!(text.contains(&place) && text.contains(&fingerprint(&sshd)), "{text}");
    // Whoever lacks the recorded key must not get by with a key of another type.
    let rsa = public(&keygen(sshd.directory.path(), "rsa", "rsa", ""));
    let mut target = sshd.target();
    target.known_hosts = vec![sshd.known_hosts(&format!("HOST {rsa}\n"))];
    target.accept_new = true;
    assert!(refusal(&target).1.contains(":1 records another ssh-rsa key"));
}

#[test]
fn a_revoked_key_is_refused() {
    let sshd = Sshd::start(&[]);
    for known_hosts in ["HOST KEY\n@revoked HOST KEY\n", "@revoked * KEY\nHOST KEY\n"] {
        let text = check(&sshd, known_hosts);
        assert!(text.contains("which is revoked at") && text.contains("known_hosts:"), "{text}");
    }
}

#[test]
fn hashed_names() {
    let sshd = Sshd::start(&[]);
    let other = public(&keygen(sshd.directory.path(), "other", "ed25519", ""));
    let hashed = |line: &str| {
        let file = sshd.known_hosts(line);
        ssh_keygen(&["-H", "-f", file.to_str().unwrap()]);
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.starts_with("|1|") && !text.contains("127.0.0.1"), "{text}");
        text
    };
    let (right, wrong, elsewhere) =
        (hashed("HOST KEY\n"), hashed(&format!("HOST {other}\n")), hashed("elsewhere KEY\n"));
    assert_eq!(check(&sshd, &(elsewhere.clone() + &right)), "ok");
    assert!(check(&sshd, &(elsewhere.clone() + &wrong)).contains(":2 records another"));
    assert!(check(&sshd, &elsewhere).contains("is not known"));
}

#[test]
fn a_pinned_key_is_the_only_one() {
    let sshd = Sshd::start(&[]);
    let key = public(&sshd.path("host_ed25519"));
    let other = public(&keygen(sshd.directory.path(), "other", "ed25519", ""));
    let mut target = sshd.target();
    // known_hosts is not read, be it for or against.
    target.known_hosts = vec![sshd.known_hosts(&format!("HOST {other}\n"))];
    target.host_key = Some(format!("{key} root@h"));
    assert!(connect(&target).is_ok());
    target.known_hosts = vec![sshd.known_hosts("HOST KEY\n")];
    target.host_key = Some(other);
    target.accept_new = true;
    let text = refusal(&target).1;
    assert!(
        text.contains("but its pinned host_key is SHA256:") && text.contains(&fingerprint(&sshd)),
        "{text}"
    );
    for nonsense in
        ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "SHA256:abc"]
    {
        target.host_key = Some(nonsense.into());
        assert!(refusal(&target).1.contains("is not a public key"), "{nonsense}");
    }
}

#[test]
fn accept_new_records_the_first_key_and_refuses_the_second() {
    use std::os::unix::fs::PermissionsExt as _;
    let sshd = Sshd::start(&[]);
    let file = sshd.path("home/.ssh/known_hosts");
    let mut target = sshd.target();
    target.known_hosts = vec![file.clone()];
    target.accept_new = true;
    assert!(connect(&target).is_ok());
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, public(&sshd.path("host_ed25519")));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), line);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    assert!(connect(&target).is_ok());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), line, "recorded once");

    let other = public(&keygen(sshd.directory.path(), "other", "ed25519", ""));
    let changed = format!("[127.0.0.1]:{} {other}", sshd.port);
    std::fs::write(&file, &changed).unwrap();
    assert!(refusal(&target).1.contains("records another"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), changed);

    // A last line without its newline stays a line.
    std::fs::write(&file, "elsewhere ssh-ed25519 AAAA").unwrap();
    assert!(connect(&target).is_ok());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("elsewhere ssh-ed25519 AAAA\n{line}"));
}

#[test]
fn a_key_that_cannot_be_recorded_is_not_accepted() {
    let sshd = Sshd::start(&[]);
    let mut target = sshd.target();
    target.accept_new = true;
    target.known_hosts = vec![sshd.path("sshd_config/known_hosts")]; // a file where a directory must be
    assert!(refusal(&target).1.contains("known_hosts"));
    target.known_hosts = vec![];
    assert!(refusal(&target).1.contains("cannot record"));
    target.known_hosts = vec![sshd.directory.path().to_owned()];
    assert!(refusal(&target).1.contains("cannot read"));
}

#[test]
fn a_host_certificate_is_no_changed_key() {
    // libssh2 left alone negotiates the certificate and then finds that it is not the recorded key.
    let sshd = Sshd::start(&["HostCertificate DIRhost_ed25519-cert.pub"]);
    let authority = keygen(sshd.directory.path(), "ca", "ed25519", "");
    let (authority, host) = (authority.to_str().unwrap(), sshd.path("host_ed25519.pub"));
    ssh_keygen(&["-q", "-s", authority, "-I", "h", "-h", host.to_str().unwrap()]);
    sshd.reload();
    assert_eq!(check(&sshd, "HOST KEY\n"), "ok");
    assert!(sshd.path("host_ed25519-cert.pub").exists());
}

#[test]
fn the_type_on_record_is_asked_for() {
    let sshd = Sshd::start(&["HostKey DIRhost_rsa", "HostKey DIRhost_ecdsa"]);
    for key_type in ["rsa", "ecdsa"] {
        keygen(sshd.directory.path(), &format!("host_{key_type}"), key_type, "");
    }
    sshd.reload();
    for key_type in ["rsa", "ecdsa", "ed25519"] {
        let line = format!("HOST {}\n", public(&sshd.path(&format!("host_{key_type}"))));
        assert_eq!(check(&sshd, &line), "ok", "{key_type}");
    }
}

/// CVE-2023-48795 (Terrapin): both sides count packets anew from the first encrypted one on, so that nothing can
/// be taken away before it unnoticed.
#[test]
fn the_key_exchange_is_strict() {
    let sshd = Sshd::start(&["LogLevel DEBUG1"]);
    drop(sshd.session());
    let log = sshd.log();
    // Only where both sides have agreed on it do packet numbers begin anew.
    for way in ["send", "read"] {
        assert!(log.contains(&format!("resetting {way} seqnr")), "{log}");
    }
}
