//! Unified diffs of files, of bounded size, safe to print: what looks like a secret is concealed on both sides.

use std::sync::LazyLock;

use regex::Regex;
use similar::TextDiff;

use crate::secret::CONCEALED;

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
    Some(conceal(&crate::facts::conversation::clean(&text)))
}

/// A unified diff without its header. By its place: what a file has may look like one (`-- a comment`, deleted).
pub fn body(diff: &str) -> &str {
    let header = |line: &str| line.starts_with("--- ") || line.starts_with("+++ ");
    match diff.split_inclusive('\n').take(2).collect::<Vec<_>>().as_slice() {
        [first, second] if first.starts_with("--- ") && header(second) => &diff[first.len() + second.len()..],
        _ => diff,
    }
}

/// Keys whose values are secrets by their name, with what stands between them and the value: YAML, INI, JSON,
/// environment and command lines anywhere in a line; nginx and Redis, where blanks do, at its beginning.
static KEYS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = r"[A-Za-z0-9_.-]*(?:passw(?:or)?d|passphrase|smtp_pass|requirepass|masterauth|secret|token|authorization|credentials?|(?:api|private|secret|access|signing|encryption)[_-]?key)";
    let anywhere = format!(r#"(?i)(?:^|[^A-Za-z0-9_.-])(?:{name})["']?\s*[:=]\s*["']?"#);
    let beginning = format!(r"(?i)^[-+ ]\s*(?:proxy_set_header\s+)?(?:{name})\s+");
    Regex::new(&format!("{anywhere}|{beginning}")).ok()
});

/// A diff without the values that are secrets by the name of their key, and without private keys.
///
/// What synprov writes itself names its secrets in their place (`<secret turn>`); that stays, and so do paths.
fn conceal(diff: &str) -> String {
    let mut out = String::with_capacity(diff.len());
    let mut in_key = false;
    let head = diff.len() - body(diff).len();
    for line in diff.split_inclusive('\n') {
        let (text, end) = line.strip_suffix('\n').map_or((line, ""), |text| (text, "\n"));
        let header = out.len() < head || text.starts_with("@@ ");
        if !header && text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----") {
            in_key = true;
        } else if text.contains("-----END ") {
            in_key = false;
        } else if in_key && !header {
            let sign = text.get(..1).unwrap_or_default();
            out.push_str(&format!("{sign}{CONCEALED}{end}"));
            continue;
        }
        let value = KEYS.as_ref().filter(|_| !header).and_then(|keys| keys.find(text)).map(|key| key.end());
        match value.map(|at| text.split_at(at)) {
            Some((key, value)) if !is_harmless(value) => out.push_str(&format!("{key}{CONCEALED}{end}")),
            _ => out.push_str(line),
        }
    }
    out
}

fn is_harmless(value: &str) -> bool {
    let value = value.trim_end_matches(['"', '\'', ';', ',']);
    value.is_empty()
        || value.starts_with("<secret ")
        || value.starts_with('/')
        || matches!(value, "null" | "true" | "false" | "{" | "[" | "|" | ">" | "|-" | ">-")
}

#[cfg(test)]
mod tests {
    use super::{body, unified};

    #[test]
    fn secrets_are_concealed_on_both_sides_by_the_name_of_their_key() {
        for (line, shown) in [
            ("registration_shared_secret: hunter2", "registration_shared_secret: <not shown>"),
            ("  smtp_pass: \"hunter2\"", "  smtp_pass: \"<not shown>"),
            ("{\"access_token\": \"hunter2\"}", "{\"access_token\": \"<not shown>"),
            ("Environment=PGPASSWORD=hunter2", "Environment=PGPASSWORD=<not shown>"),
            ("ExecStart=/bin/x --token=hunter2 -v", "ExecStart=/bin/x --token=<not shown>"),
            ("requirepass hunter2", "requirepass <not shown>"),
            (
                "    proxy_set_header Authorization \"Bearer hunter2\";",
                "    proxy_set_header Authorization <not shown>",
            ),
            ("api-key = hunter2", "api-key = <not shown>"),
        ] {
            for (before, after) in [(line, "x"), ("x", line)] {
                let diff = unified("/f", Some(format!("{before}\n").as_bytes()), Some(&format!("{after}\n")))
                    .unwrap();
                assert!(!diff.contains("hunter2") && diff.contains(shown), "{line}: {diff}");
            }
        }
    }

    #[test]
    fn a_line_that_looks_like_a_header_is_a_line() {
        let diff = unified("/f", Some(b"-- one\n"), Some("++ password: hunter2\n")).unwrap();
        assert!(diff.ends_with("--- one\n+++ password: <not shown>\n"), "{diff}");
        assert!(body(&diff).starts_with("@@ "), "{diff}");
        assert_eq!(body("+a\n-b\n"), "+a\n-b\n");
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for line in [
            "macaroon_secret_key: <secret macaroon>",
            "signing_key_path: /opt/matrix/conf/secrets/signing_key",
            "ssl_certificate_key /etc/ssl/key.pem;",
            "# tokens are renewed by the client",
            "password_config:",
            "enable_registration_token: true",
            "the secret is kept elsewhere",
        ] {
            let diff = unified("/f", Some(b"x\n"), Some(&format!("{line}\n"))).unwrap();
            assert!(diff.contains(&format!("+{line}\n")), "{diff}");
        }
    }

    #[test]
    fn private_keys_are_not_shown() {
        let pem =
            "a: |\n  -----BEGIN PRIVATE KEY-----\n  hunter2\n  hunter3\n  -----END PRIVATE KEY-----\nb: 1\n";
        let diff = unified("/f", Some(pem.as_bytes()), Some("")).unwrap();
        assert!(!diff.contains("hunter") && diff.contains("-b: 1"), "{diff}");
    }
}
