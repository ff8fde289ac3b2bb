//! Nothing to do: what a second plan says, costs and leaves behind.

use crate::site::{INVENTORY, Site};

/// What its sshd says that synprov costs.
struct Sshd<'a>(&'a Site);

impl<'a> Sshd<'a> {
    fn listen(site: &'a Site) -> Self {
        site.sh(
            "echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/verbose.conf && systemctl reload ssh.service",
        );
        // sshd re-executes itself on reload; the first log-in after it proves that it is done.
        site.run(&["plan"]).exits(0);
        Self(site)
    }

    /// Log-ins, execs, and sessions of any kind that `what` costs.
    fn cost(&self, what: impl FnOnce()) -> [usize; 3] {
        let cursor = self
            .0
            .sh("journalctl --sync; journalctl --lines=0 --show-cursor --quiet | sed -n 's/^-- cursor: //p'");
        what();
        let said = self.0.sh(&format!(
            "journalctl --sync; journalctl --unit=ssh.service --output=cat --after-cursor='{cursor}'"
        ));
        ["Accepted publickey", "Starting session: command", "Starting session:"]
            .map(|text| said.lines().filter(|line| line.contains(text)).count())
    }
}

impl Drop for Sshd<'_> {
    fn drop(&mut self) {
        self.0.sh("rm -f /etc/ssh/sshd_config.d/verbose.conf && systemctl reload ssh.service");
    }
}

/// Plan again: "No changes", exit 0, one log-in, one exec, and no path of the host has changed.
pub fn second_plan_is_empty_and_leaves_no_trace(site: &Site) {
    let sshd = Sshd::listen(site);
    let planned = sshd.cost(|| {
        site.sh("touch /run/before && sleep 0.1");
        let answer = site.run(&["plan", "--detailed-exitcode"]).exits(0);
        answer.says("No changes. 1 host is as the inventory says");
    });
    assert_eq!(planned, [1, 1, 1], "log-ins, execs, sessions of any kind");
    // The one file in /root is what the test itself writes about processes that it had not seen before.
    let changed = site.sh(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /var/log \
         -o -path /var/lib/postgresql -o -path /var/lib/redis -o -path /var/lib/systemd -o -path /var/cache \
         -o -path /root/seen-processes \\) -prune \
         -o -newercm /run/before -print",
    );
    assert_eq!(changed, "", "paths that a plan changed");
}

/// An apply that asks nobody: one log-in and one exec, whether there is something to do or not.
pub fn an_apply_costs_one_exec(site: &Site) {
    let sshd = Sshd::listen(site);
    assert_eq!(sshd.cost(|| drop(site.run(&["apply", "--yes"]).exits(0).says("No changes."))), [1, 1, 1]);
    site.rewrite("config: {turn_shared_secret", "config: {event_cache_size: 9K, turn_shared_secret");
    let applied = || drop(site.run(&["apply", "--yes"]).exits(0).says("Apply complete: 4 steps"));
    assert_eq!(sshd.cost(applied), [1, 1, 1]);
    site.write(INVENTORY);
    site.apply();
}
