//! Paths that cannot be written, and paths that must not be.

use crate::fault::{Fault, How};
use crate::table::Work;

/// `$W`: where the file is that [`Work::Client`] changes. `$S`: where the record is.
fn place(text: &str) -> String {
    let text = text.replace("$W", "/opt/matrix/conf/workers").replace("$S", "/var/lib/synprov/table.example");
    format!("set -e; {text}")
}

fn around(name: &str, make: &str, heal: &str) -> Fault {
    let (make, heal) = (place(make), place(heal));
    Fault::new(name, Work::Client, How::Around { host: "hs1", make, heal })
}

/// What was replaced before it failed, a secret, is what it was.
const LED_BACK: &[Option<i32>] = &[Some(6)];

/// A small file system over a directory, with what is in it, and full.
fn full(directory: &str, size: &str) -> [String; 2] {
    [
        format!(
            "cp -a {directory} /root/aside; mount -t tmpfs -o size={size},mode=$(stat -c %a {directory}),gid=$(stat -c %g {directory}) tmpfs {directory}; \
             cp -a /root/aside/. {directory}/; head -c 9M /dev/zero 2> /dev/null > {directory}/ballast || true"
        ),
        format!("umount {directory}; rm -r /root/aside"),
    ]
}

fn read_only(directory: &str) -> [String; 2] {
    [
        format!("mount --bind {directory} {directory}; mount -o remount,ro,bind {directory}"),
        format!("umount {directory}"),
    ]
}

/// What stands in the place of the file is made by this; root is not led elsewhere, and the file is ours again.
fn instead(name: &str, make: &str, heal: &str) -> Fault {
    let make = format!("echo precious > /root/precious; rm $W/client.yaml; {make}");
    let heal = format!(
        "[[ $(cat /root/precious) == precious && -f $W/client.yaml && ! -L $W/client.yaml ]]; rm /root/precious; {heal}"
    );
    around(name, &make, &heal)
}

pub fn faults() -> Vec<Fault> {
    let [make_full, heal_full] = full("$W", "1M");
    let [make_recordless, heal_recordless] = full("$S", "1M");
    let [make_read_only, heal_read_only] = read_only("$W");
    let [make_fixed_record, heal_fixed_record] = read_only("$S");
    vec![
        around("no space in the directory of a file", &make_full, &heal_full)
            .refuses(LED_BACK, &["No space left on device", "client.yaml in place failed"]),
        around("no space for the record", &make_recordless, &heal_recordless)
            .refuses(&[Some(7)], &["No space left on device"]),
        around(
            "no space to stage",
            "mkdir -p /run/synprov; mount -t tmpfs -o size=4k,mode=0700 tmpfs /run/synprov",
            "umount /run/synprov",
        )
        .refuses(LED_BACK, &["cannot keep a step in /run/synprov: No space left on device"]),
        around(
            "/tmp and /var/tmp are full and forbid execution",
            "for d in /tmp /var/tmp; do mount -t tmpfs -o size=4k,noexec tmpfs $d; head -c 1M /dev/zero 2> /dev/null > $d/ballast || true; done",
            "umount /tmp /var/tmp",
        ),
        around("an immutable file", "chattr +i $W/client.yaml", "chattr -i $W/client.yaml")
            .refuses(LED_BACK, &["Operation not permitted", "client.yaml in place failed"]),
        around("an immutable directory", "chattr +i $W", "chattr -i $W")
            .refuses(LED_BACK, &["Operation not permitted", "client.yaml in place failed"]),
        around("an immutable record", "chattr +i $S/record", "chattr -i $S/record")
            .refuses(LED_BACK, &["Operation not permitted"]),
        around("a read-only file system", &make_read_only, &heal_read_only)
            .refuses(LED_BACK, &["Read-only file system"]),
        around("a read-only state directory", &make_fixed_record, &heal_fixed_record)
            .refuses(LED_BACK, &["Read-only file system"]),
        around("a file that is a mount of its own", "mount --bind $W/client.yaml $W/client.yaml", "umount $W/client.yaml")
            .refuses(LED_BACK, &["client.yaml in place failed"]),
        around("a directory that is a mount of its own", "mount --bind $W $W", "umount $W"),
        around(
            "a file with a second name elsewhere",
            "ln $W/client.yaml /root/second; sha256sum < /root/second > /root/sum",
            "[[ $(sha256sum < /root/second) == $(cat /root/sum) ]]; rm /root/second /root/sum",
        ),
        around(
            "every sync takes a second",
            "printf '#!/bin/bash\\nsleep 1; exec /usr/bin/sync \"$@\"\\n' > /usr/local/bin/sync; chmod 755 /usr/local/bin/sync",
            "rm /usr/local/bin/sync",
        ),
        around(
            "a set-group directory, and files that belong to it",
            "stat -c %a $W > /root/mode; chmod g+s $W",
            "rm /root/mode",
        ),
        around(
            "a directory in place of a file",
            "rm $W/client.yaml; mkdir $W/client.yaml; echo mine > $W/client.yaml/precious",
            "[[ $(cat $W/client.yaml/precious) == mine ]]; rm -r $W/client.yaml",
        )
            .ends(&[Some(1)])
            .says(&["client.yaml is a directory, where a file should be", "move it away"])
            .theirs(),
        instead("a link to a file of root's in place of a file", "ln -s /root/precious $W/client.yaml", "true"),
        instead("a dangling link in place of a file", "ln -s /root/nothing/there $W/client.yaml", "true"),
        instead("a pipe in place of a file", "mkfifo $W/client.yaml", "true"),
        instead("a link whose target is terminal commands", "ln -s $'\\e]0;owned\\a\\e[31m\\n\\tpath\\tx' $W/client.yaml", "true"),
        around(
            "a parent that is a link to somebody else's directory",
            "mkdir -p /srv/nobody; cp -a $W /srv/nobody/elsewhere; chown nobody /srv/nobody; mv $W /root/workers; ln -s /srv/nobody/elsewhere $W",
            "rm $W; mv /root/workers $W; rm -r /srv/nobody",
        )
        .ends(&[Some(1)])
        .says(&["/opt/matrix/conf/workers is a link to /srv/nobody/elsewhere, where a directory should be"]),
        around("a parent that belongs to somebody else", "chown nobody /opt", "chown root /opt")
            .refuses(LED_BACK, &["/opt belongs to somebody else or others may write there"]),
        around("a parent that anybody may write to", "chmod o+w /opt", "chmod o-w /opt")
            .refuses(LED_BACK, &["/opt belongs to somebody else or others may write there"]),
        around(
            "names like our temporary ones, as links to what is precious",
            "echo precious > /root/precious; for name in aaaaaaaaaa XXXXXXXXXX; do ln -s /root/precious $W/.client.yaml.synprov-$name; done",
            "[[ $(cat /root/precious; stat -c %a /root/precious) == $'precious\\n644' ]]; rm /root/precious",
        ),
        around(
            "/run/synprov is somebody else's",
            "rm -rf /run/synprov; mkdir /run/synprov; chown nobody /run/synprov",
            "rmdir /run/synprov",
        )
        .refuses(&[Some(3)], &["/run/synprov is not root's own", "Nothing was changed."]),
        around(
            "/run/synprov is a link",
            "rm -rf /run/synprov; mkdir /root/elsewhere; ln -s /root/elsewhere /run/synprov",
            "rm /run/synprov; rmdir /root/elsewhere",
        )
        .refuses(&[Some(3)], &["/run/synprov is not root's own", "Nothing was changed."]),
    ]
}
