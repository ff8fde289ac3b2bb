//! Services that stop, never come up or cannot, under an apply.

use crate::answer::Answer;
use crate::fault::{Fault, How};
use crate::table::{Table, Work};

const CLIENT: &str = "matrix_generic_worker@client.service";
/// Everything was validated, and nothing of nginx is in place yet.
const LAST_RESTART: &str = "restart matrix_generic_worker@sync2.service";
const RESTART: &str = "restart matrix_generic_worker@client.service";

fn around(name: &str, work: Work, make: &str, heal: &str) -> Fault {
    let (make, heal) = (format!("set -e; {make}"), format!("set -e; {heal}"));
    Fault::new(name, work, How::Around { host: "hs1", make, heal })
}

fn during(name: &str, work: Work, step: &'static str, make: &str, heal: &str) -> Fault {
    Fault::new(name, work, How::During { step, host: "hs1", make: make.to_owned(), heal: heal.to_owned() })
        .held(60)
}

/// A process on the host beside the apply, until the fault is gone.
fn beside(code: &str) -> [String; 2] {
    let quoted = code.replace('\'', "'\\''");
    [
        format!(
            "systemctl reset-failed fault 2> /dev/null || true; systemd-run --quiet --unit=fault bash -c '{quoted}'; sleep 0.5; systemctl is-active --quiet fault"
        ),
        "systemctl stop fault 2> /dev/null || true".to_owned(),
    ]
}

/// Main starts and cannot go on: the schema is locked for so many seconds, as by a long migration.
fn migrates(seconds: u32) -> String {
    beside(&format!(
        "cd /; printf 'begin; lock table schema_version in access exclusive mode; select pg_sleep({seconds}); commit;' \
         | setpriv --reuid=postgres --regid=postgres --clear-groups psql -q matrix"
    ))[0].clone()
}

/// All is as it was.
const LED_BACK: &[Option<i32>] = &[Some(6)];
/// What is broken is needed on the way back too.
const STUCK: &[Option<i32>] = &[Some(7)];
/// Whether anybody notices depends on the moment.
const PERHAPS: &[Option<i32>] = &[Some(0), Some(6)];

