//! Unified diffs of files, of bounded size, safe to print.

use similar::TextDiff;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// The unified diff from `before` to `after` under the file's own path; `None` if there is nothing to show.
///
/// Content that is no UTF-8 is said to be so instead of being shown.
pub fn unified(path: &str, before: Option<&[u8]>, after: Option<&str>) -> Option<String> {
    let before = match before.map(std::str::from_utf8) {
        None => "",
        Some(Ok(text)) => text,
        Some(Err(_)) => return Some("(the present content is no text; it is not shown)\n".to_owned()),
    };
    let after = after.unwrap_or("");
    if before == after {
        return None;
    }
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(CONTEXT).header(path, path).to_string();
    Some(crate::facts::conversation::clean(&text))
}
