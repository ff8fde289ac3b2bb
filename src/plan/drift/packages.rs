//! Packages that the distribution renewed, and files of a venv that are not pip's.

use super::Host;
use super::finding::{Class, Finding, What, quoted};
use crate::resource::Body;

/// Packages whose files were put in place since the last apply: information, unless they are on hold.
pub(super) fn packages(host: &Host<'_>, found: &mut Vec<Finding>) {
    let Some(applied) = host.facts.watched.applied else { return };
    for resource in &host.resources {
        let Body::Packages { packages, .. } = &resource.body else { continue };
        for name in packages {
            let Some(package) = host.facts.watched.packages.get(name) else { continue };
            if package.installed <= applied {
                continue;
            }
            let version = host.facts.packages.get(name).map_or("", String::as_str);
            let (class, summary) = if package.held {
                (Class::Drift, format!("it is on hold, and is {version} since the last apply"))
            } else {
                (Class::Information, format!("it was renewed to {version}"))
            };
            let one = Finding::new(host.name, "packages", name, What::Renewed, summary)
                .module(&resource.address.module)
                .class(class)
                .since(package.installed);
            let advice = "put the version back that should be kept (/var/log/dpkg.log names it), or `apt-mark unhold` it";
            found.push(if package.held { one.advice(advice) } else { one });
        }
    }
}

/// Files of a sealed venv that were edited, added or removed.
pub(super) fn venvs(host: &Host<'_>, found: &mut Vec<Finding>) {
    for (venv, files) in &host.facts.watched.venvs {
        if files.is_empty() || found.iter().any(|other| other.kind == "venv" && other.name == *venv) {
            continue;
        }
        let count = if files.len() == 1 { "a file".to_owned() } else { format!("{} files", files.len()) };
        let mut one =
            Finding::new(host.name, "venv", venv, What::Content, format!("somebody changed {count} of it"))
                .module("venv")
                .since(files.iter().map(|file| file.changed).max())
                .remedy(
                    format!("rm -f {}/.synprov-complete", quoted(venv)),
                    "after the command, `synprov apply` builds it anew",
                );
        for file in files {
            let (expected, how) = match file.how.as_str() {
                "added" => (None, Some("not pip's")),
                "gone" => (Some("as pip put it there"), None),
                _ => (Some("as pip put it there"), Some("edited")),
            };
            one = one.differs(&file.path, expected, how);
        }
        found.push(one);
    }
}
