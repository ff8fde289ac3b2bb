//! `conf/workers/NAME.yaml`: what one worker has for itself.

use crate::modules::interpolate::{Problem, Scope};
use crate::resource::Content;

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    Ok(crate::yaml::emit(scope.lookup("item.config")?))
}
