//! A step as the bash code and the bytes that its host does it with (`host/*.sh` has the functions).

use indexmap::IndexMap;

use super::frame::Frame;
use super::quote::{QuoteError, render, shell};
use crate::inventory::Installer;
use crate::plan::backup::{Destination, Kept};
use crate::plan::step::{Action, MediaProbe, SecretFile, StagedFile, Startable, SynapseCheck};
use crate::resource::{FileSet, Ready};
use crate::secret::Secret;
use crate::topology::registered::SCRIPT;

impl Frame {
    /// Waits until these services run and are ready, whenever they were started.
    pub fn ready(&mut self, services: &[Startable], seconds: u32) {
        for service in services {
            // Whatever takes long has had its time.
            let ready = Ready { unlimited: false, ..service.ready.clone() };
            self.ready_seconds = seconds;
            self.await_ready(&Startable { ready, ..service.clone() }, "");
        }
    }

    /// Appends what `action` does. A service other than main may take `ready_seconds`; `secret` gives
    /// values, only staging and secrets ask for them.
    ///
    /// `resolved`: sets of Python packages that pip chose earlier in this apply, by Python tag.
    /// `before`: record lines that hold again if a set could not be put in place.
    pub fn act(
        &mut self,
        action: &Action,
        ready_seconds: u32,
        secret: impl Fn(&str) -> Option<Secret>,
        resolved: &IndexMap<String, Vec<String>>,
        before: &str,
    ) -> Result<(), QuoteError> {
        self.ready_seconds = ready_seconds;
        match action {
            Action::InstallPackages { packages } => {
                self.call(["install_packages"].into_iter().chain(packages.iter().map(String::as_str)));
            }
            Action::CreateUser { name, home } => self.call(["create_user", name, home]),
            Action::MakeDirectories { directories } => {
                for made in directories {
                    self.call(["make_directory", &made.path, &made.owner, &made.group, &made.mode]);
                }
            }
            Action::GenerateSecret { file, shape, from } => {
                let SecretFile { name, path, owner, group, mode } = file;
                match from {
                    None => self.call(["generate_secret", name, path, owner, group, mode, shape]),
                    Some(found) => {
                        let key = found.key.as_deref().unwrap_or_default();
                        let how = [found.path.as_str(), key, &found.user, &found.python];
                        let file = ["take_secret", name, path, owner, group, mode];
                        self.call(file.into_iter().chain(how));
                    }
                }
            }
            Action::PutSecret { file, .. } => {
                let value = secret(&file.name).ok_or_else(|| QuoteError::Missing(file.name.clone()))?;
                let [offset, length] = self.attach(value.expose());
                let SecretFile { name, path, owner, group, mode } = file;
                self.call(["put_secret", name, path, owner, group, mode, &offset, &length]);
            }
            Action::BuildVenv { path, requirements, constraints, locked, installer, offline, .. } => {
                let known =
                    locked.iter().chain(resolved.iter().filter(|(tag, _)| !locked.contains_key(*tag)));
                if *offline {
                    self.call(["from_wheelhouse"]);
                }
                self.venv(path, requirements, constraints, *installer, known);
            }
            Action::Stage { set, files, gone } => {
                self.stage(*set, files, secret)?;
                for path in gone {
                    self.call(["stage_absence", set.name(), path]);
                }
            }
            Action::Validate { set, over, synapse, files, links } => {
                let directories = over.iter().map(String::as_str);
                match (set, synapse) {
                    (FileSet::Nginx, _) => self.call(["validate_nginx"].into_iter().chain(directories)),
                    (FileSet::Systemd, _) => {
                        let units = files.iter().map(String::as_str);
                        let words = ["validate_systemd"].into_iter().chain(directories);
                        self.call(words.chain(["--"]).chain(units));
                    }
                    (FileSet::Haproxy, _) => {
                        let files = files.iter().map(String::as_str);
                        let links = links.iter().flat_map(|(to, at)| [to.as_str(), at.as_str()]);
                        let words = ["validate_haproxy"].into_iter().chain(directories);
                        self.call(words.chain(["--"]).chain(files).chain(["--"]).chain(links));
                    }
                    (FileSet::Synapse, Some(check)) => self.ask_synapse("validate_synapse", check, over),
                    _ => {}
                }
            }
            Action::CheckRoutes { over, check, .. } => {
                self.ask_synapse("check_routes", check, over);
            }
            Action::Swap { set, files, gone, .. } => self.swap(*set, files, gone, before),
            Action::RaiseDirective { path, directive, value, .. } => {
                self.call(["raise_directive", path, directive, &value.to_string()]);
            }
            Action::DaemonReload => self.call(["systemctl", "daemon-reload"]),
            Action::PreparePostgresql { role, password_file, database, settings, peers, restart } => {
                self.call(["wait_for_postgresql"]);
                for (name, value) in settings {
                    self.call(["postgresql_setting", name, value]);
                }
                if let Some(service) = restart {
                    self.call(["systemctl", "restart", "--", &service.unit]);
                    self.call(["wait_for_postgresql"]);
                    self.await_ready(service, "");
                }
                self.call(["postgresql_role", role, password_file]);
                self.call(["postgresql_database", database, role]);
                let peers = peers.iter().map(String::as_str);
                self.call(["postgresql_peers", role, database].into_iter().chain(peers));
            }
            Action::CheckPostgresql { python, user, conninfo } => {
                self.call(["check_postgresql", user, python, conninfo]);
            }
            Action::BackUp { kept, to, name } => {
                let (kind, to) = match to {
                    Destination::Directory(path) => ("directory", path.as_str()),
                    Destination::Command(command) => ("command", command.as_str()),
                };
                match kept {
                    Kept::Database(database) => self.call(["back_up_database", name, kind, to, database]),
                    Kept::Files(paths) => {
                        let words = ["back_up_files", name, kind, to].into_iter();
                        self.call(words.chain(paths.iter().map(String::as_str)));
                    }
                }
            }
            Action::ProbeMedia { probe, path, user, host, others } => match probe {
                MediaProbe::Clear => self.call(["clear_marks", path, user]),
                MediaProbe::Mark => self.call(["write_mark", path, user, host]),
                MediaProbe::Look => {
                    let others = others.iter().map(String::as_str);
                    self.call(["find_marks", path, user, host].into_iter().chain(others));
                }
            },
            Action::Start { services } => self.start(services),
            Action::Restart { service } => self.restart(service),
            Action::Reload { service } => {
                self.call(["reload_unit", &service.unit]);
                self.await_ready(service, "");
            }
            Action::Reread { service } => {
                self.call(["reread_unit", &service.unit]);
                self.await_ready(service, "");
            }
            Action::Route { set, file, over, links, service, .. } => {
                self.route(*set, file, over, links, before)?;
                self.call(["reload_unit", &service.unit]);
                self.await_ready(service, "");
            }
            Action::Drain { unit, listener, seconds } => {
                self.call(["drain", listener, &seconds.to_string(), unit]);
            }
            Action::Enable { units } => {
                self.call(["enable_units"].into_iter().chain(units.iter().map(String::as_str)));
            }
            Action::Disable { units } => {
                let words = ["systemctl", "disable", "--quiet", "--"].into_iter();
                self.call(words.chain(units.iter().map(String::as_str)));
            }
            Action::Stop { unit, ports, drain_seconds, disable } => {
                for port in ports {
                    self.call(["drain", &port.to_string(), &drain_seconds.to_string()]);
                }
                self.call(["stop_unit", unit, if *disable { "disable" } else { "keep" }]);
            }
            Action::Remove { files, directories, .. } => {
                for (path, copy) in files {
                    self.call(["remove_file", path, if *copy { "copy" } else { "drop" }]);
                }
                for path in directories {
                    self.call(["remove_directory", path]);
                }
            }
        }
        Ok(())
    }

