//! What a person wrote in `inventory.yaml`, as types with places; nothing resolved.
//!
//! `parse` turns text into an [`Inventory`] and all diagnostics at once. Cross-references
//! (does this host exist, do ports collide, is a stream single-writer) are the topology's
//! business, which has the places of everything from here. The lock is read and written here too.
//! Never in this room: files, network, the clock, hosts, defaults that depend on other keys.

#![warn(clippy::disallowed_methods)]

pub mod lock;
pub mod registration;
pub mod words;

mod addresses;
mod config;
mod datastore;
mod decode;
mod host;
mod host_key;
mod install;
mod limits;
mod listeners;
mod logging;
mod mas;
mod media_store;
mod names;
mod owned;
mod packages;
mod pool;
mod process;
mod proxy;
mod read;
mod seats;
mod secrets;
mod select;
mod site;
mod synapse;
mod taken;
mod units;
mod unsupported;
mod wheels;

use indexmap::IndexMap;

use crate::diagnostic::Spanned;

pub use addresses::is_jump_host;
pub use config::ConfigMap;
pub use datastore::{Datastore, External};
pub use host::{Become, Host, Means};
pub use install::Install;
pub use limits::Limits;
pub use listeners::{ExtraListener, ListenerKind, Metrics};
pub use lock::Lock;
pub use logging::{LogTo, Logging};
pub use mas::Mas;
pub use media_store::MediaStore;
pub use owned::derived;
pub use packages::DeliveredFile;
pub use pool::Pool;
pub use process::{DbPool, Defaults, Listen, Main};
pub use proxy::{Proxy, ProxyKind, Tls};
pub use read::{MAX_BYTES, parse};
pub use secrets::{CLUSTER_SECRETS, FoundSecret, PASSFILE, SecretSource};
pub use select::Select;
pub use site::{ExtraRoute, ExtraTarget, Http2, WellKnown};
pub use synapse::{Appservice, Synapse};
pub use units::Units;
pub use wheels::{Installer, WheelName, Wheelhouse, normal};

/// A whole inventory file.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// Hosts by the name that the rest of the file uses for them.
    pub hosts: IndexMap<String, Host>,
    /// The homeserver.
    pub synapse: Synapse,
    /// Where PostgreSQL runs.
    pub postgresql: Spanned<Datastore>,
    /// Where Redis runs. `None` only when there are no workers.
    pub redis: Option<Spanned<Datastore>>,
    /// Host of the main process.
    pub main: Main,
    /// Matrix Authentication Service. `None`: Synapse logs people in itself.
    pub mas: Option<Mas>,
    /// Reverse proxy. `None`: the admin routes by other means.
    pub proxy: Option<Proxy>,
    /// Values for every worker that does not say otherwise.
    pub defaults: Defaults,
    /// Worker pools by name, in the order written.
    pub workers: IndexMap<String, Pool>,
}
