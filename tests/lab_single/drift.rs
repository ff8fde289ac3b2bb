//! Somebody changed the host by hand: it is named, healed, and nothing else is touched.

use crate::site::{ROOT, Site};

const CLIENT: &str = "matrix_generic_worker@client.service";

/// What somebody does to the host, and everything that the plan says and does about it.
struct Tampering<'a> {
    /// For people.
    what: &'a str,
    /// Done as root on the host.
    script: &'a str,
    /// All changes of the plan: `operation cause name`.
    changes: &'a [&'a str],
    /// An attribute of the first of them: `attribute: before -> after`.
    attribute: &'a str,
    /// Steps that start, restart, reload or stop something.
    service_steps: &'a [&'a str],
    /// Units with another InvocationID after the repair than before the tampering.
    disturbed: &'a [&'a str],
}

fn check(site: &Site, case: &Tampering<'_>) {
    let what = case.what;
    eprintln!("       {what}");
    let before = site.invocations();
    site.sh(case.script);
    let plan = site.plan();
    assert_eq!(plan.changes(), case.changes, "{what}: changes");
    let name = case.changes[0].splitn(3, ' ').nth(2).unwrap();
    let attributes = plan.attributes(name);
    assert!(attributes.iter().any(|one| one == case.attribute), "{what}: {attributes:?}");
    assert_eq!(plan.service_steps(), case.service_steps, "{what}: steps {:?}", plan.steps());
    site.run(&["plan", "--detailed-exitcode"]).exits(2);
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), case.disturbed, "{what}: units with another start");
}

/// A worker's file edited by hand: that file, that diff, that one restart.
pub fn an_edited_worker_file(site: &Site) {
    let path = format!("{ROOT}/conf/workers/sync.yaml");
    let original = site.sh(&format!("sha256sum {path}; stat -c '%a %U %G' {path}"));
    let before = site.invocations();
    site.sh(&format!("echo 'event_cache_size: 3' >> {path}"));
    let plan = site.plan();
    let unit = "matrix_generic_worker@sync.service";
    assert_eq!(plan.changes(), [format!("update drift {path}"), format!("update drift {unit}")]);
    let diff = plan.change(&path)["diff"].as_str().unwrap();
    let changed: Vec<&str> = diff
        .lines()
        .filter(|line| (line.starts_with('-') || line.starts_with('+')) && !line.contains(&path))
        .collect();
    assert_eq!(changed, ["-event_cache_size: 3"], "{diff}");
    assert_eq!(plan.service_steps(), [format!("restart {unit}")]);
    site.run(&["plan", "--detailed-exitcode"]).exits(2).says("-event_cache_size: 3").says(" 1 restart.");
    site.apply();
    assert_eq!(site.sh(&format!("sha256sum {path}; stat -c '%a %U %G' {path}")), original);
    assert_eq!(site.disturbed(&before), [unit]);
}

/// Files: mode, owner, replaced by a link, deleted.
pub fn files_changed_by_hand(site: &Site) {
    let path = format!("{ROOT}/conf/workers/client.yaml");
    let unit = format!("update drift {CLIENT}");
    check(
        site,
        &Tampering {
            what: "mode",
            script: &format!("chmod 0666 {path}"),
            changes: &[&format!("update drift {path}")],
            attribute: "mode: 0666 -> 0640",
            service_steps: &[],
            disturbed: &[],
        },
    );
    check(
        site,
        &Tampering {
            what: "owner",
            script: &format!("chown nobody {path}"),
            changes: &[&format!("update drift {path}")],
            attribute: "owner: nobody -> root",
            service_steps: &[],
            disturbed: &[],
        },
    );
    check(
        site,
        &Tampering {
            what: "a link in its place",
            script: &format!("cp -a {path} /root/copy.yaml && ln -sf /root/copy.yaml {path}"),
            changes: &[&format!("update drift {path}"), &unit],
            attribute: "type: link to /root/copy.yaml -> file",
            service_steps: &[&format!("restart {CLIENT}")],
            disturbed: &[CLIENT],
        },
    );
    assert_eq!(site.sh("stat -c '%F %a' /root/copy.yaml"), "regular file 640", "the link was not followed");
    check(
        site,
        &Tampering {
            what: "deleted",
            script: &format!("rm {path}"),
            changes: &[&format!("create drift {path}"), &unit],
            attribute: "type: none -> file",
            service_steps: &[&format!("restart {CLIENT}")],
            disturbed: &[CLIENT],
        },
    );
}

