//! The forms of `content:`, each put out by the writer that knows the format's quoting.
//!
//! Never in this file: the formats themselves.

use serde_json::Value;

use super::declaration::one_line;
use super::interpolate::{Problem, Scope, plain};
use super::set::Module;
use super::{documents, haproxy, nginx, unit};
use crate::resource::Content;

const FORMS: &str = "write one of {document: NAME}, {unit: dotted.name}, {nginx: dotted.name}, \
                     {haproxy: dotted.name}, {template: FILE}, {text: …}";

/// The content that `form` describes.
pub(super) fn content(module: &Module, form: &Value, scope: Scope<'_>) -> Result<Content, Problem> {
    let unknown = || Problem { help: Some(FORMS.to_owned()), ..Problem::new("unknown form of content") };
    let mut entries = form.as_object().ok_or_else(unknown)?.iter();
    let (Some((key, Value::String(argument))), None) = (entries.next(), entries.next()) else {
        return Err(unknown());
    };
    let content = match key.as_str() {
        "document" => documents::document(argument, scope),
        "unit" => unit_file(module, argument, scope),
        "nginx" => nginx_file(argument, scope),
        "haproxy" => haproxy_file(argument, scope),
        "template" => template(module, argument, scope),
        "text" => scope.text(argument, plain).map(Content::text),
        _ => return Err(unknown()),
    };
    content.map_err(|problem| problem.inside(key))
}

fn file<'a>(module: &'a Module, path: &str) -> Result<&'a str, Problem> {
    let text = module.files.get(path).map(String::as_str);
    text.ok_or_else(|| Problem::new(format!("module {} has no file {path}", module.name)))
}

fn unit_file(module: &Module, name: &str, scope: Scope<'_>) -> Result<Content, Problem> {
    let name = scope.lookup(name)?;
    let name = name.as_str().ok_or_else(|| Problem::new(format!("{name} is no unit's name")))?;
    let path = format!("units/{name}.yaml");
    let in_file = |problem: Problem| Problem { field: format!("({path}) {}", problem.field), ..problem };
    let sections: Value = serde_saphyr::from_str(file(module, &path)?)
        .map_err(|error| in_file(Problem::new(one_line(&error.to_string()))))?;
    let sections = scope.resolve(&sections, unit::escape).map_err(in_file)?;
    unit::write(&sections).map(Content::text).map_err(|message| in_file(Problem::new(message)))
}

fn nginx_file(name: &str, scope: Scope<'_>) -> Result<Content, Problem> {
    let tree: Vec<nginx::Directive> = serde_json::from_value(scope.lookup(name)?.clone())
        .map_err(|error| Problem::new(format!("{name} is no list of nginx directives: {error}")))?;
    nginx::content(&tree).map_err(Problem::new)
}

fn haproxy_file(name: &str, scope: Scope<'_>) -> Result<Content, Problem> {
    let sections: Vec<haproxy::Section> = serde_json::from_value(scope.lookup(name)?.clone())
        .map_err(|error| Problem::new(format!("{name} is no list of HAProxy sections: {error}")))?;
    haproxy::write(&sections).map(Content::text).map_err(Problem::new)
}

fn template(module: &Module, name: &str, scope: Scope<'_>) -> Result<Content, Problem> {
    let path = format!("templates/{name}");
    scope
        .text(file(module, &path)?, plain)
        .map(Content::text)
        .map_err(|problem| Problem { field: format!("({path})"), ..problem })
}
