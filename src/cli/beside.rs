//! Files beside the inventory that it names: registrations of application services, files for hosts, wheels.

use std::path::Path;

use crate::diagnostic::Diagnostic;
use crate::inventory::registration::{self, Registration};
use crate::inventory::{Inventory, WheelName};

/// Registration files of the inventory's application services, which lie on this machine.
pub(super) fn registrations(inventory: &Inventory, path: &Path) -> Vec<Diagnostic> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    let mut texts = Vec::new();
    for (name, service) in &inventory.synapse.appservices {
        let file = &service.value.file;
        match std::fs::read(folder.join(file)) {
            Ok(bytes) => texts.push((name, String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) => found.push(
                Diagnostic::error(
                    service.span,
                    format!("cannot read {file} of appservice {name:?}: {error}"),
                )
                .help(format!("file: is relative to the inventory: {}", folder.join(file).display())),
            ),
        }
    }
    let files: Vec<_> = texts.iter().map(|(name, text)| Registration { name, text }).collect();
    for (name, problem) in registration::check(&files) {
        let Some(service) = inventory.synapse.appservices.get(name) else { continue };
        found.push(
            Diagnostic::error(service.span, format!("registration of appservice {name:?}: {problem}"))
                .help(format!("mend {}: Synapse does not start with it", service.value.file)),
        );
    }
    found
}

/// Largest file of the admin's own, bytes: it travels with every plan.
const MOST: u64 = 1 << 20;

/// Reads the files that the inventory delivers to hosts.
pub(super) fn deliver(inventory: &mut Inventory, path: &Path, diagnostics: &mut Vec<Diagnostic>) {
    for (name, file) in &mut inventory.synapse.files {
        let source = &file.value.source;
        let from = path.with_file_name(&source.value);
        let text = match std::fs::metadata(&from) {
            Ok(found) if found.len() > MOST => Err(format!("is larger than {} MB", MOST >> 20)),
            Ok(_) => std::fs::read_to_string(&from).map_err(|error| format!("cannot be read: {error}")),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match text {
            Ok(text) => file.value.text = Some(text),
            Err(why) => diagnostics.push(
                Diagnostic::error(source.span, format!("the source of file {name:?} {why}"))
                    .help("write the path of a text file, relative to the inventory"),
            ),
        }
    }
}

/// Looks which wheels there are. What is in them is read when a host lacks them.
pub(super) fn look_for_wheels(inventory: &mut Inventory, path: &Path, diagnostics: &mut Vec<Diagnostic>) {
    let Some(house) = &mut inventory.synapse.wheelhouse else { return };
    let directory = path.with_file_name(&house.path.value);
    let entries = std::fs::read_dir(&directory).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let wheels = entries.map(|entries| {
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut wheels: Vec<String> = names.filter(|name| WheelName::parse(name).is_some()).collect();
        wheels.sort();
        wheels
    });
    let problem = match wheels {
        Ok(wheels) if wheels.is_empty() => "has no wheels".to_owned(),
        Ok(wheels) => {
            house.wheels = Some(wheels);
            house.directory = Some(directory.to_string_lossy().into_owned());
            return;
        }
        Err(error) => format!("cannot be read: {error}"),
    };
    diagnostics.push(
        Diagnostic::error(house.path.span, format!("the wheelhouse {} {problem}", directory.display()))
            .help("write a directory with .whl files, relative to the inventory; docs/offline.md tells how they are fetched"),
    );
}
