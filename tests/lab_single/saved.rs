//! Plans in files, on a real host: done exactly, once, and only while everything is as it was.

use std::os::unix::fs::PermissionsExt as _;

use crate::site::{CANARIES, INVENTORY, ROOT, Site};

const CLIENT: &str = "matrix_generic_worker@client.service";

/// Saved, shown, refused while anything differs, done, refused again.
pub fn a_plan_is_saved_and_applied_once(site: &Site) {
    let before = site.invocations();
    site.rewrite("config: {turn_shared_secret", "config: {event_cache_size: 8K, turn_shared_secret");
    site.run(&["plan", "--out", "saved.plan"]).exits(0).says("`synprov apply saved.plan` does exactly this");
    let file = site.directory.join("saved.plan");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    for (name, value) in CANARIES {
        assert!(!text.contains(value), "{name} stands in the file");
    }
    // Showing needs no host: not even the inventory.
    let shown = site.run(&["show", "saved.plan"]).exits(0).says("event_cache_size: 8K").says(CLIENT);
    std::fs::rename(site.inventory(), site.directory.join("away.yaml")).unwrap();
    assert_eq!(site.run(&["show", "saved.plan"]).exits(0).stdout, shown.stdout);
    site.run(&["apply", "saved.plan"]).exits(4).says("inventory.yaml cannot be read");
    std::fs::rename(site.directory.join("away.yaml"), site.inventory()).unwrap();

    // Somebody edits what the plan would change, and something that it would not.
    let yaml = format!("{ROOT}/conf/workers/client.yaml");
    site.sh(&format!("cp -p {yaml} /root/client.yaml && echo '# mine' >> {yaml}"));
    site.run(&["apply", "saved.plan"]).exits(4).says("has changed").says(&format!("one: file {yaml}"));
    site.sh(&format!("cp -p /root/client.yaml {yaml}"));
    site.sh("systemctl stop matrix_media.service");
    site.run(&["apply", "saved.plan"])
        .exits(4)
        .says("one: service matrix_media.service would change now: it should run and is stopped");
    site.sh("systemctl start matrix_media.service && rm /root/client.yaml");
    let [_, (turn, value), ..] = CANARIES;
    site.set_env(turn, "canary-turn-other-7TrE3wQa");
    site.run(&["apply", "saved.plan"]).exits(4).says("secret turn has another value");
    site.set_env(turn, value);
    let disturbed = site.disturbed(&before);
    assert_eq!(disturbed, ["matrix_media.service"], "only what was restarted by hand");

    let before = site.invocations();
    let done = site.run(&["apply", "saved.plan"]).exits(0);
    assert!(done.stdout.contains("Apply complete"), "{}", done.all());
    assert_eq!(site.disturbed(&before), [CLIENT]);
    site.is_settled();
    site.run(&["apply", "saved.plan"]).exits(4).says("nothing of this plan is left to do");
    // Nor when the host is led back to where it was.
    site.write(INVENTORY);
    site.apply();
    site.rewrite("config: {turn_shared_secret", "config: {event_cache_size: 8K, turn_shared_secret");
    site.run(&["apply", "saved.plan"]).exits(4).says("one was applied to since");
    assert_eq!(site.disturbed(&site.invocations()), [] as [&str; 0]);
    site.write(INVENTORY);
    std::fs::remove_file(file).unwrap();
}
