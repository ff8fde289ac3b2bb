//! What is there already is adopted as it is: a Python environment made by hand, a PostgreSQL of somebody else's.

use synprov::lab::Flavour;

use crate::site::{self, Site, WRITTEN, replaced};

const VENV: &str = "/srv/synapse-by-hand";

/// Somebody else's PostgreSQL on hs2: a database that fits, and one whose locale does not.
const POSTGRESQL: &str = "set -eu
systemctl start postgresql.service
until setpriv --reuid=postgres --regid=postgres --clear-groups psql -qc 'select 1' > /dev/null 2>&1; do sleep 0.2; done
cd /
setpriv --reuid=postgres --regid=postgres --clear-groups psql -q <<'SQL'
create role chat login password 'right horse';
create database fits encoding UTF8 locale 'C' template template0 owner chat;
create database sorted encoding UTF8 locale 'C.UTF-8' template template0 owner chat;
alter system set listen_addresses = '*';
SQL
echo 'host all chat samenet scram-sha-256' >> /etc/postgresql/*/main/pg_hba.conf
systemctl restart postgresql.service";

/// One host with a worker; hs2 is none of its hosts.
fn inventory(site: &Site, version: &str, database: &str) -> String {
    let (name, written) = WRITTEN[1];
    let address = &site.host("hs2").internal_address;
    let external = format!(
        "postgresql: {{external: {{host: {address}, database: {database}, user: chat, password: {{secret: database_password}}}}}}"
    );
    replaced(&[
        (&format!("  {name}: {written}}}\n"), ""),
        ("version: 1.163.2", &format!("version: {version}")),
        (
            "install: managed",
            &format!("install: {{venv: {VENV}}}\n  secrets: {{database_password: file:password}}"),
        ),
        ("postgresql: {host: hs1}", &external),
        ("sync: {host: hs2, count: 2,", "sync: {host: hs1,"),
        ("federation_sender: {host: hs2", "federation_sender: {host: hs1"),
    ])
}

/// An apply that fails at the external PostgreSQL with these words, before main was started.
#[track_caller]
fn check(site: &Site, database: &str, password: &str, words: &str) {
    site.write(&inventory(site, "1.163.2", database));
    std::fs::write(site.path("password"), password).unwrap();
    let answer = site.run(&["apply", "--yes", "--diff", "none"]).exits(1);
    let answer = answer.says("check the external PostgreSQL failed").says(words);
    assert!(!answer.text.contains(password), "the password is told");
    assert_eq!(site.state("hs1", "matrix_main.service"), "inactive");
}

/// See the module.
pub fn are_adopted() {
    let site = site::up("installs", Flavour::Warm);
    std::fs::write(site.path("password"), "wrong horse").unwrap();
    site.write(&inventory(&site, "1.163.2", "sorted"));
    assert_eq!(
        site.plan(1).refusals(),
        [format!("hs1 there is no Synapse in {VENV}, which `install:` names")]
    );
    site.run(&["apply", "--yes"]).exits(1).says("install it there, or use `install: managed`");

    site.sh(
        "hs1",
        &format!("python3 -m venv {VENV} && {VENV}/bin/pip --quiet install 'matrix-synapse[redis]==1.163.2' psycopg2-binary"),
    );
    let listing = format!("find {VENV} -printf '%p %m %u %T@ %s\\n' | sort | sha256sum");
    let venv = site.sh("hs1", &listing);
    site.write(&inventory(&site, "1.160.0", "sorted"));
    assert_eq!(
        site.plan(1).refusals(),
        [format!("hs1 {VENV} has Synapse 1.163.2, the inventory says 1.160.0")]
    );

    site.sh("hs2", POSTGRESQL);
    check(&site, "sorted", "wrong horse", "cannot log in to the external PostgreSQL: ");
    check(&site, "sorted", "right horse", "the database has locale C.UTF-8/C.UTF-8, Synapse needs C");
    check(&site, "missing", "right horse", "database \"missing\" does not exist");

    site.write(&inventory(&site, "1.163.2", "fits"));
    site.apply();
    site.is_settled();
    assert_eq!(site.state("hs1", "matrix_main.service"), "active");
    assert_eq!(site.state("hs1", "postgresql.service"), "inactive", "none of ours was started");
    let query = "cd / && setpriv --reuid=postgres --regid=postgres --clear-groups psql -AtXc 'select count(*) > 100 from pg_tables' fits";
    assert_eq!(site.sh("hs2", query), "t", "Synapse's tables are there");
    assert_eq!(site.sh("hs1", &listing), venv, "the venv is as it was");
}
