//! What a step does, in one line for people.

use super::backup::Kept;
use super::step::{Action, MediaProbe, StagedFile, Startable};
use crate::resource::FileSet;

impl Action {
    /// One line for people: `restart matrix_main.service`.
    pub fn title(&self) -> String {
        let count = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
        match self {
            Action::InstallPackages { packages } => format!("install packages {}", packages.join(", ")),
            Action::CreateUser { name, .. } => format!("create user {name}"),
            Action::MakeDirectories { directories } => match directories.as_slice() {
                [only] => format!("make directory {}", only.path),
                all => format!("make {} directories", all.len()),
            },
            Action::GenerateSecret { file, from: None, .. } => format!("generate secret {}", file.name),
            Action::GenerateSecret { file, from: Some(from), .. } => {
                let key = from.key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default();
                format!("take over secret {} from {}{key}", file.name, from.path)
            }
            Action::PutSecret { file, origin: Some(host) } => {
                format!("put secret {} in place, value from {host}", file.name)
            }
            Action::PutSecret { file, origin: None } => {
                format!("put secret {} in place, value from here", file.name)
            }
            Action::BuildVenv { path, resolves, offline, .. } => {
                let from = if *offline { " from the wheelhouse" } else { "" };
                let resolving = format!(", resolving its packages {}", super::values::KNOWN_AFTER_APPLY);
                let resolving = if *resolves { &resolving } else { "" };
                format!("build {path}{from}{resolving}, beside what follows")
            }
            Action::Stage { set, files, .. } => {
                format!("stage {}", staged(*set, files))
            }
            Action::Validate { set, .. } => format!("validate {} as if in place", noun(*set)),
            Action::CheckRoutes { version, .. } => {
                format!("validate Synapse files as if in place, check the routes against Synapse {version}")
            }
            Action::Swap { set, files, gone, .. } => {
                let put = format!("put {} in place", staged(*set, files));
                match (files.as_slice(), gone.as_slice()) {
                    (_, []) => put,
                    ([], [(path, _)]) => format!("remove {path}"),
                    ([], gone) => format!("remove {} {}", gone.len(), noun(*set)),
                    (_, [(path, _)]) => format!("{put}, remove {path}"),
                    (_, gone) => format!("{put}, remove {}", gone.len()),
                }
            }
            Action::RaiseDirective { path, directive, value, .. } => {
                format!("raise {directive} to {value} in {path}")
            }
            Action::DaemonReload => "reload systemd's units".to_owned(),
            Action::PreparePostgresql { database, restart, .. } => {
                format!(
                    "prepare PostgreSQL for database {database}{}",
                    if restart.is_some() { ", RESTARTING PostgreSQL" } else { "" }
                )
            }
            Action::CheckPostgresql { .. } => "check the external PostgreSQL".to_owned(),
            Action::BackUp { kept, to, .. } => {
                let what = match kept {
                    Kept::Database(database) => format!("database {database}"),
                    Kept::Files(paths) => format!("configuration, secrets and record ({})", paths.join(", ")),
                };
                format!("back up {what} to {to}")
            }
            Action::ProbeMedia { probe, path, others, .. } => match probe {
                MediaProbe::Clear => format!("remove marks in {path}"),
                MediaProbe::Mark => format!("write a mark into {path}"),
                MediaProbe::Look => format!("look for the marks of {} in {path}", others.join(", ")),
            },
            Action::Start { services } => format!("start {}", units(services)),
            Action::Restart { service } => format!("restart {}", service.unit),
            Action::Reload { service } | Action::Reread { service } => format!("reload {}", service.unit),
            Action::Route { away, service, .. } => {
                let proxy = service.unit.trim_end_matches(".service");
                if away.is_empty() {
                    format!("have {proxy} route to all again")
                } else {
                    format!("have {proxy} route around {}", away.join(", "))
                }
            }
            Action::Drain { unit, seconds, .. } => {
                format!("wait until requests to {unit} have ended, {seconds} s at most")
            }
            Action::Enable { units } => format!("enable {}", units.join(", ")),
            Action::Disable { units } => format!("disable {}", units.join(", ")),
            Action::Stop { unit, disable, .. } => {
                format!("stop {}{unit}", if *disable { "and disable " } else { "" })
            }
            Action::Remove { files, directories, .. } => match (files.as_slice(), directories.as_slice()) {
                ([(path, _)], []) => format!("remove {path}"),
                ([], [path]) => format!("remove {path}"),
                (files, []) => format!("remove {} files", files.len()),
                (files, directories) => {
                    let files = count(files.len(), "file", "files");
                    format!("remove {files} and {}", count(directories.len(), "directory", "directories"))
                }
            },
        }
    }
}

/// What the files of a set are called.
fn noun(set: FileSet) -> &'static str {
    match set {
        FileSet::Redis => "Redis files",
        FileSet::Synapse => "Synapse files",
        FileSet::Systemd => "unit files",
        FileSet::Nginx => "nginx files",
        FileSet::Haproxy => "HAProxy files",
        FileSet::Plain => "files",
    }
}

/// One file by its path, several by their number.
fn staged(set: FileSet, files: &[StagedFile]) -> String {
    match files {
        [only] => only.path.clone(),
        all => format!("{} {}", all.len(), noun(set)),
    }
}

/// A few by name, more by their number: whoever shows the step has the names.
fn units(services: &[Startable]) -> String {
    if services.len() > 4 {
        return format!("{} services", services.len());
    }
    services.iter().map(|service| service.unit.as_str()).collect::<Vec<_>>().join(", ")
}
