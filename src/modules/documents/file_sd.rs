//! `prometheus/PREFIX.json`: what Prometheus scrapes, for its `file_sd_configs`.

use crate::modules::interpolate::{Problem, Scope};
use crate::resource::Content;

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    let text = serde_json::to_string_pretty(scope.lookup("synapse.file_sd")?);
    text.map(|text| Content::text(text + "\n")).map_err(|error| Problem::new(error.to_string()))
}
