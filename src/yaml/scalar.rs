//! What an unquoted scalar is: in YAML 1.2 (core schema), and whether YAML 1.1 agrees.
//!
//! Synapse reads its files with PyYAML, a YAML 1.1 reader, and people copy from such files:
//! `yes`, `0660` or `22:30` silently mean different things in the two. [`resolve`] therefore
//! answers only where both agree. Rules: YAML 1.2.2 section 10.3.2 and PyYAML's resolver.py.

use super::Kind;

/// Why an unquoted scalar has no value.
#[derive(Debug, PartialEq)]
pub(super) enum Trouble {
    /// YAML 1.1 reads a `first`, YAML 1.2 a `second`.
    Ambiguous { first: &'static str, second: &'static str },
    /// An integer beyond 64 bits.
    TooLarge,
    /// `.nan`, `.inf` or a number whose exponent overflows.
    NotFinite,
}

/// The value of an unquoted scalar that both versions of YAML read the same way.
pub(super) fn resolve(text: &str) -> Result<Kind, Trouble> {
    let (first, second) = (yaml11(text), yaml12(text));
    let octal = first == "integer" && is_old_octal(text);
    if first != second || octal {
        let first = if octal { "octal integer" } else { first };
        return Err(Trouble::Ambiguous { first, second });
    }
    Ok(match second {
        "null" => Kind::Null,
        "boolean" => Kind::Bool(text.eq_ignore_ascii_case("true")),
        "integer" => Kind::Int(integer(text).ok_or(Trouble::TooLarge)?),
        "number" => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Kind::Float(value),
            _ => return Err(Trouble::NotFinite),
        },
        _ => Kind::String(text.to_owned()),
    })
}

fn integer(text: &str) -> Option<i64> {
    let (radix, digits) = match text.as_bytes() {
        [b'0', b'x', ..] => (16, &text[2..]),
        [b'0', b'o', ..] => (8, &text[2..]),
        _ => (10, text),
    };
    i64::from_str_radix(digits, radix).ok()
}

fn yaml12(text: &str) -> &'static str {
    let unsigned = unsigned(text);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null",
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => "boolean",
        ".nan" | ".NaN" | ".NAN" => "number",
        _ if matches!(unsigned, ".inf" | ".Inf" | ".INF") => "number",
        _ if all(unsigned, |b| b.is_ascii_digit()) => "integer",
        _ if text.strip_prefix("0o").is_some_and(|rest| all(rest, |b| (b'0'..=b'7').contains(&b))) => {
            "integer"
        }
        _ if text.strip_prefix("0x").is_some_and(|rest| all(rest, |b| b.is_ascii_hexdigit())) => "integer",
        _ if is_float(unsigned, |b| b.is_ascii_digit(), false) => "number",
        _ => "text",
    }
}

fn yaml11(text: &str) -> &'static str {
    let unsigned = unsigned(text);
    let digit = |b: u8| b.is_ascii_digit() || b == b'_';
    match text {
        "" | "~" | "null" | "Null" | "NULL" => "null",
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" | "true"
        | "True" | "TRUE" | "false" | "False" | "FALSE" => "boolean",
        "=" => "default value",
        "<<" => "merge key",
        ".nan" | ".NaN" | ".NAN" => "number",
        _ if matches!(unsigned, ".inf" | ".Inf" | ".INF") => "number",
        _ if unsigned
            .strip_prefix("0b")
            .is_some_and(|rest| all(rest, |b| matches!(b, b'0' | b'1' | b'_'))) =>
        {
            "integer"
        }
        _ if unsigned
            .strip_prefix("0x")
            .is_some_and(|rest| all(rest, |b| b.is_ascii_hexdigit() || b == b'_')) =>
        {
            "integer"
        }
        _ if unsigned == "0" || is_old_octal(text) => "integer",
        _ if unsigned.starts_with(|c: char| ('1'..='9').contains(&c)) && all(unsigned, digit) => "integer",
        _ if is_sexagesimal(unsigned) => "base-60 number",
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit()) && is_float(unsigned, digit, true) => {
            "number"
        }
        // PyYAML allows no sign before a leading dot.
        _ if text.starts_with('.')
            && text[1..].starts_with(|c: char| c.is_ascii_digit())
            && is_float(text, digit, true) =>
        {
            "number"
        }
        _ if is_date(text) => "date",
        _ => "text",
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all(text: &str, test: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(test)
}

