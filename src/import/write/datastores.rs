//! PostgreSQL and Redis, which stay whose they are.

use serde_json::{Map, Value, json};

use super::super::secrets::{absolute, holder, place};
use super::Writer;

impl Writer<'_> {
    pub(super) fn postgresql(&mut self) -> Value {
        let database = self.shared.get("database").cloned().unwrap_or(Value::Null);
        if database["name"] != "psycopg2" {
            self.note(
                "database",
                "it is not PostgreSQL",
                "workers need PostgreSQL: port it first (synapse_port_db)",
            );
        }
        let args = database["args"].as_object().cloned().unwrap_or_default();
        let mut external = Map::new();
        let text = |key: &str| args.get(key).and_then(Value::as_str).map(str::to_owned);
        match text("host").filter(|host| !host.starts_with('/')) {
            Some(address) => external.insert("host".to_owned(), json!(address)),
            None => {
                self.note(
                    "database",
                    "it is reached over a socket",
                    "synprov reaches it over TCP: let it listen on localhost and give its role a password",
                );
                external.insert("host".to_owned(), json!("localhost"))
            }
        };
        external.extend(args.get("port").and_then(number).map(|port| ("port".to_owned(), json!(port))));
        let name = text("database").or_else(|| text("dbname"));
        external.extend(name.map(|name| ("database".to_owned(), json!(name))));
        external.extend(text("user").map(|user| ("user".to_owned(), json!(user))));
        external.extend(text("sslmode").map(|mode| ("sslmode".to_owned(), json!(mode))));
        if let (Some(key), Some(file)) = (args.get("password").and_then(place), holder(self.main, "database"))
        {
            self.secrets.value("database", &file.path, key);
            external.insert("password".to_owned(), json!({"secret": "database"}));
        } else if args.contains_key("passfile") {
            let help =
                "write its password under secrets: database: env:VARIABLE, and password: {secret: database}";
            self.note("database", "its password stands in a passfile", help);
        }
        let known = [
            "host", "port", "database", "dbname", "user", "password", "passfile", "sslmode", "cp_min",
            "cp_max",
        ];
        external.extend(others(&args, &known));
        json!({"external": external})
    }

    pub(super) fn redis(&mut self) -> Option<Value> {
        let redis = self.shared.get("redis")?.as_object()?.clone();
        if redis.get("enabled") != Some(&Value::Bool(true)) {
            return None;
        }
        let mut external = Map::new();
        let address = redis.get("host").and_then(Value::as_str).unwrap_or("localhost");
        external.insert("host".to_owned(), json!(address));
        external.extend(redis.get("port").and_then(number).map(|port| ("port".to_owned(), json!(port))));
        if redis.contains_key("path") {
            self.note(
                "redis",
                "it is reached over a socket",
                "synprov reaches it over TCP: let it listen on localhost",
            );
        }
        match (redis.get("password").and_then(place), redis.get("password_path").and_then(Value::as_str)) {
            (Some(key), _) => {
                if let Some(file) = holder(self.main, "redis") {
                    self.secrets.value("redis", &file.path, key);
                    external.insert("password".to_owned(), json!({"secret": "redis"}));
                }
            }
            (None, Some(path)) => {
                let path = absolute(self.main, path);
                self.secrets.file("redis", &path);
                external.insert("password".to_owned(), json!({"secret": "redis"}));
            }
            (None, None) => {}
        }
        let known = ["enabled", "host", "port", "path", "password", "password_path"];
        external.extend(others(&redis, &known));
        Some(json!({"external": external}))
    }
}

/// `args:` with what has no key of its own, if there is anything.
fn others(written: &Map<String, Value>, known: &[&str]) -> Option<(String, Value)> {
    let others: Map<String, Value> = written
        .iter()
        .filter(|(key, _)| !known.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!others.is_empty()).then(|| ("args".to_owned(), Value::Object(others)))
}

/// A number, also one that was written as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// `db_pool:` of a database's settings, if they have both of its ends.
pub(super) fn db_pool(database: Option<&Value>) -> Option<Value> {
    let args = database?.get("args")?;
    let (min, max) = (number(args.get("cp_min")?)?, number(args.get("cp_max")?)?);
    Some(json!({"min": min, "max": max}))
}
