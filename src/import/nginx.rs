//! Where a hand-made nginx sends a path: its locations and upstreams, as far as they are plain.
//!
//! nginx's documentation, `location`: the exact one, else the longest prefix (which ends the search if it is
//! `^~`), else the first regular expression, else that prefix. Never here: what a path is for.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use regex::Regex;

/// Most directives that are read, and deepest nesting: configuration may come from anybody.
const MOST: usize = 50_000;
const DEEPEST: usize = 20;
/// Largest regular expression, in bytes of its program.
const LARGEST: usize = 1 << 20;

/// Locations of all servers, and what names stand for.
#[derive(Debug, Default)]
pub struct Nginx {
    locations: Vec<Location>,
    /// Upstream → servers.
    upstreams: IndexMap<String, Vec<String>>,
    /// `$variable` of a map → its values.
    maps: IndexMap<String, Vec<String>>,
    /// Regular expressions that were not understood.
    pub strange: Vec<String>,
}

#[derive(Debug)]
enum Matcher {
    Exact(String),
    Prefix { text: String, last: bool },
    Expression(Regex),
}

#[derive(Debug)]
struct Location {
    matcher: Matcher,
    /// What stands in `proxy_pass` without the scheme; `None`: it is not passed on.
    passes: Option<String>,
}

/// One directive: its words, and what stands in its block.
#[derive(Debug, Default)]
struct Directive {
    words: Vec<String>,
    block: Vec<Directive>,
}

impl Nginx {
    /// Reads the files, the first of which is nginx.conf. Includes are followed by path.
    pub fn read(files: &[(String, String)]) -> Self {
        let mut nginx = Self::default();
        let mut left = MOST;
        for (_, text) in files {
            let mut tokens = tokens(text).into_iter();
            let directives = block(&mut tokens, 0, &mut left);
            // A snippet that is included into a server has its locations at its top.
            nginx.take(&directives);
        }
        nginx
    }

    fn take(&mut self, directives: &[Directive]) {
        for directive in directives {
            let words: Vec<&str> = directive.words.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["http" | "server", ..] => self.take(&directive.block),
                ["upstream", name] => {
                    let servers = directive
                        .block
                        .iter()
                        .filter(|one| one.words.first().is_some_and(|word| word == "server"));
                    let servers = servers.filter_map(|one| one.words.get(1).cloned()).collect();
                    self.upstreams.insert((*name).to_owned(), servers);
                }
                ["map", _, variable] => {
                    let special = |word: &str| matches!(word, "hostnames" | "volatile" | "include");
                    let values = directive
                        .block
                        .iter()
                        .filter(|one| !one.words.first().is_some_and(|word| special(word)));
                    let values = values.filter_map(|one| one.words.get(1).cloned()).collect();
                    self.maps.insert((*variable).to_owned(), values);
                }
                ["split_clients", _, variable] => {
                    let values = directive.block.iter().filter_map(|one| one.words.get(1).cloned()).collect();
                    self.maps.insert((*variable).to_owned(), values);
                }
                ["location", matcher @ ..] => self.location(matcher, &directive.block),
                _ => {}
            }
        }
    }

    fn location(&mut self, words: &[&str], block: &[Directive]) {
        let expression = |pattern: &str, caseless: bool| {
            let pattern = if caseless { format!("(?i){pattern}") } else { pattern.to_owned() };
            regex::RegexBuilder::new(&pattern).size_limit(LARGEST).build().ok().map(Matcher::Expression)
        };
        let (matcher, written) = match words {
            ["=", path] => (Some(Matcher::Exact((*path).to_owned())), path),
            ["^~", path] => (Some(Matcher::Prefix { text: (*path).to_owned(), last: true }), path),
            ["~", pattern] => (expression(pattern, false), pattern),
            ["~*", pattern] => (expression(pattern, true), pattern),
            [path] if path.starts_with('@') => return,
            [path] => (Some(Matcher::Prefix { text: (*path).to_owned(), last: false }), path),
            _ => return,
        };
        let Some(matcher) = matcher else {
            self.strange.push((*written).to_owned());
            return;
        };
        let first = |name: &str| {
            block
                .iter()
                .find(|one| one.words.first().is_some_and(|word| word == name))
                .and_then(|one| one.words.get(1))
        };
        let passes = first("proxy_pass").map(|url| {
            let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            // `unix:/run/x.sock:/` has its path behind a colon.
            match rest.strip_prefix("unix:") {
                Some(_) => rest.trim_end_matches(":/").to_owned(),
                None => rest.split('/').next().unwrap_or_default().to_owned(),
            }
        });
        self.locations.push(Location { matcher, passes });
    }

    /// Servers (`ADDRESS:PORT`, `unix:/PATH`) that may get a request for this path; none: it goes nowhere.
    pub fn servers(&self, path: &str) -> BTreeSet<String> {
        let passes = self.find(path).and_then(|location| location.passes.as_deref());
        let mut servers = BTreeSet::new();
        if let Some(passes) = passes {
            self.stands_for(passes, 0, &mut servers);
        }
        servers
    }

    fn find(&self, path: &str) -> Option<&Location> {
        let mut longest: Option<(&Location, usize, bool)> = None;
        for location in &self.locations {
            match &location.matcher {
                Matcher::Exact(text) if text == path => return Some(location),
                Matcher::Prefix { text, last }
                    if path.starts_with(text.as_str())
                        && longest.is_none_or(|(_, length, _)| text.len() > length) =>
                {
                    longest = Some((location, text.len(), *last));
                }
                _ => {}
            }
        }
        if let Some((location, _, true)) = longest {
            return Some(location);
        }
        let matches = |location: &&Location| matches!(&location.matcher, Matcher::Expression(regex) if regex.is_match(path));
        self.locations.iter().find(matches).or(longest.map(|(location, ..)| location))
    }

    fn stands_for(&self, name: &str, depth: usize, servers: &mut BTreeSet<String>) {
        if depth > DEEPEST || servers.len() > MOST {
            return;
        }
        if let Some(values) = self.maps.get(name) {
            values.iter().for_each(|value| self.stands_for(value, depth + 1, servers));
        } else if let Some(members) = self.upstreams.get(name) {
            servers.extend(members.iter().cloned());
        } else if !name.contains('$') {
            servers.insert(name.to_owned());
        }
    }
}

