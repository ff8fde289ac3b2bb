//! What an edit alone does not do on hosts that run: refused with what to do, and nothing was touched.

use std::io::Write as _;
use std::process::Stdio;

use crate::answer::Answer;
use crate::site::{INVENTORY, Site};

/// An apply at a terminal, where this is answered.
fn asked(site: &Site, answer: &str) -> Answer {
    let program = format!("{} apply --diff none", env!("CARGO_BIN_EXE_synprov"));
    let mut command = std::process::Command::new("script");
    command.args(["--quiet", "--return", "--command", &program, "/dev/null"]).current_dir(site.path(""));
    command.envs(site.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("NO_COLOR", "1");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.as_bytes()).unwrap();
    // An end of input right behind the answer would be taken for one.
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    output.into()
}

/// Five workers that leave need a word besides `--yes`; another name, and Redis elsewhere, are refused with a page.
pub fn an_edit_alone_does_not_do_it(site: &Site) {
    let many = "  many: {host: hs2, count: 5, handles: [client_reader]}\n";
    site.write(&format!("{INVENTORY}{many}"));
    site.run(&["apply", "--yes", "--diff", "none", "--allow-datastore-restart"]).exits(0);
    site.is_settled();

    let before = site.files();
    site.rewrite(&[]);
    let told = "5 of 10 processes leave for good: many, many2, many3, many4, many5";
    site.run(&["plan", "--diff", "none"]).exits(0).says("many deletes").says(told).says("--allow-deletes");
    site.run(&["apply", "--yes", "--diff", "none"]).exits(1).says(&format!("nothing was changed: {told}"));
    asked(site, "no\n").exits(1).says(&format!("{told}. Apply this?")).says("Nothing was changed.");
    // A saved plan grants no permission either.
    site.run(&["plan", "--diff", "none", "--out", "many.plan"]).exits(0);
    site.run(&["apply", "many.plan"]).exits(1).says("--allow-deletes");
    assert_eq!(site.files(), before, "a refused apply changes nothing");
    site.run(&["apply", "many.plan", "--allow-deletes"]).exits(0);
    site.is_settled();
    let left = site.sh("hs2", "systemctl list-units --all --no-legend --plain 'matrix*many*'");
    assert_eq!(left, "");

    let user = "insert into users (name, creation_ts) values ('@alice:faults.example', 1)";
    site.sh("hs1", &format!("cd / && runuser -u postgres -- psql -q matrix -c \"{user}\""));
    let before = site.files();
    site.rewrite(&[("server_name: faults.example", "server_name: other.example")]);
    let refused = site.run(&["apply", "--yes", "--adopt", "--diff", "none"]).exits(1);
    refused
        .says("/opt/matrix/conf/config.yaml belongs to \"faults.example\"")
        .says("the database has users of \"faults.example\"")
        .says("docs/runbooks/another-server-name.md");
    site.rewrite(&[("redis: {host: hs1}", "redis: {host: hs2}")]);
    site.run(&["apply", "--yes", "--allow-datastore-restart", "--diff", "none"])
        .exits(1)
        .says("Redis would move from here to hs2")
        .says("docs/runbooks/move-redis.md");
    site.rewrite(&[("main: {host: hs1}", "main: {host: hs2}")]);
    site.run(&["apply", "--yes", "--allow-datastore-restart", "--diff", "none"])
        .exits(1)
        .says("main would move here from hs1, where it runs")
        .says("docs/runbooks/move-main.md");
    assert_eq!(site.files(), before, "a refused apply changes nothing");
    site.rewrite(&[]);
    site.is_settled();

    // The records are gone, and so is the signing key: the database knows that there was one.
    let away = "mkdir /root/away && mv /var/lib/synprov/faults.example/record /opt/matrix/conf/secrets/signing_key /root/away/";
    for host in ["hs1", "hs2"] {
        site.sh(host, away);
    }
    site.run(&["apply", "--yes", "--adopt", "--diff", "none"])
        .exits(1)
        .says("the database was in use, and its secret signing_key is on no host");
    for host in ["hs1", "hs2"] {
        site.sh(host, "cd /root/away && mv record /var/lib/synprov/faults.example/ && mv signing_key /opt/matrix/conf/secrets/ && rmdir /root/away");
    }
    site.is_settled();
}
