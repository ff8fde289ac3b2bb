//! Nothing to do: what a second plan says, costs and leaves behind.

use crate::site::Site;

/// Counts lines of sshd's journal since a cursor.
fn sshd_said(site: &Site, cursor: &str, text: &str) -> usize {
    let script =
        format!("journalctl --sync; journalctl --unit=ssh.service --output=cat --after-cursor='{cursor}'");
    site.sh(&script).lines().filter(|line| line.contains(text)).count()
}

/// Plan again: "No changes", exit 0, one log-in, one exec, and no path of the host has changed.
pub fn second_plan_is_empty_and_leaves_no_trace(site: &Site) {
    site.sh("echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/verbose.conf && systemctl reload ssh.service");
    // sshd re-executes itself on reload; the first log-in after it proves that it is done.
    site.run(&["plan"]).exits(0).says("No changes.");
    let cursor =
        site.sh("journalctl --sync; journalctl --lines=0 --show-cursor --quiet | sed -n 's/^-- cursor: //p'");
    site.sh("touch /run/before && sleep 0.1");
    site.run(&["plan", "--detailed-exitcode"]).exits(0).says("No changes. 1 host is as the inventory says");
    assert_eq!(sshd_said(site, &cursor, "Accepted publickey"), 1, "log-ins");
    assert_eq!(sshd_said(site, &cursor, "Starting session: command"), 1, "execs");
    assert_eq!(sshd_said(site, &cursor, "Starting session:"), 1, "sessions of any kind");
    // The one file in /root is what the test itself writes about processes that it had not seen before.
    let changed = site.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log \
         -o -path /var/lib/postgresql -o -path /var/lib/redis -o -path /var/lib/systemd -o -path /var/cache \
         -o -path /root/seen-processes \\) -prune \
         -o -newercm /run/before -print",
    );
    assert_eq!(changed, "", "paths that a plan changed");
    site.sh("rm /etc/ssh/sshd_config.d/verbose.conf && systemctl reload ssh.service");
}