/// A word, or one of `;`, `{` and `}`.
#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(char),
}

/// Comments are gone; quoted words come without their quotes.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut word, mut begun, mut quote) = (String::new(), false, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            // nginx keeps the backslash of what it does not know: `\.` of an expression.
            (Some(_), '\\') => match chars.next() {
                Some(escaped @ ('"' | '\'')) => word.push(escaped),
                Some(other) => word.extend(['\\', other]),
                None => {}
            },
            (Some(_), c) => word.push(c),
            (None, '#') if !begun => drop(chars.by_ref().find(|c| *c == '\n')),
            (None, '\'' | '"') if !begun => (quote, begun) = (Some(c), true),
            (None, '\\') => {
                begun = true;
                word.push(c);
                word.extend(chars.next());
            }
            // `${name}` is part of a word.
            (None, '{') if word.ends_with('$') => {
                word.push(c);
                for c in chars.by_ref() {
                    word.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            (None, c) if c.is_whitespace() || matches!(c, ';' | '{' | '}') => {
                if std::mem::take(&mut begun) {
                    tokens.push(Token::Word(std::mem::take(&mut word)));
                }
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
            }
            (None, c) => {
                begun = true;
                word.push(c);
            }
        }
    }
    tokens
}

fn block(tokens: &mut std::vec::IntoIter<Token>, depth: usize, left: &mut usize) -> Vec<Directive> {
    let mut directives = Vec::new();
    let mut words = Vec::new();
    while let Some(token) = tokens.next() {
        let sign = match token {
            Token::Word(word) => {
                words.push(word);
                continue;
            }
            Token::Sign(sign) => sign,
        };
        let ends = sign == '}';
        if !ends && *left > 0 {
            *left -= 1;
            let opens = sign == '{';
            let block = if opens && depth < DEEPEST { block(tokens, depth + 1, left) } else { Vec::new() };
            directives.push(Directive { words: std::mem::take(&mut words), block });
        }
        if ends {
            return directives;
        }
    }
    directives
}

#[cfg(test)]
mod tests {
    use super::Nginx;

    const SITE: &str = r#"
        # a comment; with { signs }
        http {
            upstream sync { least_conn; server 127.0.0.1:8081; server 127.0.0.1:8082 weight=2; }
            map $arg_since $syncs { default sync; '' initial; }
            upstream initial { server unix:/run/initial.sock; }
            server {
                listen 443 ssl;
                location ~ ^/_matrix/client/(r0|v3)/sync$ { proxy_pass http://$syncs; }
                location ~* "^/_matrix/client/[a-z0-9]{2}/(\;|keys)" { proxy_pass http://127.0.0.1:8083; }
                location /_matrix { proxy_pass http://localhost:8008; }
                location ^~ /_matrix/media/ { proxy_pass http://127.0.0.1:8085/; }
                location = /_matrix/media/x { return 404; }
                location / { root /var/www; }
            }
        }
    "#;

    fn check(path: &str, expected: &[&str]) {
        let nginx = Nginx::read(&[("/etc/nginx/nginx.conf".to_owned(), SITE.to_owned())]);
        assert_eq!(nginx.servers(path).into_iter().collect::<Vec<_>>(), expected, "{path}");
    }

    #[test]
    fn a_path_goes_where_nginx_sends_it() {
        check("/_matrix/client/v3/sync", &["127.0.0.1:8081", "127.0.0.1:8082", "unix:/run/initial.sock"]);
        check("/_matrix/client/V3/keys/query", &["127.0.0.1:8083"]);
        check("/_matrix/client/v3/login", &["localhost:8008"]);
        check("/_matrix/media/v3/upload", &["127.0.0.1:8085"]);
        check("/_matrix/media/x", &[]);
        check("/index.html", &[]);
    }

    #[test]
    fn what_is_no_configuration_is_read_to_its_end() {
        let deep = "a {".repeat(10_000);
        for text in
            ["}}}{{{;;;", "\"open", "location ~ ( { proxy_pass http://x; }", "\\", "${", deep.as_str()]
        {
            let nginx = Nginx::read(&[("/x".to_owned(), text.to_owned())]);
            assert!(nginx.servers("/_matrix").is_empty(), "{text}");
        }
    }
}
