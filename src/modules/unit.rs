//! The writer for systemd unit files: ordered sections of repeatable keys, from data.
//!
//! A value is a scalar (written as it stands), a list (the key is repeated), `{command: [...]}`
//! (words of an `Exec…=` line, each quoted, `$` literal), `{words: [...]}` (quoted words without
//! a command's `$` rule, as in `Environment=`) or `{percent: NUMBER}`. `%` is literal in values that were inserted (see
//! [`escape`]), and a specifier where the unit's author wrote it. Quoting: systemd.service(5),
//! "Command lines", and systemd.syntax(7).

use serde_json::Value;

/// Writes an inserted value so that systemd does not read a specifier in it.
pub fn escape(text: &str) -> String {
    text.replace('%', "%%")
}

/// The unit file's text. Errors: control characters, a value that would continue on the next
/// line, names that are none.
pub fn write(sections: &Value) -> Result<String, String> {
    let mut out = String::new();
    let sections = sections.as_object().ok_or("a unit is a mapping of sections")?;
    for (section, entries) in sections {
        let entries = entries.as_object().ok_or_else(|| format!("section {section} is no mapping"))?;
        if !name(section) {
            return Err(format!("{section:?} is no section"));
        }
        let mut lines = String::new();
        for (key, value) in entries {
            if !name(key) {
                return Err(format!("{key:?} is no key"));
            }
            let values = match value {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            for value in values {
                let line = line(value).map_err(|message| format!("{section}.{key}: {message}"))?;
                lines.push_str(&format!("{key}={line}\n"));
            }
        }
        if !lines.is_empty() {
            let gap = if out.is_empty() { "" } else { "\n" };
            out.push_str(&format!("{gap}[{section}]\n{lines}"));
        }
    }
    Ok(out)
}

fn name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn line(value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Object(map) if map.len() == 1 => match map.iter().next() {
            Some((key, Value::Array(items))) if key == "command" => words(items, true)?,
            Some((key, Value::Array(items))) if key == "words" => words(items, false)?,
            // Not text: `%` of a text that was inserted is doubled.
            Some((key, Value::Number(number))) if key == "percent" => format!("{number}%"),
            _ => {
                return Err(
                    "only {command: [...]}, {words: [...]} and {percent: NUMBER} are known".to_owned()
                );
            }
        },
        other => return Err(format!("{other} cannot be written into a unit")),
    };
    if let Some(control) = text.chars().find(|c| c.is_control()) {
        return Err(format!("a value holds the control character {control:?}"));
    }
    if text.ends_with('\\') {
        return Err("a value ends in a backslash, which continues the line".to_owned());
    }
    Ok(text)
}

fn words(items: &[Value], command: bool) -> Result<String, String> {
    let mut out: Vec<String> = Vec::new();
    for item in items {
        match item {
            Value::String(text) => out.push(word(text, command)),
            Value::Number(number) => out.push(number.to_string()),
            // Several words from one injected list: the addresses to wait for.
            Value::Array(more) => out.push(words(more, command)?),
            other => return Err(format!("{other} is no word")),
        }
    }
    out.retain(|word| !word.is_empty());
    Ok(out.join(" "))
}

fn word(text: &str, command: bool) -> String {
    let text = if command { text.replace('$', "$$") } else { text.to_owned() };
    let bare = |c: char| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\' | ';');
    if !text.is_empty() && text.chars().all(bare) {
        return text;
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
