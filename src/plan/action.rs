//! The acts that steps are made of: how each is done is `apply/code.rs`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::backup::{Destination, Kept};
use super::step::{MadeDirectory, SecretFile, StagedFile, Startable, SynapseCheck, TakenFrom};
use crate::inventory::Installer;
use crate::resource::FileSet;

/// The closed set of acts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// `apt-get install`; the packages' own services are not started by it.
    InstallPackages {
        /// Package names.
        packages: Vec<String>,
    },
    /// System user and group.
    CreateUser {
        /// Name of both.
        name: String,
        /// Home directory, not created.
        home: String,
    },
    /// Directories, parents first.
    MakeDirectories {
        /// What they should be.
        directories: Vec<MadeDirectory>,
    },
    /// A secret that no host has at its place yet: a new random one, or one that lay elsewhere. Never
    /// overwrites one.
    GenerateSecret {
        /// Its file.
        file: SecretFile,
        /// `token` or `signing_key`.
        shape: String,
        /// Where it lies; `None`: it is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TakenFrom>,
    },
    /// A secret brought from its origin through memory.
    PutSecret {
        /// Its file.
        file: SecretFile,
        /// Host it comes from; `None`: the controller.
        origin: Option<String>,
    },
    /// A Python environment at its final path, imported once as a test.
    BuildVenv {
        /// `/opt/matrix/venvs/VERSION-HASH`.
        path: String,
        /// What pip is asked for.
        requirements: Vec<String>,
        /// pip constraints.
        constraints: Vec<String>,
        /// The sets of the lock by Python tag: lines of a requirements file with hashes.
        #[serde(skip)]
        locked: IndexMap<String, Vec<String>>,
        /// The lock has no set for this host's Python yet: pip chooses, and the lock will have it.
        resolves: bool,
        /// Which program fills it.
        #[serde(default)]
        installer: Installer,
        /// The packages come from the wheelhouse alone; the host gets those that it lacks first.
        #[serde(default)]
        offline: bool,
    },
    /// Brings the files of a set to the host, not yet in place.
    Stage {
        /// The set.
        set: FileSet,
        /// The files.
        files: Vec<StagedFile>,
        /// Paths that go together with this set: the validation does not see them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gone: Vec<String>,
    },
    /// Checks the staged set as if it were in place; stops before anything changed.
    Validate {
        /// The set.
        set: FileSet,
        /// Directories the staged tree is laid over, in a private mount namespace.
        over: Vec<String>,
        /// Synapse: user, interpreter, and the configuration paths of every process on the host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        synapse: Option<SynapseCheck>,
        /// systemd: unit files. HAProxy: its configuration.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<String>,
        /// HAProxy: links that its unit makes when it starts: to what, where.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        links: Vec<(String, String)>,
    },
    /// Asks the installed Synapse whether it accepts the configuration of processes and what they serve, with the
    /// staged files as if in place, and holds the routes against it; stops before anything changed. It stands in for
    /// [`Action::Validate`] of Synapse's set: starting Synapse's code is what takes long.
    CheckRoutes {
        /// Directories the staged tree is laid over, in a private mount namespace.
        over: Vec<String>,
        /// Main, and the processes of this host; of these only who starts again, if all else was checked before.
        check: SynapseCheck,
        /// Version of Synapse, for messages.
        version: String,
    },
    /// Puts the staged files in place, all of them or none.
    Swap {
        /// The set.
        set: FileSet,
        /// Their paths.
        files: Vec<StagedFile>,
        /// Files that go in the same act, with whether a copy is kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gone: Vec<(String, bool)>,
        /// Services that have to restart because of it, with the reason: owed from here on.
        owes: Vec<(String, String)>,
    },
    /// Raises a number in a package's own file.
    RaiseDirective {
        /// Absolute path.
        path: String,
        /// `worker_connections`.
        directive: String,
        /// New value.
        value: u64,
        /// Services that have to take it over, with the reason: owed from here on.
        owes: Vec<(String, String)>,
    },
    /// `systemctl daemon-reload`.
    DaemonReload,
    /// Role, password, database, settings, peers.
    PreparePostgresql {
        /// Role.
        role: String,
        /// Secret's file on this host.
        password_file: String,
        /// Database.
        database: String,
        /// Settings to be made.
        settings: Vec<(String, String)>,
        /// Peers to be let in; replaces our block.
        peers: Vec<String>,
        /// The settings only work after a restart of this service, which this step then does.
        restart: Option<Startable>,
    },
    /// Asks an external PostgreSQL for version, locale and log-in, with the venv's own driver.
    CheckPostgresql {
        /// Interpreter.
        python: String,
        /// User to run as.
        user: String,
        /// libpq connection string without password.
        conninfo: String,
    },
    /// A copy of what cannot be made again, checked.
    BackUp {
        /// Of what.
        kept: Kept,
        /// To where.
        to: Destination,
        /// How it begins: the server name.
        name: String,
    },
    /// One act of the probe whether hosts share a media store.
    ProbeMedia {
        /// Which act.
        probe: MediaProbe,
        /// The store.
        path: String,
        /// User that Synapse runs as.
        user: String,
        /// This host.
        host: String,
        /// The hosts that must see its mark, and whose marks it must see.
        others: Vec<String>,
    },
    /// Starts services and enables them, side by side, and waits until each is ready.
    Start {
        /// The services.
        services: Vec<Startable>,
    },
    /// Restarts one service and waits until it is ready.
    Restart {
        /// The service.
        service: Startable,
    },
    /// Reloads a service that takes its configuration over by new worker processes, and verifies that it did.
    Reload {
        /// The service.
        service: Startable,
    },
    /// Has a Synapse process read its log configuration and its cache factors again, and waits until it says
    /// that it has.
    Reread {
        /// The service.
        service: Startable,
    },
    /// Has a proxy route nothing to some processes, and to all others: one of its files put in place,
    /// validated as if it were, and a verified reload.
    Route {
        /// The set that the file is of.
        set: FileSet,
        /// The file as it stands, with marks on the servers that get no requests.
        file: StagedFile,
        /// Directory that it is laid over when it is validated.
        over: String,
        /// HAProxy: links that its unit makes when it reloads: to what, where.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        links: Vec<(String, String)>,
        /// The proxy.
        service: Startable,
        /// Names of the processes that nothing is routed to; none: all get requests again.
        away: Vec<String>,
    },
    /// Waits until no connection to a process' listener is left.
    Drain {
        /// Its unit.
        unit: String,
        /// `ADDRESS:PORT` or `unix:/PATH`.
        listener: String,
        /// Deadline, seconds; what has not ended then is cut off by what comes next.
        seconds: u32,
    },
    /// Enables services that run already.
    Enable {
        /// Units.
        units: Vec<String>,
    },
    /// Has services not start at boot; what runs goes on.
    Disable {
        /// Units.
        units: Vec<String>,
    },
    /// Waits for requests in flight, stops, disables, verifies that it is gone.
    Stop {
        /// Unit.
        unit: String,
        /// Listeners whose connections must have ended first, at most for `drain_seconds`.
        ports: Vec<u16>,
        /// Deadline for the requests in flight.
        drain_seconds: u32,
        /// `false`: it starts again later in this plan.
        disable: bool,
    },
    /// Removes files and empty directories that left the inventory.
    Remove {
        /// Files, with whether a copy is kept.
        files: Vec<(String, bool)>,
        /// Directories, deepest first.
        directories: Vec<String>,
        /// Services that have to take it over, with the reason: owed from here on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        owes: Vec<(String, String)>,
    },
}

