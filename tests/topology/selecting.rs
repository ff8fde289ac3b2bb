//! Dedicated pools, shares, and what the proxy lets in.

use synprov::inventory::{self, Lock};
use synprov::topology::{Gate, Request, Topology, resolve};

const SITE: &str = r##"
hosts:
  hs1: {address: 192.0.2.10, internal_address: 10.8.0.1}
  hs2: {address: 192.0.2.11, internal_address: 10.8.0.2}
synapse:
  server_name: example.org
  version: 1.163.2
  appservices: {telegram: {file: telegram.yaml}, irc: {file: irc.yaml}}
postgresql: {host: hs1}
redis: {host: hs1}
main: {host: hs1}
proxy: {host: hs2, tls: none, admin: {from: [10.8.0.0/24]}}
workers:
  bridge:  {host: hs1, handles: [event_sending, sync], select: {appservice: telegram, source: [10.0.0.0/8]}}
  bots:    {host: hs1, handles: [client], select: {user_agent: "^bot/"}}
  party:   {host: hs1, count: 2, handles: [event_sending], select: {rooms: ["!party:example.org", "#fun:example.org"]}}
  vip:     {host: hs2, handles: [sync], select: {users: ["@alice:example.org", "@bob:example.org"]}}
  sender:  {hosts: {hs1: 1, hs2: {count: 2, weight: 3}}, handles: [event_sending]}
  more:    {host: hs1, handles: [event_sending], weight: 2}
  reader:  {host: hs1, handles: [client_reader]}
"##;

fn site(change: impl FnOnce(String) -> String) -> Topology {
    let (inventory, found) = inventory::parse(&change(SITE.to_owned()));
    let resolved = resolve(&inventory.unwrap_or_else(|| panic!("{found:#?}")), &Lock::default());
    resolved.topology.unwrap_or_else(|| panic!("{found:#?} {:#?}", resolved.diagnostics))
}

/// Class and upstream of a request, described by words: `as=NAME`, `from=IP`, `agent=…`, `token=…`.
fn check(topology: &Topology, method: &str, target: &str, words: &str, expected: &str) {
    let mut request = Request::new(method, target);
    for (key, value) in words.split_whitespace().filter_map(|word| word.split_once('=')) {
        let header = |name: &str, value: String| (name.to_owned(), value);
        match key {
            "as" => request.appservice = Some(value.to_owned()),
            "from" => request.source = Some(value.parse().unwrap()),
            "agent" => request.headers.push(header("User-Agent", value.to_owned())),
            "token" => request.headers.push(header("Authorization", format!("Bearer {value}"))),
            _ => panic!("{key}"),
        }
    }
    let found = topology.router().route(&request);
    assert_eq!(format!("{} {}", found.class, found.upstream), expected, "{method} {target} {words}");
}

#[test]
fn a_dedicated_pool_takes_what_fits_its_selector_and_others_take_the_rest() {
    let topology = site(|text| text);
    let send = "/_matrix/client/v3/rooms/!a:example.org/send/m.room.message/1";
    let common = "event_sending sender.more.room";
    check(&topology, "PUT", send, "", common);
    check(&topology, "PUT", send, "as=telegram", common);
    check(&topology, "PUT", send, "as=telegram from=192.0.2.1", common);
    check(&topology, "PUT", send, "as=irc from=10.1.2.3", common);
    check(&topology, "PUT", send, "as=telegram from=10.1.2.3", "event_sending bridge.room");
    // First match wins, in inventory order.
    let party = "/_matrix/client/v3/rooms/%21party%3Aexample.org/send/m.room.message/1";
    check(&topology, "PUT", party, "", "event_sending party.room");
    check(&topology, "PUT", party, "as=telegram from=10.1.2.3", "event_sending bridge.room");
    check(&topology, "POST", "/_matrix/client/v3/join/%23fun:example.org", "", "event_sending party.room");
    check(&topology, "POST", "/_matrix/client/v3/join/%23funny:example.org", "", common);

    check(&topology, "GET", "/_matrix/client/versions", "", "client_reader reader");
    check(&topology, "GET", "/_matrix/client/versions", "agent=bot/2", "client_reader bots");
    // A class of the selecting pool alone: the rest is main's.
    check(&topology, "POST", "/_matrix/client/v3/login", "agent=bot/2", "login bots");
    check(&topology, "POST", "/_matrix/client/v3/login", "agent=curl", "main main");
    check(&topology, "PUT", "/_matrix/client/v3/pushrules/a", "agent=bot/2", "main main");

    let sync = "/_matrix/client/v3/sync?since=s1";
    check(&topology, "GET", sync, "", "main main");
    check(&topology, "GET", sync, "token=syt_YWxpY2U_abc_1", "sync vip.user");
    check(&topology, "GET", sync, "token=syt_YWxpY2Vz_abc_1", "main main");
    check(&topology, "GET", sync, "token=mat_YWxpY2U_abc", "main main");
    check(&topology, "GET", "/_matrix/client/v3/sync?access_token=syt_Ym9i_a_1", "", "initial_sync vip.user");
    check(
        &topology,
        "GET",
        "/_matrix/client/v3/sync?since=1&user_id=%40bob%3aexample.org",
        "token=x",
        "sync vip.user",
    );
}

