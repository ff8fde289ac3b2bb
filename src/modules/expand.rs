//! Modules × topology → resources: for every host, every module, every declaration in order.
//!
//! Never in this file: what stands in files (`content`, `documents`), what names mean (`context`).

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::content::content;
use super::declaration::Declaration;
use super::interpolate::{Problem, Scope, plain};
use super::set::Module;
use super::{Context, ModuleError, Modules};
use crate::inventory::ProxyKind;
use crate::resource::{Body, Content, Resource};
use crate::topology::Topology;

/// All resources of all hosts: hosts in the topology's order, modules in theirs, declarations as
/// written. A retired host has none.
///
/// Errors: everything that is wrong, each once (not once a host): unknown fields and kinds,
/// undefined names, two declarations of one thing or one path on a host.
pub fn expand(modules: &Modules, topology: &Topology) -> Result<Vec<Resource>, Vec<ModuleError>> {
    let modules = modules.ordered()?;
    let mut resources: Vec<Resource> = Vec::new();
    let mut errors: Vec<ModuleError> = Vec::new();
    let mut context = match Context::new(topology) {
        Ok(context) => context,
        Err(message) => {
            let haproxy = topology.proxy.as_ref().is_some_and(|proxy| proxy.kind == ProxyKind::Haproxy);
            let file = if haproxy { "haproxy/module.yaml" } else { "nginx/module.yaml" };
            return Err(vec![ModuleError::file(file, message)]);
        }
    };
    for host in topology.hosts.values().filter(|host| !host.retired) {
        let context = context.on(host);
        let mut seen = HashSet::new();
        let mut paths = HashMap::new();
        for (module, file) in &modules {
            for declaration in &file.declarations {
                match declare(module, declaration, context) {
                    Ok(bodies) => {
                        for body in bodies {
                            let resource = Resource::new(&host.name, &module.name, body);
                            if !seen.insert((resource.address.kind, resource.address.name.clone())) {
                                let (kind, name) = (resource.address.kind, &resource.address.name);
                                let text = format!("{kind} {name} is declared already");
                                push(&mut errors, error(module, declaration, Problem::new(text)));
                            }
                            if let Some(path) = resource.body.path()
                                && let Some(other) = paths.insert(path.to_owned(), resource.address.clone())
                                && (other.kind, &other.name)
                                    != (resource.address.kind, &resource.address.name)
                            {
                                let (kind, module_of) = (other.kind, &other.module);
                                let text = format!("{path} is a {kind} of module {module_of} already");
                                push(&mut errors, error(module, declaration, Problem::new(text)));
                            }
                            resources.push(resource);
                        }
                    }
                    Err(problem) => push(&mut errors, error(module, declaration, problem)),
                }
            }
        }
    }
    if errors.is_empty() { Ok(resources) } else { Err(errors) }
}

fn error(module: &Module, declaration: &Declaration, problem: Problem) -> ModuleError {
    ModuleError {
        file: format!("{}/module.yaml", module.name),
        resource: Some(declaration.index),
        field: problem.field,
        message: problem.message,
        help: problem.help,
    }
}

fn push(errors: &mut Vec<ModuleError>, error: ModuleError) {
    if !errors.contains(&error) {
        errors.push(error);
    }
}

/// The resources of one declaration on one host.
fn declare(module: &Module, declaration: &Declaration, context: &Value) -> Result<Vec<Body>, Problem> {
    let outer = Scope { context, item: None };
    // A condition on the context guards the collection too: it may exist only then.
    let per_item = declaration.when.as_ref().is_some_and(|name| name.starts_with("item."));
    let holds = |scope: Scope<'_>| match &declaration.when {
        Some(name) => scope.boolean(name).map_err(|problem| problem.inside("when")),
        None => Ok(true),
    };
    if !per_item && !holds(outer)? {
        return Ok(Vec::new());
    }
    let Some(collection) = &declaration.for_each else {
        return Ok(vec![body(module, declaration, outer)?]);
    };
    let items = outer
        .lookup(collection)
        .and_then(|value| value.as_array().ok_or_else(|| Problem::new(format!("{collection} is no list"))))
        .map_err(|problem| problem.inside("for_each"))?;
    let mut bodies = Vec::new();
    for item in items {
        let scope = Scope { context, item: Some(item) };
        if !per_item || holds(scope)? {
            bodies.push(body(module, declaration, scope)?);
        }
    }
    Ok(bodies)
}

fn body(module: &Module, declaration: &Declaration, scope: Scope<'_>) -> Result<Body, Problem> {
    let mut fields = Map::new();
    for (key, value) in &declaration.fields {
        let value = scope.resolve(value, plain).map_err(|problem| problem.inside(key))?;
        fields.insert(key.clone(), value);
    }
    if let Some(form) = &declaration.content {
        let content = content(module, form, scope).map_err(|problem| problem.inside("content"))?;
        let inputs = inputs(declaration, &content, scope)?;
        let rereading = units(declaration.reread_by.as_ref(), "reread_by", scope)?;
        let rereading: IndexMap<String, String> =
            rereading.into_iter().map(|unit| (unit, content.digest())).collect();
        fields.insert("content".into(), json(&content)?);
        fields.insert("inputs_of".into(), json(&inputs)?);
        fields.insert("reread_by".into(), json(&rereading)?);
    } else if declaration.projection.is_some() || declaration.reread_by.is_some() {
        return Err(Problem::new("projection and reread_by are for files with content"));
    } else if declaration.inputs_of.is_some() {
        let Some(minimum) = fields.get("minimum") else {
            return Err(Problem::new("inputs_of is for files with content and for directives"));
        };
        let needed = format!("at least {minimum}");
        let inputs: IndexMap<String, String> =
            readers(declaration, scope)?.into_iter().map(|unit| (unit, needed.clone())).collect();
        fields.insert("inputs_of".into(), json(&inputs)?);
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| Problem::new(error.to_string()))
}

/// Unit → one digest of what it reads of this file.
fn inputs(
    declaration: &Declaration,
    content: &Content,
    scope: Scope<'_>,
) -> Result<IndexMap<String, String>, Problem> {
    let mut inputs = IndexMap::new();
    if let Some(projection) = &declaration.projection {
        let value = scope.resolve(projection, plain).map_err(|problem| problem.inside("projection"))?;
        let units: IndexMap<String, std::collections::BTreeMap<String, String>> =
            serde_json::from_value(value).map_err(|error| {
                Problem::new(format!("not unit → label → digest: {error}")).inside("projection")
            })?;
        for (unit, labels) in units {
            inputs.insert(unit, crate::secret::sha256_hex(json(&labels)?.to_string().as_bytes()));
        }
    }
    // Whoever reads the whole file reads more than any projection of it.
    inputs.extend(readers(declaration, scope)?.into_iter().map(|unit| (unit, content.digest())));
    Ok(inputs)
}

/// Units that `inputs_of` names.
fn readers(declaration: &Declaration, scope: Scope<'_>) -> Result<Vec<String>, Problem> {
    units(declaration.inputs_of.as_ref(), "inputs_of", scope)
}

/// The units of a list in `field`.
fn units(list: Option<&Value>, field: &str, scope: Scope<'_>) -> Result<Vec<String>, Problem> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let value = scope.resolve(list, plain).map_err(|problem| problem.inside(field))?;
    serde_json::from_value(value)
        .map_err(|error| Problem::new(format!("no list of units: {error}")).inside(field))
}

fn json(value: &impl serde::Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| Problem::new(error.to_string()))
}
