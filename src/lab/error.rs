//! What can go wrong with throwaway hosts, each as a sentence with what to do about it.
//!
//! Text only: nothing here runs a program or prints.

/// Why a lab could not be started, found, used or removed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Programs that are not installed.
    #[error("throwaway hosts need {}, not installed on this machine", .programs.join(", "))]
    Missing {
        /// Programs looked for on `PATH` and not found.
        programs: Vec<String>,
    },
    /// Not root.
    #[error("throwaway hosts need root: their networks and packet filter belong to the machine")]
    NotRoot,
    /// No OCI runtime can start a container here.
    #[error("podman cannot start a container here: {reason}")]
    Runtime {
        /// What each runtime said.
        reason: String,
    },
    /// A spec that cannot become a lab.
    #[error("lab {lab:?}: {reason}")]
    Invalid {
        /// Lab name as given.
        lab: String,
        /// One clause.
        reason: String,
    },
    /// A lab of this name is there already.
    #[error("lab {lab:?} is already up")]
    Exists {
        /// Lab name.
        lab: String,
    },
    /// Another process is working on it.
    #[error("lab {lab:?} is being started or removed by another process")]
    Busy {
        /// Lab name.
        lab: String,
    },
    /// No lab of this name.
    #[error("there is no lab {lab:?}")]
    NotFound {
        /// Lab name.
        lab: String,
    },
    /// No host of this name in the lab.
    #[error("lab {lab:?} has no host {host:?}")]
    NoHost {
        /// Lab name.
        lab: String,
        /// Host name as given.
        host: String,
        /// Hosts it has.
        known: Vec<String>,
    },
    /// More than one lab, or none, fits what was said.
    #[error("{reason}")]
    Unclear {
        /// One sentence.
        reason: String,
        /// Labs that are there.
        labs: Vec<String>,
    },
    /// A program said no.
    #[error("{what}: {reason}")]
    Command {
        /// What it was for, e.g. `start host "hs1"`.
        what: String,
        /// Last line of its stderr, or its exit status.
        reason: String,
    },
    /// Something did not happen in time.
    #[error("{what}: no answer within {seconds} s{detail}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// Deadline in seconds.
        seconds: u64,
        /// Last state seen, with its own punctuation, or empty.
        detail: String,
    },
    /// A file or process of this machine.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted, with the path.
        what: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Debian packages that hold everything a lab needs (without recommends).
const PACKAGES: &str = "podman runc mmdebstrap debian-archive-keyring netavark iptables nftables iproute2 \
                        openssh-client openssl";

impl LabError {
    /// What the operator can do, if there is more to say than the sentence itself.
    pub fn help(&self) -> Option<String> {
        match self {
            LabError::Missing { .. } => Some(format!("apt-get install --no-install-recommends {PACKAGES}")),
            LabError::NotRoot => Some("run it with sudo".to_owned()),
            LabError::Runtime { .. } => {
                Some("install runc (apt-get install runc), which also works with hybrid cgroups".to_owned())
            }
            LabError::Exists { lab } => Some(format!("remove it: synprov lab down {lab}")),
            LabError::NotFound { .. } => Some("synprov lab list shows what is there".to_owned()),
            LabError::NoHost { known, .. } => Some(format!("its hosts: {}", known.join(", "))),
            LabError::Unclear { labs, .. } if labs.is_empty() => Some("there are no labs".to_owned()),
            LabError::Unclear { labs, .. } => Some(format!("labs: {}", labs.join(", "))),
            LabError::Invalid { .. }
            | LabError::Busy { .. }
            | LabError::Command { .. }
            | LabError::Deadline { .. }
            | LabError::Io { .. } => None,
        }
    }

    /// Joins what was attempted and the system's reason.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| LabError::Io { what, source }
    }
}
