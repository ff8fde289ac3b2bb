//! Since when something is as it is, as far as anything on the host tells.

use super::Host;
use super::finding::What;
use crate::plan::change::Change;

pub(super) fn since(host: &Host<'_>, change: &Change, what: What) -> Option<i64> {
    let facts = host.facts;
    let path = match change.kind.as_str() {
        "secret" => host.resources.iter().find_map(|one| match &one.body {
            crate::resource::Body::Secret { name, path, .. } if *name == change.name => Some(path.as_str()),
            _ => None,
        }),
        _ => Some(change.name.as_str()),
    };
    let at = match change.kind.as_str() {
        "file" | "secret" | "directive" | "directory" => {
            let path = path?;
            match (facts.paths.get(path), what) {
                // The content's own time, unless what changed is something about the path.
                (Some(found), What::Content | What::Setting) if change.kind != "directory" => found.changed,
                (Some(found), _) => found.touched,
                // Something left the directory then, this at the latest.
                (None, _) => facts.paths.get(path.rsplit_once('/')?.0)?.changed,
            }
        }
        "service" => {
            let unit = facts.units.get(&change.name)?;
            match what {
                What::Stopped | What::Failed => unit.since,
                What::Outdated => unit.started,
                What::NotReloaded => unit
                    .drop_ins
                    .iter()
                    .chain([&unit.fragment])
                    .filter_map(|path| facts.paths.get(path))
                    .map(|fact| fact.changed)
                    .max()?,
                _ => return None,
            }
        }
        _ => return None,
    };
    (at > 0).then_some(at)
}
