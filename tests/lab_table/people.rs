//! People at work on the same hosts, and records that were damaged.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::answer::Answer;
use crate::fault::{Fault, How};
use crate::table::{Table, Work};

const RECORD: &str = "/var/lib/synprov/table.example/record";

/// Somebody looks at the plan; while they think, this happens on hs1; then they say yes.
fn while_somebody_thinks(table: &Table, script: &str) -> Answer {
    let program = table.site.command(&[]).get_program().to_string_lossy().into_owned();
    let directory = table.site.path("");
    let typed =
        format!("cd '{}' && exec {program} apply --diff none --color never 2>&1", directory.display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--flush", "--command", &typed, "/dev/null"]);
    command.envs(table.site.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("TERM", "dumb");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains("Apply this?") {
        let count = std::io::Read::read(&mut stdout, &mut buffer).unwrap();
        assert_ne!(count, 0, "it asked nothing: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..count]);
    }
    table.site.sh("hs1", script);
    stdin.write_all(b"yes\n").unwrap();
    std::io::Read::read_to_end(&mut stdout, &mut seen).unwrap();
    drop(stdin);
    let status = child.wait().unwrap();
    // The terminal's own line ends.
    seen.retain(|byte| *byte != b'\r');
    std::process::Output { status, stdout: seen, stderr: Vec::new() }.into()
}

fn told(name: &str, tell: fn(&Table) -> Answer) -> Fault {
    Fault::new(name, Work::Client, How::Told(tell)).held(60)
}

fn record(name: &str, damage: &str) -> Fault {
    let make = format!("set -e; cp -a {RECORD} /root/record; {}", damage.replace("$R", RECORD));
    Fault::new(
        name,
        Work::Client,
        How::Around { host: "hs1", make, heal: format!("cp -a /root/record {RECORD}") },
    )
}

pub fn faults() -> Vec<Fault> {
    vec![
        told("a file is edited between plan and yes", |table| {
            while_somebody_thinks(table, "echo '# by hand' >> /opt/matrix/conf/workers/client.yaml")
        })
        .ends(&[Some(4)])
        .says(&["the hosts changed since this plan was shown; nothing was done"])
        .theirs(),
        told("another file is edited between plan and yes", |table| {
            while_somebody_thinks(table, "echo '# by hand' >> /opt/matrix/conf/config.yaml")
        })
        .ends(&[Some(4)])
        .theirs(),
        told("a service is stopped between plan and yes", |table| {
            while_somebody_thinks(table, "systemctl stop matrix_generic_worker@client.service")
        })
        .ends(&[Some(4)])
        .theirs(),
        told("something that is not ours is edited between plan and yes", |table| {
            while_somebody_thinks(table, "mkdir -p /opt/matrix/conf/conf.d; touch /opt/matrix/conf/conf.d/.note; rm /opt/matrix/conf/conf.d/.note")
        }),
        Fault::new(
            "a file is edited while it is being staged",
            Work::Client,
            How::During {
                step: "validate ",
                host: "hs1",
                make: "echo '# by hand' >> /opt/matrix/conf/workers/client.yaml".to_owned(),
                heal: "! grep -q 'by hand' /opt/matrix/conf/workers/client.yaml || true".to_owned(),
            },
        )
        .theirs(),
        Fault::new(
            "a worker's file is deleted during the validation",
            Work::Client,
            How::During {
                step: "validate ",
                host: "hs1",
                make: "rm /opt/matrix/conf/workers/client.yaml".to_owned(),
                heal: "true".to_owned(),
            },
        )
        .theirs(),
        record("the record ends in the middle of a line", "head -c -20 /root/record > $R")
            .theirs(),
        record("a line of the record is damaged", "sed -i '3s/.*/damaged/' $R")
            .refuses(&[Some(3)], &["line 3 of its record is damaged", "Nothing was changed."]),
        record("the record is full of zeros", "head -c $(stat -c %s /root/record) /dev/zero > $R")
            .refuses(&[Some(3)], &["of its record is damaged", "Nothing was changed."]),
        record("the record is a newer synprov's", "sed -Ei '1s/\"format\":[0-9]+/\"format\":99/' $R")
            .refuses(&[Some(3)], &["its record has format 99", "use the newer synprov"]),
        record("the record has lines for the terminal", "printf 'hs1/x/file:/etc/motd\\t{\"applied\":{\"mode\":\"\\033]0;owned\\007\"}}\\n' >> $R"),
        record("the record is gone", "rm $R").ends(&[Some(1)]).says(&["synprov has no record of it"]),
        Fault::new(
            "what the host knows of its secret files is damaged",
            Work::Client,
            How::Around {
                host: "hs1",
                make: "cp -a /var/lib/synprov/table.example/digests /root/digests; { head -c 300 /dev/urandom; echo; grep /etc/redis/ /root/digests; } > /var/lib/synprov/table.example/digests".to_owned(),
                heal: "true".to_owned(),
            },
        )
        .theirs(),
    ]
}
