//! The table of built-in module files, compiled in.
//!
//! A test holds it against the folder `modules/`: a file that is missing here would be missing
//! in the program. Never in this file: anything but the table.

/// Names of the built-in modules in the order in which they are expanded.
pub(super) const ORDER: [&str; 8] =
    ["postgresql", "redis", "venv", "homeserver", "worker", "systemd", "nginx", "haproxy"];

macro_rules! table {
    ($($path:literal),* $(,)?) => {
        /// Path below `modules/`, and text.
        pub(super) const FILES: &[(&str, &str)] =
            &[$(($path, include_str!(concat!("../../modules/", $path)))),*];
    };
}

table![
    "haproxy/module.yaml",
    "haproxy/units/haproxy.yaml",
    "homeserver/module.yaml",
    "nginx/module.yaml",
    "nginx/templates/limits.conf",
    "postgresql/module.yaml",
    "redis/module.yaml",
    "systemd/module.yaml",
    "systemd/templates/needrestart.conf",
    "systemd/units/main.yaml",
    "systemd/units/media.yaml",
    "systemd/units/process.yaml",
    "systemd/units/target.yaml",
    "systemd/units/worker.yaml",
    "venv/module.yaml",
    "worker/module.yaml",
];

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests read the folder itself")]
mod tests {
    use std::path::Path;

    fn walk(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_file_that_modules_use_is_compiled_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.retain(|path| {
            path.ends_with("module.yaml") || path.contains("/units/") || path.contains("/templates/")
        });
        found.sort();
        assert_eq!(found, super::FILES.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>());
    }
}
