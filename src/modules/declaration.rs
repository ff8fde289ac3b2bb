//! `module.yaml` as it is written: resources as raw maps with their loops and conditions apart.
//!
//! Never in this file: names of the context, what the kinds mean.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::ModuleError;
use super::set::Module;

/// A parsed `module.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModuleFile {
    /// Version of this language; 1.
    format: u32,
    /// Modules that come earlier.
    #[serde(default)]
    pub after: Vec<String>,
    resources: Vec<Map<String, Value>>,
    #[serde(skip)]
    pub declarations: Vec<Declaration>,
}

/// One entry of `resources:`.
#[derive(Debug, Clone)]
pub(super) struct Declaration {
    /// From 1.
    pub index: usize,
    /// Dotted name of a list: one resource for each of its entries.
    pub for_each: Option<String>,
    /// Dotted name of a boolean: no resource when it is false.
    pub when: Option<String>,
    /// What gives the file's content; its form is checked where it is made.
    pub content: Option<Value>,
    /// Units that read the whole file.
    pub inputs_of: Option<Value>,
    /// Unit → label → digest: what each unit reads of the file.
    pub projection: Option<Value>,
    /// Units that read the whole file again while they run.
    pub reread_by: Option<Value>,
    /// All other fields, not interpolated yet.
    pub fields: Map<String, Value>,
}

impl ModuleFile {
    /// Parses the module's `module.yaml`.
    pub fn parse(module: &Module) -> Result<Self, ModuleError> {
        let file = format!("{}/module.yaml", module.name);
        let text = module
            .files
            .get("module.yaml")
            .ok_or_else(|| ModuleError::file(file.clone(), "this file is missing"))?;
        let mut parsed: Self = serde_saphyr::from_str(text)
            .map_err(|error| ModuleError::file(file.clone(), one_line(&error.to_string())))?;
        if parsed.format != 1 {
            let text = format!("format {} is not known to this synprov", parsed.format);
            return Err(ModuleError::file(file, text).with_help("write format: 1"));
        }
        for (index, fields) in std::mem::take(&mut parsed.resources).into_iter().enumerate() {
            parsed.declarations.push(Declaration::new(&file, index + 1, fields)?);
        }
        Ok(parsed)
    }
}

impl Declaration {
    fn new(file: &str, index: usize, mut fields: Map<String, Value>) -> Result<Self, ModuleError> {
        let mut name = |key: &str| match fields.shift_remove(key) {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name)),
            Some(other) => Err(ModuleError {
                resource: Some(index),
                field: key.to_owned(),
                ..ModuleError::file(file, format!("{other} is no dotted name"))
            }),
        };
        let for_each = name("for_each")?;
        let when = name("when")?;
        Ok(Self {
            index,
            for_each,
            when,
            content: fields.shift_remove("content"),
            inputs_of: fields.shift_remove("inputs_of"),
            projection: fields.shift_remove("projection"),
            reread_by: fields.shift_remove("reread_by"),
            fields,
        })
    }
}

/// The first lines of a parser's message as one; its drawing of the source is left out.
pub(super) fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}
