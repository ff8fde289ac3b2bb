//! A set of modules: folders of text by name, in the order in which they are expanded.
//!
//! Never in this file: what the texts mean, reading directories.

use std::collections::{BTreeMap, BTreeSet};

use super::declaration::ModuleFile;
use super::{ModuleError, builtin};

/// Modules by name with all their files, as text.
#[derive(Debug, Clone)]
pub struct Modules {
    /// Built-in ones first, in their fixed order; then the user's by name.
    pub(super) modules: Vec<Module>,
}

/// One folder.
#[derive(Debug, Clone)]
pub(super) struct Module {
    pub name: String,
    /// Texts by path inside the folder: `module.yaml`, `units/main.yaml`.
    pub files: BTreeMap<String, String>,
}

impl Modules {
    /// The modules that are compiled in.
    pub fn builtin() -> Self {
        let module = |name: &str| Module {
            name: name.to_owned(),
            files: builtin::FILES
                .iter()
                .filter_map(|(path, text)| {
                    let (folder, rest) = path.split_once('/')?;
                    (folder == name).then(|| (rest.to_owned(), (*text).to_owned()))
                })
                .collect(),
        };
        Self { modules: builtin::ORDER.into_iter().map(module).collect() }
    }

    /// `builtin` with the user's folders: one with a built-in name takes that module's place as a
    /// whole, any other is added.
    ///
    /// `files`: text by path relative to the user's directory, `/` between parts:
    /// `nginx/module.yaml`. Files beside the folders (a README) are ignored.
    /// Errors: a folder without `module.yaml`.
    pub fn with_overrides(builtin: Self, files: BTreeMap<String, String>) -> Result<Self, Vec<ModuleError>> {
        let mut folders: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (path, text) in files {
            if let Some((folder, rest)) = path.split_once('/') {
                folders.entry(folder.to_owned()).or_default().insert(rest.to_owned(), text);
            }
        }
        let errors: Vec<ModuleError> = folders
            .iter()
            .filter(|(_, files)| !files.contains_key("module.yaml"))
            .map(|(name, _)| {
                ModuleError::file(format!("{name}/module.yaml"), "this file is missing").with_help(
                    "a folder is a module when it holds module.yaml; put other files beside the folders",
                )
            })
            .collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut modules = builtin.modules;
        for (name, files) in folders {
            match modules.iter_mut().find(|module| module.name == name) {
                Some(module) => module.files = files,
                None => modules.push(Module { name, files }),
            }
        }
        Ok(Self { modules })
    }

    /// Every module with its parsed `module.yaml`, in the order in which they are expanded: the
    /// built-in ones as they stand, each of the user's after those it names in `after:`, by name
    /// where that leaves a choice.
    pub(super) fn ordered(&self) -> Result<Vec<(&Module, ModuleFile)>, Vec<ModuleError>> {
        let mut errors = Vec::new();
        let mut waiting = Vec::new();
        for module in &self.modules {
            match ModuleFile::parse(module) {
                Ok(file) => waiting.push((module, file)),
                Err(error) => errors.push(error),
            }
        }
        let known: BTreeSet<&str> = self.modules.iter().map(|module| module.name.as_str()).collect();
        for (module, file) in &waiting {
            for name in file.after.iter().filter(|name| !known.contains(name.as_str())) {
                let names: Vec<&str> = known.iter().copied().collect();
                errors.push(
                    ModuleError::file(
                        format!("{}/module.yaml", module.name),
                        format!("after: there is no module {name:?}"),
                    )
                    .with_help(format!("modules are: {}", names.join(", "))),
                );
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut ordered: Vec<(&Module, ModuleFile)> = Vec::new();
        while !waiting.is_empty() {
            let done = |name: &String| ordered.iter().any(|(module, _)| &module.name == name);
            let Some(index) = waiting.iter().position(|(_, file)| file.after.iter().all(done)) else {
                let names: Vec<&str> = waiting.iter().map(|(module, _)| module.name.as_str()).collect();
                let first = format!("{}/module.yaml", names[0]);
                let text = format!("after: these modules wait for each other: {}", names.join(", "));
                return Err(vec![ModuleError::file(first, text)]);
            };
            ordered.push(waiting.remove(index));
        }
        Ok(ordered)
    }
}
