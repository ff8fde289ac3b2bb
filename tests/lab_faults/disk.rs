//! Paths that cannot be written, and paths that must not be.

use crate::site::Site;

const WORKERS: &str = "/opt/matrix/conf/workers";

/// The inventory with one option of one worker on hs1 changed, which one file holds.
fn change_typing(site: &Site, size: u32) {
    let config = format!("typing: {{host: hs1, writes: [typing], config: {{event_cache_size: {size}}}");
    site.rewrite(&[("typing: {host: hs1, writes: [typing]", &config)]);
}

/// A fault on hs1, gone when this goes.
struct Fault<'a> {
    site: &'a Site,
    removal: &'a str,
}

impl<'a> Fault<'a> {
    fn make(site: &'a Site, fault: &str, removal: &'a str) -> Self {
        let made = Self { site, removal };
        site.sh("hs1", fault);
        made
    }
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        let (gone, said) = self.site.try_sh("hs1", self.removal);
        assert!(gone || std::thread::panicking(), "{}\n{said}", self.removal);
    }
}

/// An apply that fails with these words, changes no managed file, and is finished once the fault is gone.
#[track_caller]
fn check(site: &Site, fault: &str, removal: &str, words: &[&str]) {
    change_typing(site, 5000);
    let fault = Fault::make(site, fault, removal);
    let before = site.files();
    let invocation =
        site.sh("hs1", "systemctl show --value --property=InvocationID matrix_generic_worker@typing.service");
    let mut answer = site.run(&["apply", "--yes", "--diff", "none"]);
    // Nothing was put in place, or what was is not any more.
    assert!(matches!(answer.code, Some(1 | 6)), "{}", answer.text);
    for word in words {
        answer = answer.says(word);
    }
    let after = site.files();
    let differing: Vec<_> = before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).collect();
    assert_eq!(differing, Vec::new(), "changed by an apply that failed");
    let temporary: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(temporary.is_empty(), "left behind: {temporary:?}");
    let now =
        site.sh("hs1", "systemctl show --value --property=InvocationID matrix_generic_worker@typing.service");
    assert_eq!(invocation, now, "nothing was restarted");
    drop(fault);
    site.apply();
    site.is_settled();
    assert!(site.sh("hs1", &format!("cat {WORKERS}/typing.yaml")).contains("event_cache_size: 5000"));
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}

/// The disk is full.
pub fn no_space_is_left(site: &Site) {
    check(
        site,
        &format!(
            "cp -a {WORKERS} /root/workers && mount -t tmpfs -o size=1M,mode=$(stat -c %a {WORKERS}),gid=$(stat -c %g {WORKERS}) tmpfs {WORKERS} \
             && cp -a /root/workers/. {WORKERS}/ && (head -c 2M /dev/zero > {WORKERS}/ballast || true)"
        ),
        &format!("umount {WORKERS}; rm -r /root/workers"),
        &["typing.yaml in place failed", "No space left on device"],
    );
}

/// `chattr +i`.
pub fn a_file_is_immutable(site: &Site) {
    check(
        site,
        &format!("chattr +i {WORKERS}/typing.yaml"),
        &format!("chattr -i {WORKERS}/typing.yaml"),
        &["typing.yaml in place failed", "Operation not permitted", "typing.yaml"],
    );
}

/// Somebody made a directory where a file is.
pub fn a_directory_stands_in_the_way(site: &Site) {
    check(
        site,
        &format!(
            "rm {WORKERS}/typing.yaml && mkdir {WORKERS}/typing.yaml && echo mine > {WORKERS}/typing.yaml/precious"
        ),
        &format!("rm -r {WORKERS}/typing.yaml"),
        &["typing.yaml is a directory, where a file should be", "move it away"],
    );
}

/// A parent is a link that another user made, or may be replaced by one at any time.
pub fn a_parent_is_somebody_elses(site: &Site) {
    check(
        site,
        &format!(
            "mkdir -p /srv/nobody && cp -a {WORKERS} /srv/nobody/elsewhere && chown nobody /srv/nobody && mv {WORKERS} /root/workers \
             && ln -s /srv/nobody/elsewhere {WORKERS}"
        ),
        &format!("rm {WORKERS} && mv /root/workers {WORKERS} && rm -r /srv/nobody"),
        &["/opt/matrix/conf/workers is a link to /srv/nobody/elsewhere, where a directory should be"],
    );
    check(
        site,
        "chown nobody /opt",
        "chown root /opt",
        &["/opt belongs to somebody else or others may write there; nothing is written below it"],
    );
}

/// Names like those of our temporary files are taken, by links to what must not be overwritten.
pub fn temporary_names_are_taken(site: &Site) {
    site.sh(
        "hs1",
        &format!(
            "echo precious > /root/precious; for name in aaaaaaaaaa XXXXXXXXXX 0123456789; do \
             ln -s /root/precious {WORKERS}/.typing.yaml.synprov-$name; done; mkdir {WORKERS}/.typing.yaml.synprov-bbbbbbbbbb"
        ),
    );
    change_typing(site, 6000);
    site.apply();
    assert_eq!(site.sh("hs1", "cat /root/precious; stat -c %a /root/precious"), "precious\n644");
    assert_eq!(site.sh("hs1", &format!("ls -A {WORKERS}")), ".typing.yaml.synprov-bbbbbbbbbb\ntyping.yaml");
    site.sh("hs1", &format!("rmdir {WORKERS}/.typing.yaml.synprov-bbbbbbbbbb; rm /root/precious"));
    site.rewrite(&[]);
    site.apply();
    site.is_settled();
}
