//! Backups: what is in them, who may read them, what happens without space.

use crate::deployment::Site;

/// The dump becomes a database again with all tables, the archive has the configuration and every secret, and
/// only root reads either.
pub fn is_whole(site: &Site) {
    let listed = site.sh("hs1", "cd /srv/backups && stat --printf '%n %a %U\\n' . *");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.lines().all(|line| line.ends_with("00 root")), "{listed}");
    assert!(
        listed
            .lines()
            .skip(1)
            .all(|line| line.starts_with("upgrade.example-") && line.ends_with(" 600 root")),
        "{listed}"
    );
    let tables = "select count(*) from information_schema.tables where table_schema = 'public'";
    let restored = site.sh(
        "hs1",
        &format!(
            "cd / && runuser -u postgres -- createdb restored && runuser -u postgres -- pg_restore --dbname=restored --no-owner < /srv/backups/*.dump \
             && runuser -u postgres -- psql -XAtq restored -c \"{tables}\" && runuser -u postgres -- psql -XAtq restored -c 'select version from schema_version'; \
             runuser -u postgres -- dropdb restored"
        ),
    );
    let numbers: Vec<u32> = restored.lines().map(|line| line.parse().unwrap()).collect();
    // As it was before the upgrade.
    assert!(numbers[0] > 100 && numbers[1] == 83, "{restored}");
    let names = site.sh("hs1", "tar --list --file /srv/backups/*.tar");
    for name in [
        "opt/matrix/conf/config.yaml",
        "opt/matrix/conf/secrets/signing_key",
        "opt/matrix/conf/secrets/macaroon",
        "var/lib/synprov/upgrade.example/record",
    ] {
        assert!(names.lines().any(|line| line == name), "{name}: {names}");
    }
}

/// A directory that is too small.
pub fn without_space(site: &Site) {
    let before = site.files();
    site.sh("hs1", "mkdir -p /srv/small && mount -t tmpfs -o size=1m,mode=700 none /srv/small");
    site.run(&["apply", "--yes", "--diff", "none", "--backup=/srv/small"])
        .exits(1)
        .says("/srv/small has 1 MB free, and up to");
    assert_eq!(site.sh("hs1", "ls -A /srv/small; umount /srv/small; rmdir /srv/small"), "");
    assert_eq!(site.files(), before, "nothing was changed");
}

/// An upgrade with a command that takes what is backed up; one that fails stops it first.
pub fn through_a_command(site: &Site) {
    let before = site.files();
    site.run(&["apply", "--yes", "--diff", "none", "--backup=command:cat > /dev/null; exit 3"])
        .exits(1)
        .says("did not succeed");
    assert_eq!(site.files(), before, "nothing was changed");
    let to = "--backup=command:umask 077; cat > \"/srv/taken-$SYNPROV_BACKUP\"";
    site.run(&["apply", "--yes", "--diff", "none", to]).exits(0);
    let taken = site.sh("hs1", "cd /srv && head -c 5 taken-upgrade.example-*.dump && tar --list --file taken-upgrade.example-*.tar | grep -c secrets/");
    assert!(taken.starts_with("PGDMP"), "{taken}");
}