/// The acts of the probe whether hosts share a media store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaProbe {
    /// Removes all marks.
    Clear,
    /// Writes this host's mark.
    Mark,
    /// Looks for the marks of the others.
    Look,
}

impl Action {
    /// Services that owe a restart or a reload once this is done: address, reason.
    pub fn owes(&self) -> &[(String, String)] {
        match self {
            Action::Swap { owes, .. } | Action::RaiseDirective { owes, .. } | Action::Remove { owes, .. } => {
                owes
            }
            _ => &[],
        }
    }

    /// Whether it only makes ready what nothing that runs reads yet: if it fails, all is as it was.
    pub fn prepares(&self) -> bool {
        matches!(
            self,
            Action::InstallPackages { .. }
                | Action::CreateUser { .. }
                | Action::MakeDirectories { .. }
                | Action::GenerateSecret { .. }
                | Action::PutSecret { .. }
                | Action::BuildVenv { .. }
                | Action::Stage { .. }
                | Action::Validate { .. }
                | Action::CheckRoutes { .. }
                | Action::CheckPostgresql { .. }
                | Action::BackUp { .. }
                | Action::ProbeMedia { .. }
        )
    }

    /// Whether it takes long and shares nothing with what else a host does: it is done beside that.
    pub fn is_beside(&self) -> bool {
        matches!(self, Action::BuildVenv { .. })
    }

    /// Units that are running and ready when this has succeeded: their new start is known then.
    pub fn awaited(&self) -> Vec<&str> {
        match self {
            Action::Start { services } => services.iter().map(|service| service.unit.as_str()).collect(),
            Action::Restart { service }
            | Action::Reload { service }
            | Action::Reread { service }
            | Action::Route { service, .. }
            | Action::PreparePostgresql { restart: Some(service), .. } => vec![&service.unit],
            _ => Vec::new(),
        }
    }
}