#[test]
fn pools_of_one_class_share_its_requests_by_weight() {
    let topology = site(|text| text);
    let shares: Vec<(&str, u32)> = topology.upstreams["sender.more.room"]
        .servers
        .iter()
        .map(|server| (server.instance.as_str(), server.weight))
        .collect();
    assert_eq!(shares, [("sender", 1), ("sender2", 3), ("sender3", 3), ("more", 2)]);
}

#[test]
fn tokens_of_selected_application_services_go_to_the_proxy_alone() {
    let topology = site(|text| text);
    let token = &topology.secrets["appservice-telegram-token"];
    assert_eq!(token.hosts, ["hs2"]);
    assert!(!topology.secrets.contains_key("appservice-irc-token"));
    assert!(topology.instances.iter().all(|one| !one.secrets.iter().any(|name| name.ends_with("-token"))));
}

#[test]
fn initial_syncs_are_those_without_a_beginning_or_with_the_full_state() {
    let topology = site(|text| {
        text + "  first: {host: hs1, handles: [initial_sync]}\n  next: {host: hs1, handles: [sync]}\n"
    });
    for (target, expected) in [
        ("/_matrix/client/v3/sync", "initial_sync first.user"),
        ("/_matrix/client/v3/sync?since=", "initial_sync first.user"),
        ("/_matrix/client/v3/sync?SINCE=s1", "sync next.user"),
        ("/_matrix/client/v3/sync?since=s1", "sync next.user"),
        ("/_matrix/client/v3/sync?since=s1&full_state=true", "initial_sync first.user"),
        ("/_matrix/client/v3/sync?since=s1&full_state=false", "sync next.user"),
        ("/_matrix/client/v3/events", "initial_sync first.user"),
        ("/_matrix/client/v3/events?from=s1", "sync next.user"),
        ("/_matrix/client/v3/initialSync?from=x", "initial_sync first.user"),
    ] {
        check(&topology, "GET", target, "", expected);
        check(&topology, "HEAD", target, "", expected);
        check(&topology, "OPTIONS", target, "", expected);
    }
}

#[test]
fn with_mas_logins_go_there_and_its_api_is_open_to_it_alone() {
    let mas = "mas: {endpoint: \"http://10.8.0.9:8080/\", secret: {secret: mas}}\n";
    let topology = site(|text| {
        format!("{mas}{}", text.replace("  appservices:", "  secrets: {mas: env:MAS}\n  appservices:"))
    });
    for (method, path) in [
        ("POST", "/_matrix/client/v3/login"),
        ("GET", "/_matrix/client/r0/login"),
        ("POST", "/_matrix/client/v3/logout"),
        ("POST", "/_matrix/client/v3/logout/all"),
        ("POST", "/_matrix/client/v3/refresh"),
        ("GET", "/_matrix/client/v3/login/sso/redirect/x"),
        ("OPTIONS", "/_matrix/client/v3/refresh"),
    ] {
        check(&topology, method, path, "agent=bot/2", "mas.service mas.service");
    }
    check(&topology, "POST", "/_matrix/client/v3/register", "agent=bot/2", "registration bots");
    assert_eq!(topology.upstreams["mas.service"].servers[0].address, "10.8.0.9:8080");
    gate(&topology, "/_synapse/mas/provision_user", "10.8.0.9", Gate::Open);
    gate(&topology, "/_synapse/mas/provision_user", "10.8.0.8", Gate::Mas);
}

fn gate(topology: &Topology, path: &str, from: &str, expected: Gate) {
    let request = Request { source: from.parse().ok(), ..Request::new("POST", path) };
    assert_eq!(topology.router().route(&request).gate, expected, "{path} from {from}");
}

#[test]
fn the_proxy_lets_in_what_is_matrix_and_the_admin_api_by_network() {
    let topology = site(|text| text);
    for (path, from, expected) in [
        ("/_matrix/client/versions", "192.0.2.1", Gate::Open),
        ("/_matrix/../_synapse/admin/v1/rooms", "192.0.2.1", Gate::Admin),
        ("/_synapse/client/pick_idp", "192.0.2.1", Gate::Open),
        ("/_synapse/admin/v2/users", "192.0.2.1", Gate::Admin),
        ("/_synapse/admin/v2/users", "10.8.0.77", Gate::Open),
        ("/_synapse/admin/v2/users", "", Gate::Admin),
        ("/_synapse/%61dmin/v2/users", "192.0.2.1", Gate::Admin),
        ("/_synapse/replication/x", "10.8.0.77", Gate::Replication),
        ("/_synapse/mas/x", "10.8.0.77", Gate::Mas),
        ("/.well-known/matrix/client", "192.0.2.1", Gate::Open),
        ("/.well-known/matrix/server", "192.0.2.1", Gate::Own),
        ("/health", "10.8.0.77", Gate::Own),
        ("/", "10.8.0.77", Gate::Own),
    ] {
        gate(&topology, path, from, expected);
    }
    let mut without = topology.clone();
    without.proxy = None;
    gate(&without, "/_synapse/admin/v2/users", "192.0.2.1", Gate::Open);
}
