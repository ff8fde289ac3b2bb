//! What routes ask besides method and path, as nginx variables.
//!
//! Each condition becomes a variable that is its word, or `-` if it does not hold. The table of
//! routes reads all of them in one order: `,no_since,-,bridge,`.
//! Exact strings of a `map` ignore the case, expressions do not: so all are expressions.

use super::{Directive, block, comment, line};
use crate::topology::{Condition, Route, Topology, token_of};

/// All conditions of a topology's routes, each once.
pub(super) struct Conditions<'a> {
    topology: &'a Topology,
    all: Vec<&'a Condition>,
    prefix: String,
}

impl<'a> Conditions<'a> {
    /// Errors: a parameter or value that is not made of letters, digits and underscores.
    pub fn new(topology: &'a Topology, routes: &[&'a Route], prefix: &str) -> Result<Self, String> {
        let mut all: Vec<&Condition> = Vec::new();
        for condition in routes.iter().flat_map(|route| &route.conditions) {
            let words = match condition {
                Condition::WithoutQuery(name) => vec![name],
                Condition::Query { name, value } => vec![name, value],
                Condition::Selected(pool) if topology.selectors.contains_key(pool) => Vec::new(),
                Condition::Selected(pool) => return Err(format!("pool {pool:?} has no selector")),
            };
            if let Some(word) = words.into_iter().find(|word| !is_word(word)) {
                return Err(format!("{word:?} cannot stand in a condition for nginx"));
            }
            if !all.contains(&condition) {
                all.push(condition);
            }
        }
        Ok(Self { topology, all, prefix: prefix.to_owned() })
    }

    /// The variables one after the other, as the table's source has them.
    pub fn source(&self) -> String {
        let mut source = String::from(",");
        for condition in &self.all {
            source.push_str(&format!("${}_{},", self.prefix, self.variable(condition)));
        }
        source
    }

    /// An expression for a source in which all conditions of `route` hold.
    pub fn pattern(&self, route: &Route) -> String {
        if route.conditions.is_empty() {
            return "[^ ]+".to_owned();
        }
        let words = self.all.iter().map(|condition| match route.conditions.contains(condition) {
            true => format!("{},", word(condition)),
            false => "[^,]+,".to_owned(),
        });
        format!(",{}", words.collect::<String>())
    }

    /// Whether a map asks for the access token.
    pub fn asks_token(&self) -> bool {
        let selectors = &self.topology.selectors;
        self.all.iter().any(|condition| match condition {
            Condition::Selected(pool) => selectors
                .get(pool)
                .is_some_and(|selector| !selector.users.is_empty() || !selector.appservices.is_empty()),
            _ => false,
        })
    }

    /// The maps behind the variables, but for `$PREFIX_appservice`.
    pub fn maps(&self) -> Vec<Directive> {
        let mut tree = Vec::new();
        for condition in &self.all {
            let variable = format!("${}_{}", self.prefix, self.variable(condition));
            let word = word(condition);
            match condition {
                Condition::WithoutQuery(name) => {
                    let rows = vec![line("default", &["-"]), line("", &[&word])];
                    tree.push(block("map", &[&format!("$arg_{name}"), &variable], rows));
                }
                Condition::Query { name, value } => {
                    let rows = vec![line("default", &["-"]), line(&format!("~^{value}$"), &[&word])];
                    tree.push(block("map", &[&format!("$arg_{name}"), &variable], rows));
                }
                Condition::Selected(pool) => tree.extend(self.selected(pool, &variable, &word)),
            }
        }
        tree
    }

    /// The file that tells application services by their tokens; `None` if no pool asks.
    pub fn appservices(&self) -> Option<Vec<Directive>> {
        let mut names: Vec<&str> = Vec::new();
        for condition in &self.all {
            let Condition::Selected(pool) = condition else { continue };
            let Some(selector) = self.topology.selectors.get(pool) else { continue };
            for name in &selector.appservices {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        if names.is_empty() {
            return None;
        }
        let prefix = &self.prefix;
        let mut rows = vec![line("default", &[""])];
        rows.extend(names.iter().map(|name| Directive { secret: Some(token_of(name)), ..line("", &[name]) }));
        Some(vec![
            comment("Application services by their as_token."),
            block("map", &[&format!("${prefix}_token"), &format!("${prefix}_appservice")], rows),
        ])
    }

    /// Variables are numbered: names of pools may hold what names of variables may not.
    fn variable(&self, condition: &Condition) -> String {
        match condition {
            Condition::WithoutQuery(name) => format!("no_{name}"),
            Condition::Query { name, value } => format!("with_{name}_{value}"),
            Condition::Selected(pool) => {
                format!("selected{}", self.topology.selectors.get_index_of(pool).unwrap_or_default() + 1)
            }
        }
    }

    /// A variable for each list of the selector that is not empty, and one for all of them.
    fn selected(&self, pool: &str, variable: &str, word: &str) -> Vec<Directive> {
        let Some(selector) = self.topology.selectors.get(pool) else { return Vec::new() };
        let prefix = &self.prefix;
        let mut tree = Vec::new();
        let mut parts: Vec<String> = Vec::new();
        let mut map = |what: &str, source: &str, patterns: &[String]| {
            let part = format!("{variable}_{what}");
            let mut rows = vec![line("default", &["0"])];
            rows.extend(patterns.iter().map(|pattern| line(&format!("~{pattern}"), &["1"])));
            tree.push(block("map", &[source, &part], rows));
            part
        };
        if !selector.appservices.is_empty() {
            let names = format!("^(?:{})$", selector.appservices.join("|"));
            parts.push(map("appservice", &format!("${prefix}_appservice"), &[names]));
        }
        if !selector.user_agents.is_empty() {
            parts.push(map("agent", "$http_user_agent", &selector.user_agents));
        }
        if let Some(pattern) = selector.room_pattern() {
            parts.push(map("room", "$uri", &[pattern]));
        }
        if let (Some(token), Some(user_id)) = (selector.token_pattern(), selector.user_id_pattern()) {
            let token = map("token", &format!("${prefix}_token"), &[token]);
            let user_id = map("user_id", "$arg_user_id", &[user_id]);
            // One of both.
            parts.push(map("user", &format!("{token}{user_id}"), &["1".to_owned()]));
        }
        if !selector.sources.is_empty() {
            let part = format!("{variable}_source");
            let mut rows = vec![line("default", &["0"])];
            rows.extend(selector.sources.iter().map(|network| line(network, &["1"])));
            tree.push(block("geo", &["$remote_addr", &part], rows));
            parts.push(part);
        }
        let all = parts.concat();
        let rows = vec![line("default", &["-"]), line(&format!("~^{}$", "1".repeat(parts.len())), &[word])];
        tree.insert(0, comment(&format!("Requests that pool {pool} selects.")));
        tree.push(block("map", &[&all, variable], rows));
        tree
    }
}

/// What the variable says if the condition holds. A pool's name holds neither space nor comma.
fn word(condition: &Condition) -> String {
    match condition {
        Condition::WithoutQuery(name) => format!("no_{name}"),
        Condition::Query { name, value } => format!("{name}={value}"),
        Condition::Selected(pool) => pool.clone(),
    }
}

/// Letters, digits and underscores: what nginx takes in a variable's name.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
