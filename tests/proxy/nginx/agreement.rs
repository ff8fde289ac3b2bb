//! Random requests, made from the routes' own expressions: nginx does what `topology::Router` says.

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use proptest::test_runner::{Config, TestRunner};
use synprov::inventory::ProxyKind;
use synprov::topology::{Gate, Request, Topology};

use super::topology;
use crate::echo;
use crate::proxy::{has, start};

/// Everything at once: writers, splits, selectors, networks, MAS.
fn everything() -> Topology {
    topology(
        ", admin: {from: [10.1.0.0/16]}",
        "mas: {endpoint: \"http://10.8.0.9:8080/\", secret: {secret: mas}}\n\
         workers:\n  \
         reader: {host: hs1, handles: [client_reader, federation_read, admin]}\n  \
         bridge: {host: hs1, handles: [client, sync], select: {appservice: telegram}}\n  \
         bots: {host: hs1, handles: [event_sending, client_reader], select: {user_agent: [\"^bot\"], source: [10.0.0.0/8]}}\n  \
         vip: {host: hs1, handles: [sync, client, federation], select: {users: [\"@bob:example.org\"], rooms: [\"!a:b\"]}}\n  \
         initial: {host: hs1, handles: [initial_sync]}\n  \
         sync: {host: hs1, count: 2, handles: [sync]}\n  \
         sender: {host: hs1, count: 2, handles: [event_sending, mas]}\n  \
         typing: {host: hs1, writes: [typing, to_device, push_rules]}\n  \
         receipts: {host: hs1, writes: [receipts, presence, thread_subscriptions]}\n  \
         inbound: {host: hs1, handles: [federation_inbound]}\n  \
         media: {host: hs1, count: 2, handles: [media]}\n  \
         login: {host: hs1, handles: [login, sso, encryption, pagination]}\n",
    )
}

/// Paths that some expression matches, or almost.
fn path(topology: &Topology) -> impl Strategy<Value = String> + use<> {
    let mut made: Vec<_> = topology
        .routes
        .iter()
        .map(|route| {
            let pattern = route.regex.trim_start_matches('^').replace('$', "");
            let pattern = pattern.replace("[^/]+", "[a-z!:.@]{1,4}").replace(".*", "(!a:b|[a-z!:@/]{0,6})");
            string_regex(&format!("{pattern}(|/|x|/x)")).unwrap().boxed()
        })
        .collect();
    let fixed = [
        "/",
        "/health",
        "/_matrix/",
        "/_matrix/client/v3/pushers",
        "/_synapse/client/unsubscribe",
        "/_matrixx",
        "/_synapse/admin/v2/users",
        "/_synapse/mas/x",
        "/_synapse/replication/x",
        "/.well-known/matrix/client",
        "/.well-known/matrix/server",
    ];
    made.push(select(fixed.map(ToOwned::to_owned).to_vec()).boxed());
    proptest::strategy::Union::new(made)
}

/// The same path, written in another way.
fn spelling() -> impl Strategy<Value = fn(String) -> String> {
    fn encoded(path: String) -> String {
        path.chars()
            .map(|c| {
                if matches!(c, '!' | ':' | '@' | 's') { format!("%{:02x}", c as u32) } else { c.to_string() }
            })
            .collect()
    }
    fn slashes(path: String) -> String {
        path.replace('/', "%2F").replacen("%2F", "/", 3)
    }
    fn dots(path: String) -> String {
        format!("/x/../{}", path.replacen("/client", "//./client", 1).trim_start_matches('/'))
    }
    prop_oneof![4 => Just((|path| path) as fn(String) -> String), 1 => Just(encoded as _), 1 => Just(slashes as _), 1 => Just(dots as _)]
}

fn request(topology: &Topology) -> impl Strategy<Value = Request> + use<> {
    let methods = ["GET", "GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];
    let queries = [
        "",
        "?",
        "?since=s1",
        "?since=",
        "?SINCE=1&full_state=true",
        "?full_state=true&since=a",
        "?full_state=True&since=a",
        "?a=since=1",
        "?from=x",
        "?user_id=%40bob%3Aexample.org",
        "?user_id=@bob:example.orgs",
        "?access_token=syt_Ym9i_a_1",
        "?nosince=1&since",
        "?access_token=token-appservice-telegram-token",
    ];
    let agents = ["", "bot/1", "Bot/1", "curl"];
    let tokens = [
        "",
        "Bearer syt_Ym9i_x_1",
        "bearer  syt_Ym9ib_x_1",
        "Bearer token-appservice-telegram-token",
        "X-Matrix origin=a",
    ];
    let sources = ["10.1.2.3", "10.2.2.3", "192.0.2.1", "10.8.0.9", "fd00::1"];
    let who = (select(agents.to_vec()), select(tokens.to_vec()), select(sources.to_vec()));
    (select(methods.to_vec()), path(topology), spelling(), select(queries.to_vec()), who).prop_map(
        |(method, path, spell, query, (agent, token, source))| {
            let mut request = Request::new(method, &format!("{}{query}", spell(path)));
            for (name, value) in [("User-Agent", agent), ("Authorization", token)] {
                if !value.is_empty() {
                    request.headers.push((name.to_owned(), value.to_owned()));
                }
            }
            request.source = source.parse().ok();
            let service = request.token() == Some("token-appservice-telegram-token");
            request.appservice = service.then(|| "telegram".to_owned());
            request
        },
    )
}

#[test]
fn nginx_does_what_the_router_says() {
    if !has(ProxyKind::Nginx) {
        return;
    }
    let plan = everything();
    let mut served = plan.clone();
    echo::serve_all(&mut served);
    let proxy = start(ProxyKind::Nginx, served);
    let client = RefCell::new(proxy.client());
    let router = plan.router();
    let cases = Config { cases: 800, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(cases).run(&request(&plan), |request| {
        let forwarded = format!("X-Forwarded-For: {}", request.source.unwrap());
        let mut headers = vec![forwarded];
        headers.extend(request.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let got = client.borrow_mut().who(&request.method, &request.target, &headers);
        let meant = router.route(&request);
        let right = match meant.gate {
            Gate::Open => meant.instances.contains(&got),
            Gate::Own if request.path() == "/.well-known/matrix/server" => got == "200",
            Gate::Own | Gate::Admin | Gate::Mas | Gate::Replication => got == "404",
        };
        prop_assert!(right, "{got}, not {meant:?}");
        Ok(())
    });
    checked.unwrap();
}