    /// A call that starts Synapse's code with the staged files laid over these directories.
    fn ask_synapse(&mut self, call: &str, check: &SynapseCheck, over: &[String]) {
        let [offset, length] = self.attach(SCRIPT.as_bytes());
        let (asked, modules) = (check.asked(), check.modules.as_deref().unwrap_or_default());
        let words = [call, &check.user, &check.python, &asked, modules, &offset, &length];
        self.call(words.into_iter().chain(over.iter().map(String::as_str)));
    }

    fn venv<'a>(
        &mut self,
        path: &str,
        requirements: &[String],
        constraints: &[String],
        installer: Installer,
        known: impl Iterator<Item = (&'a String, &'a Vec<String>)>,
    ) {
        self.call(["new_venv", path]);
        let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let mut words = vec!["fill_venv".to_owned(), path.to_owned(), installer.word().to_owned()];
        words.extend(self.attach(lines(requirements).as_bytes()));
        words.extend(self.attach(lines(constraints).as_bytes()));
        for (tag, set) in known {
            words.push(tag.clone());
            words.extend(self.attach(lines(set).as_bytes()));
        }
        self.call(words.iter().map(String::as_str));
        self.call(["seal_venv", path]);
    }

    fn stage(
        &mut self,
        set: FileSet,
        files: &[StagedFile],
        secret: impl Fn(&str) -> Option<Secret>,
    ) -> Result<(), QuoteError> {
        for file in files {
            let content = render(&file.content, &secret)?;
            let [offset, length] = self.attach(content.expose());
            let StagedFile { path, owner, group, mode, .. } = file;
            self.call(["stage_file", set.name(), path, owner, group, mode, &offset, &length]);
        }
        Ok(())
    }

    fn swap(&mut self, set: FileSet, files: &[StagedFile], gone: &[(String, bool)], before: &str) {
        let secretful = || files.iter().filter(|file| !file.content.secrets().is_empty());
        for file in secretful() {
            self.call(["remember_digest", set.name(), &file.path, &file.digest]);
        }
        for (path, _) in gone.iter().filter(|(_, copy)| *copy) {
            self.call(["keep_copy", path]);
        }
        let words = ["swap", set.name()].into_iter().chain(files.iter().map(|file| file.path.as_str()));
        let words = words.chain(["--"]).chain(gone.iter().map(|(path, _)| path.as_str()));
        self.or_as_before(words, before);
        for file in secretful() {
            let [offset, length] = self.attach(file.content.redacted().as_bytes());
            self.call(["remember_text", &file.path, &offset, &length]);
        }
    }

    /// One file of a proxy, beside whatever else is staged of its set.
    fn route(
        &mut self,
        set: FileSet,
        file: &StagedFile,
        over: &str,
        links: &[(String, String)],
        before: &str,
    ) -> Result<(), QuoteError> {
        let content = render(&file.content, |_| None)?;
        let [offset, length] = self.attach(content.expose());
        let StagedFile { path, owner, group, mode, .. } = file;
        self.call(["stage_file", "route", path, owner, group, mode, &offset, &length]);
        let mut words = vec!["validate_route", set.name(), over];
        if set == FileSet::Haproxy {
            words.extend(["--", path, "--"]);
            words.extend(links.iter().flat_map(|(to, at)| [to.as_str(), at.as_str()]));
        }
        self.or_as_before(words.into_iter(), before);
        self.or_as_before(["swap", "route", path, "--"].into_iter(), before);
        Ok(())
    }

    /// A call that changes all or nothing. Status 1, nothing: the record says again what it said `before`.
    fn or_as_before<'w>(&mut self, words: impl Iterator<Item = &'w str>, before: &str) {
        let words: Vec<String> = words.map(shell).collect();
        let [offset, length] = self.attach(before.as_bytes());
        let words = words.join(" ");
        self.code
            .push_str(&format!("{words} || {{ (($? != 1)) || record_append {offset} {length}; exit 1; }}\n"));
    }

    fn start(&mut self, services: &[Startable]) {
        // What runs already (a package started it) has no new InvocationID to wait for.
        for (index, service) in services.iter().enumerate() {
            let how = if service.ready.unlimited { "join" } else { "anew" };
            let unit = shell(&service.unit);
            self.code.push_str(&format!("old_{index}=$(old_invocation {unit} {how}) || exit 1\n"));
        }
        self.call(["start_units"].into_iter().chain(services.iter().map(|service| service.unit.as_str())));
        for (index, service) in services.iter().enumerate() {
            self.await_ready(service, &format!("\"$old_{index}\""));
        }
    }

    fn restart(&mut self, service: &Startable) {
        let unit = shell(&service.unit);
        self.code.push_str(&format!("old=$(property {unit} InvocationID) || exit 1\n"));
        self.call(["restart_unit", &service.unit]);
        self.await_ready(service, "\"$old\"");
    }

    /// `old`: a shell expression for the InvocationID that is not the new one; empty: any will do.
    fn await_ready(&mut self, service: &Startable, old: &str) {
        let ready = &service.ready;
        let deadline = if ready.unlimited { 0 } else { self.ready_seconds };
        let old = if old.is_empty() { "''" } else { old };
        let conditions: Vec<String> = ready.conditions().iter().map(|condition| shell(condition)).collect();
        let unit = shell(&service.unit);
        self.code.push_str(&format!("await {unit} {old} {deadline} {} || exit 1\n", conditions.join(" ")));
    }
}
