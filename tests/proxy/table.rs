//! Requests with the class and the pool that are meant to serve them, asked of every proxy and of `synprov route`.
//!
//! `tests/data/routes/NAME.txt`: an inventory, a line of dashes, then a request a line:
//! METHOD TARGET CLASS POOL, then headers or `from=ADDRESS`, separated by two spaces. `- 404`: the
//! proxy refuses it. MAS is Matrix Authentication Service.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use synprov::inventory::{Lock, ProxyKind, parse};
use synprov::topology::{Gate, MAS, MAS_SERVER, Request, Router, Topology, resolve};

use crate::client::Client;
use crate::echo;
use crate::proxy::{has, start};

/// One line of a table.
struct Row {
    method: String,
    target: String,
    class: String,
    pool: String,
    headers: Vec<String>,
    from: Option<String>,
}

struct Table {
    name: String,
    inventory: String,
    rows: Vec<Row>,
}

fn tables() -> Vec<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/routes");
    let mut tables: Vec<Table> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let (inventory, rows) = text.split_once("\n---\n").unwrap();
        let rows = rows.lines().map(row).collect();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        tables.push(Table { name, inventory: format!("{inventory}\n"), rows });
    }
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    tables
}

fn row(line: &str) -> Row {
    let mut parts = line.split("  ").map(str::trim).filter(|part| !part.is_empty());
    let mut words = Vec::new();
    while words.len() < 4 {
        words.extend(parts.next().unwrap_or_else(|| panic!("{line}")).split(' ').map(ToOwned::to_owned));
    }
    let (from, headers): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with("from="));
    let [method, target, class, pool] = words.try_into().unwrap_or_else(|_| panic!("{line}"));
    let headers = headers.into_iter().map(ToOwned::to_owned).collect();
    let from = from.first().map(|from| from["from=".len()..].to_owned());
    Row { method, target, class, pool, headers, from }
}

/// The topology with echo backends; the proxy believes this machine who the client is.
fn topology(table: &Table) -> Topology {
    let (inventory, found) = parse(&table.inventory);
    let resolved = resolve(&inventory.unwrap_or_else(|| panic!("{found:?}")), &Lock::default());
    let mut topology = resolved.topology.unwrap_or_else(|| panic!("{:?}", resolved.diagnostics));
    topology.proxy.as_mut().unwrap().trusted_proxies = vec!["127.0.0.1/32".to_owned()];
    echo::serve_all(&mut topology);
    if let Some(mas) = &mut topology.mas {
        mas.address = topology.upstreams[MAS].servers[0].address.clone();
    }
    topology
}

/// Pool of whoever answered, `MAS`, or the status.
fn pool(topology: &Topology, client: &mut Client, row: &Row) -> String {
    let mut headers: Vec<String> = row.headers.clone();
    headers.extend(row.from.iter().map(|from| format!("X-Forwarded-For: {from}")));
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let who = client.who(&row.method, &row.target, &headers);
    let instance = topology.instances.iter().find(|instance| instance.name == who);
    instance.map_or(who, |instance| instance.pool.clone())
}

fn on_a_real(kind: ProxyKind) {
    if !has(kind) {
        return;
    }
    let mut wrong = Vec::new();
    let mut count = 0;
    for table in &tables() {
        let topology = topology(table);
        let proxy = start(kind, topology.clone());
        let mut client = proxy.client();
        for row in &table.rows {
            count += 1;
            let got = pool(&topology, &mut client, row);
            if got != row.pool {
                let Row { method, target, pool, .. } = row;
                wrong.push(format!("{}: {method} {target} {:?}: {got}, not {pool}", table.name, row.headers));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    eprintln!("seen   {count} requests");
}

#[test]
fn requests_on_a_real_nginx() {
    on_a_real(ProxyKind::Nginx);
}

#[test]
fn requests_on_a_real_haproxy() {
    on_a_real(ProxyKind::Haproxy);
}

/// What `synprov route` says of a row: class and pool.
fn told(folder: &Path, row: &Row) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synprov"));
    command.current_dir(folder).args(["route", "--json", "inventory.yaml", &row.method, &row.target]);
    for header in &row.headers {
        command.args(["--header", header]);
    }
    if let Some(from) = &row.from {
        command.args(["--from", from]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let route = &answer["route"];
    let text = |key: &str| route[key].as_str().unwrap().to_owned();
    match text("gate").as_str() {
        "open" if route["processes"][0]["name"] == MAS_SERVER => (text("class"), MAS_SERVER.to_owned()),
        "open" => (text("class"), text("pool")),
        _ => ("-".to_owned(), "404".to_owned()),
    }
}

/// The program is started for every seventh row, its router asked in this process for the others.
#[test]
fn requests_as_synprov_route_tells_them() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for table in tables() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("inventory.yaml"), &table.inventory).unwrap();
        let topology = topology(&table);
        let router = topology.router();
        for row in &table.rows {
            count += 1;
            let (class, pool) =
                if count % 7 == 0 { told(folder.path(), row) } else { routed(&topology, &router, row) };
            if (&class, &pool) != (&row.class, &row.pool) {
                wrong.push(format!("{}: {} {}: {class} {pool}", table.name, row.method, row.target));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count >= 400, "only {count} rows");
}

/// Class and pool as the router has them.
fn routed(topology: &Topology, router: &Router<'_>, row: &Row) -> (String, String) {
    let pair = |header: &String| {
        let (name, value) = header.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    };
    let found = router.route(&Request {
        headers: row.headers.iter().map(pair).collect(),
        source: row.from.as_ref().map(|from| from.parse().unwrap()),
        ..Request::new(&row.method, &row.target)
    });
    if found.gate != Gate::Open {
        return ("-".to_owned(), "404".to_owned());
    }
    let pool = &topology.upstreams[&found.upstream].pool;
    let mas = found.instances.iter().any(|name| name == MAS_SERVER);
    (found.class, if mas { MAS_SERVER } else { pool }.to_owned())
}