/// `0755`: YAML 1.1 octal. YAML 1.2 reads 755.
fn is_old_octal(text: &str) -> bool {
    unsigned(text)
        .strip_prefix('0')
        .is_some_and(|rest| !rest.is_empty() && all(rest, |b| matches!(b, b'0'..=b'7' | b'_')))
}

/// `digits . digits e digits`; YAML 1.1 needs the dot, and a sign in the exponent.
fn is_float(unsigned: &str, digit: impl Fn(u8) -> bool, old: bool) -> bool {
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let signed = exponent.starts_with(['+', '-']);
        (signed || !old) && all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), |b| b.is_ascii_digit())
    });
    let mantissa_ok = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            (!whole.is_empty() || !fraction.is_empty()) && whole.bytes().chain(fraction.bytes()).all(digit)
        }
        None => !old && all(mantissa, digit),
    };
    exponent_ok && mantissa_ok
}

fn is_sexagesimal(unsigned: &str) -> bool {
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or("");
    let digit = |b: u8| b.is_ascii_digit() || b == b'_';
    whole.contains(':')
        && first.starts_with(|c: char| c.is_ascii_digit())
        && (unsigned.contains('.') || !first.starts_with('0'))
        && all(first, digit)
        && fraction.bytes().all(digit)
        && parts.all(|part| match part.as_bytes() {
            [units] => units.is_ascii_digit(),
            [tens, units] => (b'0'..=b'5').contains(tens) && units.is_ascii_digit(),
            _ => false,
        })
}

/// `2026-01-02`, also with a time behind it; a little wider than PyYAML's pattern.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 8
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && text.matches('-').count() >= 2
        && bytes[5].is_ascii_digit()
        && text
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '-' | ':' | '.' | '+' | ' ' | '\t' | 'T' | 't' | 'Z'))
        && (bytes.len() == 10 || text.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let found = match resolve(text) {
            Ok(kind) => format!("{kind:?}"),
            Err(Trouble::Ambiguous { first, second }) => format!("{first} or {second}"),
            Err(trouble) => format!("{trouble:?}"),
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn both_versions_agree() {
        check("", "Null");
        check("~", "Null");
        check("true", "Bool(true)");
        check("FALSE", "Bool(false)");
        check("0", "Int(0)");
        check("-17", "Int(-17)");
        check("0x1f", "Int(31)");
        check("1.5", "Float(1.5)");
        check(".5", "Float(0.5)");
        check("1.5e+3", "Float(1500.0)");
        check("1.163.2", "String(\"1.163.2\")");
        check("tRUE", "String(\"tRUE\")");
        check("y", "String(\"y\")");
        check("::1", "String(\"::1\")");
        check("10.8.0.1/24", "String(\"10.8.0.1/24\")");
        check("100M", "String(\"100M\")");
    }

    #[test]
    fn versions_disagree() {
        check("yes", "boolean or text");
        check("Off", "boolean or text");
        check("0755", "octal integer or integer");
        check("089", "text or integer");
        check("0o17", "text or integer");
        check("1e3", "text or number");
        check("1_000", "integer or text");
        check("0b101", "integer or text");
        check("22:22", "base-60 number or text");
        check("12:30:45", "base-60 number or text");
        check("1:20.5", "base-60 number or text");
        check("-.5", "text or number");
        check("2026-01-02", "date or text");
        check("2026-01-02 10:00:00", "date or text");
        check("2026-1-2T10:00:00Z", "date or text");
        check("=", "default value or text");
        check("<<", "merge key or text");
    }

    #[test]
    fn no_value() {
        check(".nan", "NotFinite");
        check("-.inf", "NotFinite");
        check("1.0e+999", "NotFinite");
        check("99999999999999999999", "TooLarge");
    }
}