/// Units: stopped, disabled, masked, edited without daemon-reload.
pub fn units_changed_by_hand(site: &Site) {
    let update = format!("update drift {CLIENT}");
    check(
        site,
        &Tampering {
            what: "stopped",
            script: &format!("systemctl stop {CLIENT}"),
            changes: &[&update],
            attribute: "active: inactive -> active",
            service_steps: &[&format!("start {CLIENT}")],
            disturbed: &[CLIENT],
        },
    );
    check(
        site,
        &Tampering {
            what: "stopped and disabled",
            script: &format!("systemctl stop {CLIENT}; systemctl disable --quiet {CLIENT}"),
            changes: &[&update],
            attribute: "enabled: disabled -> enabled",
            service_steps: &[&format!("start {CLIENT}")],
            disturbed: &[CLIENT],
        },
    );
    check(
        site,
        &Tampering {
            what: "disabled",
            script: &format!("systemctl disable --quiet {CLIENT}"),
            changes: &[&update],
            attribute: "enabled: disabled -> enabled",
            service_steps: &[],
            disturbed: &[],
        },
    );
    check(
        site,
        &Tampering {
            what: "masked at run time",
            script: &format!("systemctl mask --runtime --quiet {CLIENT}"),
            changes: &[&update],
            attribute: "enabled: masked-runtime -> enabled",
            service_steps: &[],
            disturbed: &[],
        },
    );
    check(
        site,
        &Tampering {
            what: "masked",
            // systemd does not mask what has a file of its own in /etc; a link in its place is a mask all the same.
            script: &format!("ln -s /dev/null /etc/systemd/system/{CLIENT} && systemctl daemon-reload"),
            changes: &[&update],
            attribute: "enabled: masked -> enabled",
            service_steps: &[],
            disturbed: &[],
        },
    );
    check(
        site,
        &Tampering {
            what: "masked and stopped",
            script: &format!(
                "ln -s /dev/null /etc/systemd/system/{CLIENT} && systemctl daemon-reload && systemctl stop {CLIENT}"
            ),
            changes: &[&update],
            attribute: "active: inactive -> active",
            service_steps: &[&format!("start {CLIENT}")],
            disturbed: &[CLIENT],
        },
    );
    check(
        site,
        &Tampering {
            what: "a drop-in of somebody's without daemon-reload",
            script: &format!("printf '[Service]\\nNice=1\\n' > /etc/systemd/system/{CLIENT}.d/x.conf"),
            changes: &[&update],
            attribute: "unit file: changed since systemd read it -> loaded",
            service_steps: &[],
            disturbed: &[],
        },
    );
    site.sh(&format!("rm /etc/systemd/system/{CLIENT}.d/x.conf && systemctl daemon-reload"));
}

/// Our own unit file edited without daemon-reload: the file, and the restart its readers owe.
pub fn an_edited_unit_file(site: &Site) {
    let path = "/etc/systemd/system/matrix_media.service";
    let unit = "matrix_media.service";
    let edit = "s/^Description=.*/Description=mine/";
    let digest = |command: &str| site.sh(&format!("{command} | sha256sum | head -c 64"));
    let (original, edited) = (digest(&format!("cat {path}")), digest(&format!("sed '{edit}' {path}")));
    check(
        site,
        &Tampering {
            what: "our own unit file",
            script: &format!("sed -i '{edit}' {path}"),
            changes: &[&format!("update drift {path}"), &format!("update drift {unit}")],
            attribute: &format!("content: {edited} -> {original}"),
            service_steps: &[&format!("restart {unit}")],
            disturbed: &[unit],
        },
    );
}

/// nginx.conf belongs to its package; one number of it is ours to raise.
pub fn nginx_conf(site: &Site) {
    let path = "/etc/nginx/nginx.conf";
    let before = site.invocations();
    site.sh(&format!("echo '# a line of somebody' >> {path}"));
    let original = site.sh(&format!("cat {path}"));
    site.sh(&format!("sed -i -E 's/worker_connections [0-9]+/worker_connections 64/' {path}"));
    let plan = site.plan();
    assert_eq!(plan.changes(), [format!("update drift {path}"), "update drift nginx.service".to_owned()]);
    assert_eq!(plan.service_steps(), ["reload nginx.service"]);
    site.apply();
    assert_eq!(site.sh(&format!("cat {path}")), original, "only the number is ours");
    site.sh(&format!("sed -i '/^# a line of somebody/d' {path}"));
    assert!(site.disturbed(&before).is_empty());
}

/// Redis' own file edited: never repaired by surprise, since its repair restarts a datastore.
pub fn redis_conf(site: &Site) {
    let (path, unit) = ("/etc/redis/redis-matrix.conf", "redis-server@matrix.service");
    let before = site.invocations();
    site.sh(&format!("echo 'maxclients 500' >> {path}"));
    let plan = site.plan();
    assert_eq!(plan.changes(), [format!("update drift {path}"), format!("update drift {unit}")]);
    assert_eq!(plan.refusals(), [format!("a running deployment's datastore would restart: restart {unit}")]);
    let file = site.sh(&format!("sha256sum {path}"));
    site.run(&["apply", "--yes"]).exits(1).says("--allow-datastore-restart");
    assert_eq!(site.sh(&format!("sha256sum {path}")), file, "nothing was changed");
    assert!(site.disturbed(&before).is_empty());
    site.run(&["apply", "--yes", "--allow-datastore-restart"]).exits(0);
    site.is_settled();
    assert_eq!(site.disturbed(&before), [unit]);
}

/// Started again by hand without a change: nothing to do. Edited, started, put back: one restart.
pub fn restarts_by_hand(site: &Site) {
    let path = format!("{ROOT}/conf/workers/client.yaml");
    site.sh(&format!("systemctl restart {CLIENT}"));
    site.is_settled();
    let before = site.invocations();
    site.sh(&format!(
        "cp -a {path} /root/kept.yaml && echo 'event_cache_size: 3' >> {path} && systemctl restart {CLIENT} \
         && cat /root/kept.yaml > {path}"
    ));
    let plan = site.plan();
    assert_eq!(plan.changes(), [format!("update drift {CLIENT}")]);
    assert_eq!(plan.steps(), [format!("restart {CLIENT}")]);
    site.apply();
    site.is_settled();
    assert_eq!(site.disturbed(&before), [CLIENT]);
}
