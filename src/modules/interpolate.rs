//! `{{ dotted.name }}` in strings and `{value: dotted.name}` for structure. Nothing else.
//!
//! An undefined name is an error that lists what there is. Never in this file: conditions,
//! filters, functions: what needs them is a named value of the context.

use serde_json::Value;

/// What names mean for one resource: the host's context, and `item` inside `for_each`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub context: &'a Value,
    pub item: Option<&'a Value>,
}

/// Why a value could not be had; `field` is the place inside the resource.
#[derive(Debug, Clone, Default)]
pub(super) struct Problem {
    pub field: String,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    /// The same problem, one step further out: `inputs_of` + `[0]`.
    pub fn inside(mut self, outer: &str) -> Self {
        let dot = if self.field.is_empty() || self.field.starts_with('[') { "" } else { "." };
        self.field = format!("{outer}{dot}{}", self.field);
        self
    }
}

/// How an inserted value is written into its surroundings (unit files: `%` as `%%`).
pub(super) type Escape = fn(&str) -> String;

impl<'a> Scope<'a> {
    /// The value of a dotted name.
    pub fn lookup(&self, name: &str) -> Result<&'a Value, Problem> {
        let well_formed = !name.is_empty()
            && name.split('.').all(|part| {
                !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
        if !well_formed {
            return Err(Problem::new(format!("{name:?} is no dotted name")));
        }
        let mut parts = name.split('.').peekable();
        let mut value = self.context;
        let mut so_far = String::new();
        if parts.peek() == Some(&"item") {
            parts.next();
            so_far.push_str("item");
            value = self.item.ok_or_else(|| {
                Problem::new(format!("{name} is not defined: item exists only with for_each"))
            })?;
        }
        for part in parts {
            let Some(next) = value.get(part) else {
                let place = if so_far.is_empty() { "the top level" } else { &so_far };
                let help = value.as_object().map(|map| {
                    let names: Vec<&str> = map.keys().map(String::as_str).collect();
                    format!("{place} has: {}", names.join(", "))
                });
                return Err(Problem { help, ..Problem::new(format!("{name} is not defined")) });
            };
            value = next;
            so_far = if so_far.is_empty() { part.to_owned() } else { format!("{so_far}.{part}") };
        }
        Ok(value)
    }

    /// The boolean of a dotted name.
    pub fn boolean(&self, name: &str) -> Result<bool, Problem> {
        self.lookup(name)?.as_bool().ok_or_else(|| Problem::new(format!("{name} is not true or false")))
    }

    /// `text` with every `{{ dotted.name }}` replaced. Only strings, numbers and booleans can be.
    pub fn text(&self, text: &str, escape: Escape) -> Result<String, Problem> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            out.push_str(&rest[..start]);
            let inner = &rest[start + 2..];
            let Some(end) = inner.find("}}") else {
                return Err(Problem::new("{{ without }}"));
            };
            let name = inner[..end].trim();
            match self.lookup(name)? {
                Value::String(value) => out.push_str(&escape(value)),
                value @ (Value::Number(_) | Value::Bool(_)) => out.push_str(&escape(&value.to_string())),
                _ => {
                    return Err(Problem {
                        help: Some(format!("inject it with {{value: {name}}}")),
                        ..Problem::new(format!("{name} is no text, number or boolean"))
                    });
                }
            }
            rest = &inner[end + 2..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// `node` with strings interpolated and `{value: NAME}` replaced, all the way down.
    pub fn resolve(&self, node: &Value, escape: Escape) -> Result<Value, Problem> {
        match node {
            Value::String(text) => Ok(Value::String(self.text(text, escape)?)),
            Value::Array(items) => {
                let one = |(index, item): (usize, &Value)| {
                    self.resolve(item, escape).map_err(|problem| problem.inside(&format!("[{index}]")))
                };
                items.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>().map(Value::Array)
            }
            Value::Object(map) => {
                if map.len() == 1
                    && let Some(Value::String(name)) = map.get("value")
                {
                    return Ok(escaped(self.lookup(name)?, escape));
                }
                let mut out = serde_json::Map::new();
                for (key, value) in map {
                    let value = self.resolve(value, escape).map_err(|problem| problem.inside(key))?;
                    out.insert(key.clone(), value);
                }
                Ok(Value::Object(out))
            }
            scalar => Ok(scalar.clone()),
        }
    }
}

/// As it stands.
pub(super) fn plain(text: &str) -> String {
    text.to_owned()
}

fn escaped(value: &Value, escape: Escape) -> Value {
    match value {
        Value::String(text) => Value::String(escape(text)),
        Value::Array(items) => items.iter().map(|item| escaped(item, escape)).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), escaped(value, escape))).collect())
        }
        scalar => scalar.clone(),
    }
}
