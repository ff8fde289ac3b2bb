//! `--backup`: the first steps of all.

use super::super::backup::{Kept, database};
use super::super::step::Action;
use super::Builder;
use crate::facts::request::state_directory;

/// Why.
const BEFORE: &str = "before anything is changed";

impl Builder<'_, '_> {
    /// The database where it is, configuration and secrets on main's host, which has all of them.
    pub(super) fn back_up(&mut self) {
        let Some(to) = self.input.backup.clone() else { return };
        let topology = self.input.topology;
        // A first apply has nothing to lose.
        let used =
            |host: &str| self.input.facts.get(host).is_some_and(|facts| !facts.record.entries.is_empty());
        let name = topology.server_name.clone();
        if let Some((host, base)) = database(self.input)
            && self
                .input
                .facts
                .get(host)
                .is_some_and(|facts| facts.postgresql.as_ref().is_some_and(|found| found.database.is_some()))
        {
            let kept = Kept::Database(base.to_owned());
            self.push(host, Action::BackUp { kept, to: to.clone(), name: name.clone() }, BEFORE, Vec::new());
        }
        if let Some(main) = topology.instances.first().filter(|main| used(&main.host)) {
            let paths = vec![format!("{}/conf", topology.root), state_directory(&name)];
            self.push(&main.host, Action::BackUp { kept: Kept::Files(paths), to, name }, BEFORE, Vec::new());
        }
        self.gate();
    }
}
