//! Modules through their door: a topology and module files go in, resources or errors come out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::print_stderr)]

mod fixture;

use std::collections::BTreeMap;

use fixture::{map, one_host, two_hosts};
use serde_json::json;
use synprov::modules::{ModuleError, Modules, expand};
use synprov::resource::{Body, Resource};

fn files(list: &[(&str, &str)]) -> BTreeMap<String, String> {
    list.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn with(list: &[(&str, &str)]) -> Result<Vec<Resource>, Vec<ModuleError>> {
    expand(&Modules::with_overrides(Modules::builtin(), files(list))?, &one_host())
}

/// The errors of one module of the user's, one line each, with their help.
fn check(module: &str, expect: &[&str]) {
    let errors = with(&[("mine/module.yaml", module)]).unwrap_err();
    let lines: Vec<String> = errors
        .iter()
        .map(|error| match error.help() {
            Some(help) => format!("{error} | {help}"),
            None => error.to_string(),
        })
        .collect();
    assert_eq!(lines, expect);
}

fn file<'a>(resources: &'a [Resource], host: &str, path: &str) -> &'a Body {
    let found = resources.iter().find(|one| one.address.host == host && one.address.name == path);
    &found.unwrap_or_else(|| panic!("no {path} on {host}")).body
}

fn text(resources: &[Resource], host: &str, path: &str) -> String {
    let Body::File { content, .. } = file(resources, host, path) else { panic!("{path} is no file") };
    content.redacted()
}

/// Everything on a screen: addresses with attributes, then each file with its text.
fn screen(resources: &[Resource]) -> String {
    let mut out = String::new();
    for resource in resources {
        match &resource.body {
            Body::File { owner, group, mode, content, set, inputs_of, reread_by, .. } => {
                let readers: Vec<&String> = inputs_of.keys().chain(reread_by.keys()).collect();
                out += &format!("{} {owner}:{group} {mode} {set:?} read by {readers:?}\n", resource.address);
                for line in content.redacted().lines() {
                    out += &format!("    | {line}\n");
                }
            }
            other => {
                let mut value = serde_json::to_value(other).unwrap();
                value.as_object_mut().unwrap().remove("kind");
                out += &format!("{} {value}\n", resource.address);
            }
        }
    }
    out
}

#[test]
fn an_environment_that_is_not_ours_may_be_the_root() {
    let mut topology = one_host();
    topology.venv.path = topology.root.clone();
    assert!(expand(&Modules::builtin(), &topology).is_ok());
}

#[test]
fn one_host_in_full() {
    insta::assert_snapshot!(screen(&expand(&Modules::builtin(), &one_host()).unwrap()));
}

#[test]
fn two_hosts_in_full() {
    insta::assert_snapshot!(screen(&expand(&Modules::builtin(), &two_hosts()).unwrap()));
}

#[test]
fn equal_input_gives_equal_output() {
    let modules = Modules::builtin();
    assert_eq!(expand(&modules, &one_host()).unwrap(), expand(&modules, &one_host()).unwrap());
}

#[test]
fn no_two_resources_have_one_address_and_parents_come_first() {
    for topology in [one_host(), two_hosts()] {
        let resources = expand(&Modules::builtin(), &topology).unwrap();
        let mut seen: Vec<String> = Vec::new();
        for resource in &resources {
            let name = resource.address.to_string();
            assert!(!seen.contains(&name), "{name} twice");
            if let Body::File { path, .. } | Body::Directory { path, .. } | Body::Venv { path, .. } =
                &resource.body
            {
                let parent = path.rsplit_once('/').unwrap().0;
                let managed = |folder: &str| {
                    let known = ["/etc", "/opt", "/etc/redis", "/etc/systemd/system", "/etc/nginx/conf.d"];
                    known.contains(&folder)
                        || seen.iter().any(|one| one.ends_with(&format!("directory:{folder}")))
                };
                assert!(managed(parent) && resource.address.host.starts_with("hs"), "{path} before {parent}");
            }
            seen.push(name);
        }
    }
}

#[test]
fn a_retired_host_has_nothing() {
    let mut topology = two_hosts();
    topology.hosts["hs2"].retired = true;
    let resources = expand(&Modules::builtin(), &topology).unwrap();
    assert!(resources.iter().all(|one| one.address.host == "hs1"));
}

