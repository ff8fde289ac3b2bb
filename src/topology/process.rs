//! What each process runs with: the pool's own word, else `defaults:`, else synprov's.
//!
//! Never here: what a process is for; how a unit file or a log configuration is written.

use indexmap::IndexMap;

use super::datastores::DEFAULT_POOL;
use super::proxy::size;
use super::types::{Limits, Logging};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::inventory::{DbPool, Defaults, DeliveredFile, Inventory, LogTo};

/// Days that log files are kept.
const KEEP: u32 = 14;
/// glibc finds a preloaded library without a slash in its name wherever the distribution has it, whatever the
/// architecture, and only says so when it is not there: ld.so(8), LD_PRELOAD.
const JEMALLOC: &str = "libjemalloc.so.2";

/// The words of one pool (`main` for main) over those of `defaults:`.
pub(super) struct Settings<'a> {
    own: Option<&'a Defaults>,
    defaults: &'a Defaults,
}

impl<'a> Settings<'a> {
    /// The settings of a pool.
    pub fn of(inventory: &'a Inventory, pool: &str) -> Self {
        let own = match pool {
            "main" => Some(&inventory.main.overrides),
            pool => inventory.workers.get(pool).map(|pool| &pool.overrides),
        };
        Self { own, defaults: &inventory.defaults }
    }

    fn pick<T>(&self, key: impl Fn(&'a Defaults) -> Option<&'a T>) -> Option<&'a T> {
        self.own.and_then(&key).or_else(|| key(self.defaults))
    }

    fn value<T: Clone + 'a>(&self, key: impl Fn(&'a Defaults) -> Option<&'a Spanned<T>>) -> Option<T> {
        self.pick(key).map(|spanned| spanned.value.clone())
    }

    /// Both, the defaults first: what is merged by name.
    fn both(&self) -> impl Iterator<Item = &'a Defaults> {
        std::iter::once(self.defaults).chain(self.own)
    }

    /// Connections to PostgreSQL.
    pub fn db_pool(&self) -> DbPool {
        self.value(|one| one.db_pool.as_ref()).unwrap_or(DEFAULT_POOL)
    }

    /// Memory is allocated by jemalloc.
    pub fn jemalloc(&self) -> bool {
        self.value(|one| one.jemalloc.as_ref()).unwrap_or_default()
    }

    /// What systemd keeps it to.
    pub fn limits(&self) -> Limits {
        Limits {
            memory_max: self.value(|one| one.limits.memory_max.as_ref()),
            memory_high: self.value(|one| one.limits.memory_high.as_ref()),
            cpu_quota: self.value(|one| one.limits.cpu_quota.as_ref()),
            nice: self.value(|one| one.limits.nice.as_ref()),
        }
    }

    /// Environment of its unit: what the admin wrote, then what follows from other keys.
    pub fn environment(
        &self,
        root: &str,
        files: &IndexMap<String, Spanned<DeliveredFile>>,
    ) -> IndexMap<String, String> {
        let mut environment = IndexMap::new();
        for (name, value) in self.both().flat_map(|one| &one.environment) {
            environment.insert(name.clone(), value.value.clone());
        }
        if self.jemalloc() {
            // Synapse documentation, admin_faq: Python's own allocator would hide its objects from jemalloc.
            environment.insert("LD_PRELOAD".to_owned(), JEMALLOC.to_owned());
            environment.insert("PYTHONMALLOC".to_owned(), "malloc".to_owned());
        }
        if files.keys().any(|name| name.ends_with(".py")) {
            environment.insert("PYTHONPATH".to_owned(), modules(root));
        }
        environment
    }

    /// Where and how much it logs.
    pub fn logging(&self) -> Logging {
        let mut loggers = IndexMap::new();
        for (name, level) in self.both().flat_map(|one| &one.logging.loggers) {
            loggers.insert(name.clone(), level.value.clone());
        }
        Logging {
            directory: match self.value(|one| one.logging.to.as_ref()) {
                Some(LogTo::Directory(path)) => Some(path),
                Some(LogTo::Journal) | None => None,
            },
            keep: self.value(|one| one.logging.keep.as_ref()).unwrap_or(KEEP),
            level: self.value(|one| one.logging.level.as_ref()).unwrap_or_else(|| "INFO".to_owned()),
            loggers,
        }
    }
}

/// Directory of the admin's own files, on Python's path if there is Python among them.
pub(super) fn modules(root: &str) -> String {
    format!("{root}/modules")
}

/// Reports limits that contradict each other, wherever each was written.
pub(super) fn check(inventory: &Inventory, diagnostics: &mut Vec<Diagnostic>) {
    // What stands in `defaults:` is wrong once, however many pools have it.
    let mut seen: Vec<(Span, Span)> = Vec::new();
    for pool in std::iter::once("main").chain(inventory.workers.keys().map(String::as_str)) {
        let settings = Settings::of(inventory, pool);
        let max = settings.pick(|one| one.limits.memory_max.as_ref());
        let high = settings.pick(|one| one.limits.memory_high.as_ref());
        let bytes = |text: &Spanned<String>| size(&text.value.as_str().into());
        let (Some(max), Some(high)) = (max, high) else { continue };
        let places = (high.span, max.span);
        if bytes(high) > bytes(max) && !seen.contains(&places) {
            seen.push(places);
            let summary =
                format!("{pool:?} has a memory_high of {} above its memory_max of {}", high.value, max.value);
            diagnostics.push(
                Diagnostic::error(high.span, summary)
                    .related(max.span, "the maximum")
                    .help("above memory_high a process is slowed down, above memory_max it is killed: write the lower one as memory_high"),
            );
        }
    }
}