pub fn faults() -> Vec<Fault> {
    let [stops, stops_over] = beside(&format!(
        "old=$(systemctl show -P MainPID {CLIENT}); while :; do new=$(systemctl show -P MainPID {CLIENT}); \
         if [[ $new != 0 && $new != $old ]]; then kill -STOP $new; old=$new; fi; done"
    ));
    let [crashes, crashes_over] = beside(
        "old=$(systemctl show -P InvocationID matrix_main); while :; do new=$(systemctl show -P InvocationID matrix_main); \
         if [[ $new != $old && $(systemctl is-active matrix_main) == active ]]; then sleep 5; systemctl kill -s KILL matrix_main; exit; fi; sleep 0.1; done",
    );
    let port =
        "grep -A9 worker_listeners /opt/matrix/conf/workers/client.yaml | grep -oE '[0-9]{4,5}' | head -n 1";
    vec![
        during("Redis stops before a worker restarts", Work::Client, "client.yaml in place", "systemctl stop redis-server@matrix.service", "true")
            .with(&["--ready-timeout", "8"])
            .ends(LED_BACK)
            .says(&["is not ready after 8 s: waited until Redis at"])
            .theirs(),
        during("PostgreSQL stops before a worker restarts", Work::Client, "client.yaml in place", "systemctl stop postgresql@15-main.service", "true")
            .with(&["--ready-timeout", "8"])
            .ends(LED_BACK)
            .theirs(),
        during("a worker is killed for its memory as it restarts", Work::Client, RESTART, &format!("sleep 0.5; systemctl kill -s KILL {CLIENT}"), "true"),
        during("main is killed while a worker restarts", Work::Client, RESTART, "systemctl kill -s KILL matrix_main.service", "true")
            .ends(PERHAPS)
            .theirs(),
        around("a unit that never becomes ready", Work::Client, &stops, &format!("{stops_over}; systemctl kill -s KILL {CLIENT}"))
            .with(&["--ready-timeout", "6"])
            .ends(STUCK)
            .says(&["is not ready after 6 s"])
            .theirs(),
        during(
            "somebody takes the worker's port",
            Work::Client,
            "client.yaml in place",
            &format!("port=$({port}); systemctl stop {CLIENT}; systemctl reset-failed fault 2> /dev/null || true; systemd-run --quiet --unit=fault python3 -m http.server $port; sleep 1"),
            "systemctl stop fault",
        )
        .with(&["--ready-timeout", "10"])
        .ends(STUCK)
        .theirs(),
        around("main crashes five seconds after it was ready", Work::All, &crashes, &crashes_over)
            .ends(PERHAPS)
            .theirs(),
        around("a migration of one minute", Work::All, &migrates(60), "systemctl stop fault 2> /dev/null || true"),
        around("a migration of ten minutes", Work::All, &migrates(600), "systemctl stop fault 2> /dev/null || true").long(),
        around("an nginx file that is not ours is broken", Work::All, "echo 'nonsense here;' > /etc/nginx/conf.d/zz-theirs.conf", "rm /etc/nginx/conf.d/zz-theirs.conf")
            .refuses(LED_BACK, &["validate nginx files as if in place failed", "zz-theirs.conf"]),
        during("an nginx file that is not ours breaks after the validation", Work::All, LAST_RESTART, "echo 'nonsense here;' > /etc/nginx/conf.d/zz-theirs.conf", "rm /etc/nginx/conf.d/zz-theirs.conf")
            .ends(STUCK)
            .says(&["reload nginx.service failed"]),
        around("nginx is stopped and its port taken", Work::Client, "systemctl reset-failed fault 2> /dev/null || true; systemctl stop nginx; systemd-run --quiet --unit=fault python3 -m http.server 443; sleep 1", "systemctl stop fault")
            .with(&["--ready-timeout", "8"])
            .ends(STUCK)
            .says(&["start nginx.service failed"])
            .theirs(),
        during("nginx stops before it is reloaded", Work::All, LAST_RESTART, "systemctl stop nginx", "true")
            .ends(LED_BACK)
            .theirs(),
        around("a unit is masked", Work::Client, &format!("systemctl mask --runtime --quiet {CLIENT}"), &format!("systemctl unmask --runtime --quiet {CLIENT}")).theirs(),
        around("units were changed on disk and not loaded", Work::Client, "touch /etc/systemd/system/matrix_main.service", "true").theirs(),
        during("somebody reloads systemd", Work::Client, "client.yaml in place", "systemctl daemon-reload", "true"),
        during("somebody restarts the worker too", Work::Client, RESTART, &format!("systemctl restart --no-block {CLIENT}"), "true")
            .ends(PERHAPS),
        Fault::new("dpkg is locked for ten seconds while a package is missing", Work::Client, How::Told(apt_is_locked)),
        Fault::new("pip's index cannot be reached", Work::Client, How::Told(no_index)).ends(LED_BACK).held(60),
        Fault::new("no space for a new Python environment", Work::Client, How::Told(no_space_for_a_venv)).ends(LED_BACK).held(60),
    ]
}

/// A package that the inventory needs is gone, and somebody else is just installing something.
fn apt_is_locked(table: &Table) -> Answer {
    table.site.sh("hs1", "dpkg --force-all --remove nginx-light > /dev/null 2>&1");
    let hold = "systemd-run --quiet --unit=fault python3 -c 'import fcntl, time\nf = open(\"/var/lib/dpkg/lock-frontend\", \"w\")\nfcntl.lockf(f, fcntl.LOCK_EX)\ntime.sleep(10)'; sleep 0.5";
    table.site.sh("hs1", hold);
    table.start(&[]).ends()
}

/// Another Synapse is wanted, and then no more.
fn no_index(table: &Table) -> Answer {
    table.write(&[("version: 1.163.2", "version: 1.162.0")]);
    table.site.sh("hs1", "cp /etc/pip.conf /root/pip.conf 2> /dev/null; printf '[global]\\nindex-url = http://127.0.0.1:9/simple\\nretries = 0\\n' > /etc/pip.conf");
    let answer = table.start(&[]).ends();
    table.site.sh("hs1", "cp /root/pip.conf /etc/pip.conf 2> /dev/null || rm /etc/pip.conf");
    table.write(&[]);
    answer
}

/// Another Synapse is wanted, and then no more.
fn no_space_for_a_venv(table: &Table) -> Answer {
    table.write(&[("version: 1.163.2", "version: 1.162.0")]);
    table.site.sh(
        "hs1",
        "set -e; mkdir -p /run/small; mount -t tmpfs -o size=40M tmpfs /run/small; mkdir /run/small/up /run/small/work; \
         mount -t overlay overlay -o lowerdir=/opt/matrix/venvs,upperdir=/run/small/up,workdir=/run/small/work /opt/matrix/venvs",
    );
    let answer = table.start(&[]).ends();
    table.site.sh("hs1", "umount /opt/matrix/venvs /run/small && rmdir /run/small");
    table.write(&[]);
    answer.says("No space left on device")
}
