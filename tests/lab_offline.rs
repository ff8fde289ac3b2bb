//! Python packages for hosts that reach no index, and uv in place of pip. Needs root and podman.
// Helpers of tests are tests too: what fails there should stop at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

#[path = "throwaway/answer.rs"]
#[allow(dead_code)]
mod answer;
#[path = "throwaway/site.rs"]
#[allow(dead_code)]
mod site;
#[path = "throwaway/mod.rs"]
#[allow(dead_code)]
mod throwaway;

use std::process::{Command, Stdio};

use site::{Beginning, Site, replaced};
use synprov::lab::Flavour;

const INVENTORY: &str = include_str!("data/labs/runbooks.yaml");
const HOSTS: [(&str, &str); 2] = [
    ("hs1", "{address: 192.0.2.10, internal_address: 10.8.0.1, user: root"),
    ("hs2", "{address: 192.0.2.11, internal_address: 10.8.0.2, user: root"),
];

/// What docs/offline.md has a person do on a machine of the same Debian release.
const FETCH: &str = "
python3 -m venv /root/fetch
/root/fetch/bin/pip --quiet download --only-binary :all: --dest /root/wheels 'matrix-synapse[redis]==1.163.2' psycopg2-binary uv
tar -C /root/wheels -cf - .
rm -r /root/fetch /root/wheels
";

/// No index is reached any more, however a host is told to.
const CUT: &str = "
printf '[global]\\nindex-url = http://127.0.0.1:9/simple\\nretries = 0\\n' > /etc/pip.conf
sed -Ei '/indexes|pypi|pythonhosted/d' /etc/hosts
rm -rf /root/.cache /var/cache/synprov/pip
";

/// Removes the environment, as if somebody had.
const WITHOUT: &str = "rm -r /opt/matrix/venvs/*";

fn wheels(site: &Site) -> Vec<String> {
    let entries = std::fs::read_dir(site.path("wheels")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fetch(site: &Site) {
    std::fs::create_dir(site.path("wheels")).unwrap();
    let output = site.lab.exec("hs1", &["bash", "-ec", FETCH]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut tar = Command::new("tar");
    let mut tar =
        tar.arg("-C").arg(site.path("wheels")).args(["-xf", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), &output.stdout).unwrap();
    assert!(tar.wait().unwrap().success());
}

/// Who installed Synapse there, by its own word.
fn installer(site: &Site, host: &str) -> String {
    site.sh(host, "cat /opt/matrix/venvs/*/lib/python3*/site-packages/matrix_synapse-*/INSTALLER")
        .trim()
        .to_owned()
}

#[test]
#[ignore = "lab: needs root and podman"]
fn hosts_that_reach_no_index_have_their_packages_from_the_wheelhouse() {
    let site = Site::up("offline", Flavour::Warm, Beginning { inventory: INVENTORY, hosts: &HOSTS });
    fetch(&site);
    let count = wheels(&site).len();
    assert!(count > 30, "{:?}", wheels(&site));
    site.hosts().for_each(|host| drop(site.sh(host, CUT)));
    let house = |text: &str| {
        replaced(INVENTORY, &[("install: managed", &format!("install: managed\n  wheelhouse: wheels{text}"))])
    };

    // An index that is not there, and no wheelhouse: nothing runs.
    let answer = site.run(&["apply", "--yes", "--diff", "none"]).exits(1);
    assert!(answer.text.contains("127.0.0.1"), "{}", answer.text);

    site.write(&house(""));
    let plan = site.run(&["plan", "--diff", "none"]).exits(0);
    assert!(plan.text.contains("from the wheelhouse"), "{}", plan.text);
    let answer = site.run(&["apply", "--yes", "-v", "--diff", "none"]).exits(0);
    println!("{}", answer.text.lines().filter(|line| line.contains("sent ")).collect::<Vec<_>>().join("\n"));
    site.is_settled();
    let there = site.sh("hs1", "ls /var/cache/synprov/wheels | wc -l; id -u > /dev/null");
    assert_eq!(there.trim(), count.to_string());
    // The second host gets what the first one's pip chose, and uv's wheel, which nobody needs yet.
    assert_eq!(installer(&site, "hs1"), "pip");

    // What the lock demands and the wheelhouse lacks is said before anything is done.
    site.sh("hs2", WITHOUT);
    let name = wheels(&site).into_iter().find(|name| name.starts_with("canonicaljson-")).unwrap();
    std::fs::rename(site.path("wheels").join(&name), site.path(&name)).unwrap();
    let answer = site.run(&["apply", "--yes", "--diff", "none"]).exits(1);
    assert!(answer.text.contains("hs2: the wheelhouse lacks canonicaljson"), "{}", answer.text);
    assert!(answer.text.contains("which the lock demands for cp3"), "{}", answer.text);
    // Another file under the same name: its hash is not the lock's.
    std::fs::write(site.path("wheels").join(&name), "no wheel").unwrap();
    let answer = site.run(&["apply", "--yes", "--diff", "none"]).exits(1);
    assert!(answer.text.contains("canonicaljson"), "{}", answer.text);
    std::fs::rename(site.path(&name), site.path("wheels").join(&name)).unwrap();

    // Only what it lacks is sent again.
    let answer = site.run(&["apply", "--yes", "-v", "--diff", "none"]).exits(0);
    assert!(answer.text.contains("sent 1 of 1 wheels"), "{}", answer.text);
    site.is_settled();

    site.sh("hs2", WITHOUT);
    site.write(&house("\n  installer: uv"));
    let answer = site.run(&["apply", "--yes", "-v", "--diff", "none"]).exits(0);
    site.is_settled();
    assert_eq!(installer(&site, "hs2"), "uv", "{}", answer.text);
    let same = "cd /opt/matrix/venvs/*/lib/python3*/site-packages && ls -d *.dist-info | sort | sha256sum";
    assert_eq!(site.sh("hs1", same), site.sh("hs2", same), "uv and pip install the same");
}
