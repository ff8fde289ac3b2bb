//! Writing values where a program will read them: shell words, YAML, redis.conf, libpq's passfile, nginx.

use crate::resource::{Content, Piece, Quote};
use crate::secret::Secret;

/// One word for bash, whatever is in it.
pub fn shell(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '@' | '=' | ',' | '+')
    };
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Why a secret's value cannot be written into a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// No value is at hand.
    #[error("secret {0} has no value")]
    Missing(String),
    /// The file's format has no way to write it.
    #[error("secret {0} holds bytes that {1} cannot hold")]
    Unfit(String, &'static str),
}

/// The file's bytes with the values of its secrets in it.
pub fn render(content: &Content, value: impl Fn(&str) -> Option<Secret>) -> Result<Secret, QuoteError> {
    let mut bytes = Vec::new();
    for piece in &content.0 {
        match piece {
            Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Piece::Secret { name, quote } => {
                let secret = value(name).ok_or_else(|| QuoteError::Missing(name.clone()))?;
                bytes.extend(quoted(name, secret.expose(), *quote)?);
            }
        }
    }
    Ok(Secret::new(bytes))
}

fn quoted(name: &str, value: &[u8], quote: Quote) -> Result<Vec<u8>, QuoteError> {
    let unfit = |format| QuoteError::Unfit(name.to_owned(), format);
    let text = || std::str::from_utf8(value).ok().filter(|text| !text.contains('\0'));
    match quote {
        Quote::Yaml => {
            let text = text().ok_or_else(|| unfit("YAML"))?;
            // A JSON string is a double-quoted YAML scalar, but for what YAML does not print raw.
            let json = serde_json::to_string(text).map_err(|_| unfit("YAML"))?;
            let escaped: String = json
                .chars()
                .map(|c| match c {
                    '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                        format!("\\u{:04x}", c as u32)
                    }
                    c => c.to_string(),
                })
                .collect();
            Ok(escaped.into_bytes())
        }
        Quote::Redis => {
            let mut out = vec![b'"'];
            for byte in value {
                match byte {
                    b'"' | b'\\' => out.extend([b'\\', *byte]),
                    0x20..=0x7e => out.push(*byte),
                    _ => out.extend(format!("\\x{byte:02x}").into_bytes()),
                }
            }
            out.push(b'"');
            Ok(out)
        }
        Quote::NginxPattern => {
            let text = text().filter(|text| !text.chars().any(char::is_control));
            let text = text.ok_or_else(|| unfit("an nginx pattern"))?;
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            let escaped = text.bytes().map(|byte| match plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("\\x{byte:02x}"),
            });
            Ok(escaped.collect::<String>().into_bytes())
        }
        Quote::Pgpass => {
            let text = text()
                .filter(|text| !text.contains(['\n', '\r']))
                .ok_or_else(|| unfit("a libpq passfile"))?;
            Ok(text.replace('\\', r"\\").replace(':', r"\:").into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn every_word_comes_out_of_bash_as_it_went_in() {
        for word in
            ["", "plain", "a b", "it's", "$(x)", "`x`", "a\nb", "\\", "\"", "!", "*", "~", "-n", "ü", "'''"]
        {
            let output =
                Command::new("bash").args(["-c", &format!("printf %s {}", shell(word))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    fn check(quote: Quote, value: &[u8], expected: Result<&str, ()>) {
        let content = Content(vec![Piece::Secret { name: "s".into(), quote }]);
        let found = render(&content, |_| Some(Secret::new(value.to_vec())));
        let found =
            found.as_ref().map(|secret| std::str::from_utf8(secret.expose()).unwrap()).map_err(|_| ());
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_quoted_for_their_format() {
        check(Quote::Yaml, b"a\"b: #\\", Ok(r#""a\"b: #\\""#));
        check(Quote::Yaml, "\u{85}\u{2028}".as_bytes(), Ok(r#""\u0085\u2028""#));
        check(Quote::Yaml, b"\xff", Err(()));
        check(Quote::Redis, b"a\"b\\ \n\xff", Ok(r#""a\"b\\ \x0a\xff""#));
        check(Quote::Pgpass, b"a:b\\c", Ok(r"a\:b\\c"));
        check(Quote::Pgpass, b"a\nb", Err(()));
        check(Quote::NginxPattern, b"a-Z_9.$\"+", Ok(r"a-Z_9\x2e\x24\x22\x2b"));
        check(Quote::NginxPattern, b"a\nb", Err(()));
    }
}