#[test]
fn a_projection_changes_only_for_who_reads_what_changed() {
    let path = "/opt/matrix/conf/config.yaml";
    let before = expand(&Modules::builtin(), &one_host()).unwrap();
    let mut topology = one_host();
    topology.shared_config.insert("app_service_config_files".to_owned(), json!([]));
    topology.instances[0].shared_inputs.insert("app_service_config_files".to_owned(), "d3".to_owned());
    let after = expand(&Modules::builtin(), &topology).unwrap();
    let inputs = |resources| match file(resources, "hs1", path) {
        Body::File { inputs_of, .. } => inputs_of.clone(),
        _ => panic!(),
    };
    let (before, after) = (inputs(&before), inputs(&after));
    let changed: Vec<&String> = after.keys().filter(|unit| before[*unit] != after[*unit]).collect();
    assert_eq!(changed, ["matrix_main.service"]);
}

#[test]
fn values_cannot_become_specifiers_or_lines_of_a_unit() {
    let mut topology = one_host();
    topology.server_name = "100%n.example".to_owned();
    topology.shared_config = map(json!({}));
    topology.proxy = None;
    topology.instances[2].environment.insert("NOTE".to_owned(), "a \"b\" $HOME %i \\".to_owned());
    let resources = expand(&Modules::builtin(), &topology).unwrap();
    let unit = text(&resources, "hs1", "/etc/systemd/system/matrix.target");
    assert!(unit.contains("Description=Matrix Synapse for 100%%n.example\n"), "{unit}");
    let drop_in =
        text(&resources, "hs1", "/etc/systemd/system/matrix_generic_worker@sync2.service.d/matrix.conf");
    assert!(drop_in.contains(r#" "NOTE=a \"b\" $HOME %%i \\""#), "{drop_in}");

    topology.instances[2].environment.insert("NOTE".to_owned(), "a\nExecStart=/bin/evil".to_owned());
    let errors = expand(&Modules::builtin(), &topology).unwrap_err();
    assert_eq!(
        errors[0].to_string(),
        "module file systemd/module.yaml, resource 2, content.unit.(units/process.yaml) : \
         Service.Environment: a value holds the control character '\\n'"
    );
}

#[test]
fn a_passfile_escapes_what_libpq_would_split_at() {
    let text =
        text(&expand(&Modules::builtin(), &two_hosts()).unwrap(), "hs2", "/opt/matrix/conf/secrets/pgpass");
    assert_eq!(text, "fd00\\:\\:1:5432:synapse:synapse:<secret database>\n");
}

#[test]
fn undefined_names_are_told_with_what_there_is() {
    check(
        "format: 1\nresources:\n  - {kind: user, name: \"{{ synapse.usr }}\", home: \"{{ nothing.at.all }}\"}\n",
        &[
            "module file mine/module.yaml, resource 1, name: synapse.usr is not defined | synapse has: server_name, \
           version, root, user, prefix, main_unit, config, media, routes, write_paths, mount_unit, file_sd",
        ],
    );
    check(
        "format: 1\nresources:\n  - {kind: user, name: x, home: \"{{ item.name }}\"}\n",
        &[
            "module file mine/module.yaml, resource 1, home: item.name is not defined: item exists only with for_each",
        ],
    );
    check(
        "format: 1\nresources:\n  - {kind: user, name: x, home: \"{{ host.instances }}\"}\n",
        &[
            "module file mine/module.yaml, resource 1, home: host.instances is no text, number or boolean | inject it \
           with {value: host.instances}",
        ],
    );
    check(
        "format: 1\nresources:\n  - {kind: user, when: host.name, name: x, home: /}\n",
        &["module file mine/module.yaml, resource 1, when: host.name is not true or false"],
    );
}

#[test]
fn unknown_fields_kinds_and_forms_are_told() {
    check(
        "format: 1\nresources:\n  - {kind: user, name: x, home: /, shell: /bin/sh}\n  - {kind: usr, name: x}\n",
        &[
            "module file mine/module.yaml, resource 1: unknown field `shell`, expected `name` or `home`",
            "module file mine/module.yaml, resource 2: unknown variant `usr`, expected one of `packages`, `user`, \
           `directory`, `file`, `directive`, `secret`, `venv`, `routes`, `service`, `postgresql`, `external_postgresql`",
        ],
    );
    check(
        "format: 1\nresources:\n  - {kind: file, path: /a, owner: a, group: a, mode: '0644', set: plain, content: {jinja: a}}\n",
        &[
            "module file mine/module.yaml, resource 1, content: unknown form of content | write one of {document: NAME}, \
           {unit: dotted.name}, {nginx: dotted.name}, {haproxy: dotted.name}, {template: FILE}, {text: …}",
        ],
    );
    check(
        "format: 1\nresources:\n  - {kind: user, name: matrix, home: /}\n",
        &["module file mine/module.yaml, resource 1: user matrix is declared already"],
    );
    check(
        "format: 1\nresources:\n  - {kind: directory, path: /opt/matrix/conf/config.yaml, owner: a, group: a, mode: '0755'}\n",
        &[
            "module file mine/module.yaml, resource 1: /opt/matrix/conf/config.yaml is a file of module homeserver already",
        ],
    );
    check(
        "format: 2\nresources: []\n",
        &["module file mine/module.yaml: format 2 is not known to this synprov | write format: 1"],
    );
    check(
        "format: 1\nafter: [mine]\nresources: []\n",
        &["module file mine/module.yaml: after: these modules wait for each other: mine"],
    );
}

#[test]
fn a_folder_of_a_built_in_name_takes_its_place_and_others_follow() {
    let file = "{kind: file, path: /etc/a, owner: root, group: root, mode: '0644', set: plain, content: {template: a.txt}}";
    let resources = with(&[
        ("README.md", "not a module"),
        ("redis/module.yaml", "format: 1\nresources: []\n"),
        ("b/module.yaml", &format!("format: 1\nresources:\n  - {file}\n")),
        ("b/templates/a.txt", "for {{ synapse.server_name }}\n"),
        ("a/module.yaml", "format: 1\nafter: [b]\nresources:\n  - {kind: user, name: late, home: /}\n"),
    ])
    .unwrap();
    assert!(resources.iter().all(|one| one.address.module != "redis"));
    let order: Vec<&str> = resources.iter().map(|one| one.address.module.as_str()).collect();
    assert_eq!(order[order.len() - 3..], ["nginx", "b", "a"]);
    assert_eq!(text(&resources, "hs1", "/etc/a"), "for example.org\n");
}

#[test]
fn a_folder_without_module_yaml_is_told() {
    let errors = with(&[("mine/modul.yaml", "")]).unwrap_err();
    assert_eq!(errors[0].to_string(), "module file mine/module.yaml: this file is missing");
}

/// systemd must understand every unit, and nothing in them may be ignored.
#[test]
fn systemd_takes_every_unit() {
    if std::process::Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: no systemd-analyze on this machine");
        return;
    }
    let mut topology = one_host();
    // Programs and users must exist for the check.
    topology.venv.path = "/usr".to_owned();
    topology.user = "root".to_owned();
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for resource in expand(&Modules::builtin(), &topology).unwrap() {
        if let Body::File { path, content, .. } = &resource.body
            && let Some(name) = path.strip_prefix("/etc/systemd/system/matrix")
        {
            let target = folder.path().join(format!("matrix{name}"));
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            let text = content
                .redacted()
                .replace("/usr/bin/python\"", "/bin/true\"")
                .replace("/usr/bin/python ", "/bin/true ");
            std::fs::write(&target, text).unwrap();
        }
        if let Body::Service { unit, .. } = &resource.body
            && unit.starts_with("matrix")
        {
            units.push(folder.path().join(unit));
        }
    }
    let output = std::process::Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args(&units)
        .env("SYSTEMD_UNIT_PATH", format!("{}:/lib/systemd/system", folder.path().display()))
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = talk.lines().filter(|line| line.contains("matrix")).collect();
    assert!(output.status.success() && ours.is_empty(), "{talk}");
}

#[test]
fn the_example_of_a_module_works_as_it_is() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/custom-module");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let paths = ["module.yaml", "templates/cleanup.service", "templates/cleanup.timer"];
    let files: BTreeMap<String, String> = paths
        .iter()
        .map(|path| format!("media-cleanup/{path}"))
        .map(|path| (path.clone(), read(&path)))
        .collect();
    let modules = Modules::with_overrides(Modules::builtin(), files).unwrap();
    let resources = expand(&modules, &one_host()).unwrap();
    let unit = text(&resources, "hs1", "/etc/systemd/system/matrix_media_cleanup.service");
    assert!(unit.contains("find /opt/matrix/data/media_store -mindepth 2"), "{unit}");
    let last: Vec<String> = resources.iter().rev().take(1).map(|one| one.address.to_string()).collect();
    assert_eq!(last, ["hs1/media-cleanup/service:matrix_media_cleanup.timer"]);
}
