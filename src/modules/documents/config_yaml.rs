//! `conf/config.yaml`: what all Synapse processes share, the same bytes on every host.

use crate::modules::interpolate::{Problem, Scope};
use crate::resource::Content;

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    Ok(crate::yaml::emit(scope.lookup("synapse.config")?))
}
