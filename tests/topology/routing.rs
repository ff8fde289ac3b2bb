//! Which process a request is meant for.

use synprov::topology::Request;

use crate::fresh;
use crate::site::{Site, one_host, three_hosts};

/// Each line: METHOD PATH CLASS INSTANCES (`a,b`).
fn check(site: &Site, table: &str) {
    let topology = fresh(site);
    let router = topology.router();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let [method, path, class, instances] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let found = router.route(&Request::new(method, path));
        assert_eq!((found.class.as_str(), found.instances.join(",").as_str()), (class, instances), "{line}");
    }
}

#[test]
fn requests_of_one_host() {
    check(
        &one_host(),
        "
        GET    /_matrix/client/v3/sync                                          sync sync,sync2
        GET    /_matrix/client/v3/sync?since=s1_2                               sync sync,sync2
        GET    /_matrix/client/r0/events?from=1                                 sync sync,sync2
        GET    /_matrix/client/v3/initialSync                                   initial_sync sync,sync2
        GET    /_matrix/client/v3/rooms/!r:hs/initialSync                       initial_sync sync,sync2
        POST   /_matrix/client/unstable/org.matrix.simplified_msc3575/sync?pos=1 sliding_sync sync,sync2
        POST   /_matrix/client/unstable/org.matrix.simplified_msc3575/sync/x    main main
        GET    /_matrix/client/versions                                         client_reader client
        GET    /_matrix/client/v3/capabilities                                  client_reader client
        GET    /_matrix/client/v3/account/whoami                                client_reader client
        GET    /_matrix/client/v3/account/3pid                                  client_reader client
        POST   /_matrix/client/v3/account/3pid/add                              main main
        POST   /_matrix/client/v3/account/password                              main main
        POST   /_matrix/client/v3/account/password/email/requestToken           main main
        POST   /_matrix/client/v3/createRoom                                    client_reader client
        GET    /_matrix/client/v3/publicRooms                                   client_reader client
        GET    /_matrix/client/v3/joined_rooms                                  client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/members                           client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/joined_members                    client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/context/$e                        client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/event/$e                          client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/state                             client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/state/m.room.name                 event_sending event_creator
        PUT    /_matrix/client/v3/rooms/!r:hs/state/m.room.name/                event_sending event_creator
        PUT    /_matrix/client/v3/rooms/%21r%3Ahs/send/m.room.message/1         event_sending event_creator
        PUT    /_matrix/client/v3/rooms/!r:hs/redact/$e/1                       event_sending event_creator
        POST   /_matrix/client/v3/rooms/!r:hs/join                              event_sending event_creator
        POST   /_matrix/client/v3/rooms/!r:hs/leave                             event_sending event_creator
        POST   /_matrix/client/v3/rooms/!r:hs/forget                            main main
        POST   /_matrix/client/v3/rooms/!r:hs/upgrade                           main main
        POST   /_matrix/client/v3/rooms/!r:hs/report/$e                         main main
        POST   /_matrix/client/v3/join/%23a:hs                                  event_sending event_creator
        POST   /_matrix/client/v3/knock/%23a:hs                                 event_sending event_creator
        PUT    /_matrix/client/v3/profile/@a:hs/displayname                     event_sending event_creator
        GET    /_matrix/client/v3/rooms/!r:hs/messages?dir=b                    pagination client
        GET    /_matrix/client/v1/rooms/!r:hs/hierarchy                         client_reader client
        GET    /_matrix/client/v1/rooms/!r:hs/relations/$e                      client_reader client
        GET    /_matrix/client/v1/rooms/!r:hs/threads                           client_reader client
        GET    /_matrix/client/v3/rooms/!r:hs/aliases                           client_reader client
        GET    /_matrix/client/v3/directory/room/%23a:hs                        client_reader client
        GET    /_matrix/client/v3/directory/list/room/!r:hs                     main main
        POST   /_matrix/client/v3/search                                        client_reader client
        POST   /_matrix/client/v3/user/@a:hs/filter                             client_reader client
        POST   /_matrix/client/v3/user/@a:hs/openid/request_token               main main
        GET    /_matrix/client/v3/notifications                                 client_reader client
        POST   /_matrix/client/v3/user_directory/search                         user_directory client
        POST   /_matrix/client/v3/keys/query                                    encryption client
        POST   /_matrix/client/v3/keys/claim                                    encryption client
        POST   /_matrix/client/v3/keys/upload                                   key_upload client
        POST   /_matrix/client/v3/keys/upload/DEV                               key_upload client
        PUT    /_matrix/client/v3/room_keys/keys?version=1                      encryption client
        GET    /_matrix/client/v3/devices                                       devices client
        DELETE /_matrix/client/v3/devices/DEV                                   devices client
        POST   /_matrix/client/v3/delete_devices                                devices client
        POST   /_matrix/client/v3/login                                         login client
        POST   /_matrix/client/v1/login/get_token                               main main
        GET    /_matrix/client/v3/login/sso/redirect                            main main
        POST   /_matrix/client/v3/register                                      registration client
        POST   /_matrix/client/v3/register/email/requestToken                   main main
        GET    /_matrix/client/v3/register/available?username=a                 registration client
        POST   /_matrix/client/v3/logout                                        main main
        POST   /_matrix/client/v3/refresh                                       main main
        GET    /_matrix/client/v3/pushers                                       main main
        GET    /_matrix/client/v3/thirdparty/protocols                          main main
        GET    /_matrix/client/v3/pushrules/                                    push_rules client
        PUT    /_matrix/client/v3/pushrules/global/room/!r:hs                   main main
        DELETE /_matrix/client/v3/pushrules/global/room/!r:hs                   main main
        GET    /_matrix/client/v3/user/@a:hs/account_data/m.direct              account_data client
        PUT    /_matrix/client/v3/user/@a:hs/account_data/m.direct              main main
        GET    /_matrix/client/v3/user/@a:hs/rooms/!r:hs/tags                   account_data client
        PUT    /_matrix/client/v3/user/@a:hs/rooms/!r:hs/tags/u.x               main main
        PUT    /_matrix/client/v3/rooms/!r:hs/state/m.x/tags                    event_sending event_creator
        GET    /_matrix/client/v3/presence/@a:hs/status                         main main
        PUT    /_matrix/client/v3/presence/@a:hs/status                         main main
        PUT    /_matrix/client/v3/rooms/!r:hs/typing/@a:hs                      stream:typing typing
        POST   /_matrix/client/v3/rooms/!r:hs/receipt/m.read/$e                 stream:receipts typing
        POST   /_matrix/client/v3/rooms/!r:hs/read_markers                      stream:receipts typing
        PUT    /_matrix/client/v3/sendToDevice/m.room.encrypted/1               stream:to_device typing
        GET    /_matrix/client/unstable/org.matrix.msc4140/delayed_events       delayed_events client
        POST   /_matrix/client/unstable/org.matrix.msc4140/delayed_events/i/restart delayed_events client
        POST   /_matrix/client/unstable/org.matrix.msc4140/delayed_events/i/cancel  main main
        GET    /_matrix/client/unstable/org.matrix.msc4140/delayed_events/i     delayed_events client
        POST   /_matrix/client/unstable/org.matrix.msc4140/delayed_events/i     main main
        PUT    /_matrix/federation/v1/send/1                                    federation_inbound federation
        GET    /_matrix/federation/v1/version                                   federation_read federation
        GET    /_matrix/federation/v1/state_ids/!r:hs?event_id=$e               federation_read federation
        PUT    /_matrix/federation/v2/send_join/!r:hs/$e                        federation_read federation
        GET    /_matrix/federation/v1/openid/userinfo                           main main
        POST   /_matrix/federation/v1/user/keys/claim                           federation_read federation
        GET    /_matrix/federation/unstable/rooms/!r:hs/complexity              federation_read federation
        PUT    /_matrix/federation/v1/3pid/onbind                               main main
        GET    /_matrix/key/v2/server                                           main main
        POST   /_matrix/key/v2/query                                            federation_read federation
        GET    /_matrix/media/v3/download/hs/x                                  media media
        POST   /_matrix/media/v3/upload                                         media media
        GET    /_matrix/client/v1/media/download/hs/x                           media media
        GET    /_matrix/federation/v1/media/download/x                          media media
        POST   /_synapse/admin/v1/quarantine_media/!r:hs                        stream:quarantined_media_changes media
        POST   /_synapse/admin/v1/media/quarantine/hs/x                         stream:quarantined_media_changes media
        GET    /_synapse/admin/v1/users/@a:hs/media                             stream:quarantined_media_changes media
        GET    /_synapse/admin/v1/statistics/users/media                        main main
        GET    /_synapse/admin/v1/room/!r:hs/media                              stream:quarantined_media_changes media
        POST   /_synapse/admin/v1/room/!r:hs/media/quarantine                   stream:quarantined_media_changes media
        GET    /_synapse/admin/v1/rooms/!r:hs                                   main main
        POST   /_matrix/client/unstable/org.matrix.msc4108/rendezvous           main main
        GET    /_synapse/client/rendezvous/abc                                  main main
        POST   /_matrix/client/v1/appservice/telegram/ping                      client_reader client
        OPTIONS /_matrix/client/v3/pushrules/global                             push_rules client
        HEAD   /_matrix/client/v3/pushrules/                                    push_rules client
        GET    /_synapse/client/pick_idp                                        main main
        GET    /_matrix/static/                                                 main main
        GET    /.well-known/matrix/client                                       main main
        GET    /_matrix/client/v3/../v3//sync                                   sync sync,sync2
        GET    /_matrix/client/V3/sync                                          main main
        ",
    );
}

#[test]
fn requests_of_three_hosts() {
    check(
        &three_hosts(),
        "
        GET    /_matrix/client/v3/sync                              initial_sync initial_sync
        GET    /_matrix/client/v3/sync?timeout=0                    initial_sync initial_sync
        GET    /_matrix/client/v3/sync?since=                       initial_sync initial_sync
        GET    /_matrix/client/v3/sync?timeout=0&since=s1           sync sync,sync2,sync3,sync4
        GET    /_matrix/client/v3/initialSync                       initial_sync initial_sync
        POST   /_matrix/client/unstable/org.matrix.simplified_msc3575/sync sliding_sync sync,sync2,sync3,sync4
        PUT    /_matrix/client/v3/user/@a:hs/account_data/m.direct  stream:account_data account
        GET    /_matrix/client/v3/user/@a:hs/account_data/m.direct  stream:account_data account
        DELETE /_matrix/client/v3/pushrules/global/room/!r          stream:push_rules account
        PUT    /_matrix/client/v3/presence/@a:hs/status             stream:presence account
        GET    /_matrix/client/v3/presence/@a:hs/status             stream:presence account
        POST   /_matrix/client/v3/rooms/!r/receipt/m.read/$e        stream:receipts account
        POST   /_matrix/client/v3/keys/upload                       stream:device_lists devices,devices2
        GET    /_matrix/client/v3/devices                           stream:device_lists devices,devices2
        POST   /_matrix/client/v3/keys/query                        main main
        POST   /_matrix/client/v3/login                             login login,login2
        POST   /_matrix/client/v3/register                          registration login,login2
        GET    /_matrix/client/v3/login/sso/redirect/oidc           sso login
        GET    /_synapse/client/oidc/callback?code=x                sso login
        GET    /_matrix/client/v3/joined_rooms                      client_reader login,login2
        PUT    /_matrix/federation/v1/send/1                        federation_inbound federation_reader,federation_reader2
        POST   /_synapse/admin/v1/quarantine_media/!r               stream:quarantined_media_changes media
        GET    /_matrix/media/v3/config                             media media,media2
        POST   /_matrix/client/v3/user_directory/search             main main
        ",
    );
}

#[test]
fn without_pools_everything_goes_to_main() {
    let site = Site::new().with(|inventory| inventory.redis = None);
    let topology = fresh(&site);
    assert!(topology.routes.is_empty());
    assert_eq!(topology.route("GET", "/_matrix/media/v3/config").instances, ["main"]);
}

#[test]
fn a_special_word_takes_its_class_out_of_a_wider_one_and_equal_words_share() {
    let site = Site::new()
        .pool("all on hs1 handles client federation")
        .pool("inbound on hs1 handles federation_inbound")
        .pool("more on hs1 handles client");
    check(
        &site,
        "
        PUT  /_matrix/federation/v1/send/1      federation_inbound inbound
        GET  /_matrix/federation/v1/version     federation_read all
        GET  /_matrix/client/versions           client_reader all,more
        ",
    );
}

#[test]
fn initial_sync_alone_leaves_the_rest_of_sync_to_main() {
    let site = Site::new().pool("first on hs1 handles initial_sync");
    check(
        &site,
        "
        GET  /_matrix/client/v3/sync            initial_sync first
        GET  /_matrix/client/v3/sync?since=s1   main main
        ",
    );
}

#[test]
fn every_path_has_a_route_for_each_of_its_requests() {
    for site in [one_host(), three_hosts()] {
        let topology = fresh(&site);
        for (at, route) in topology.routes.iter().enumerate() {
            let last = topology.routes.iter().rposition(|other| other.regex == route.regex).unwrap();
            let restricted = !route.methods.is_empty() || !route.conditions.is_empty();
            assert_eq!(restricted, at != last, "{route:?}");
            assert!(topology.upstreams.contains_key(&route.upstream), "{route:?}");
            assert!(!route.class.starts_with("media") || !route.fallback, "{route:?}");
        }
        for upstream in topology.upstreams.values() {
            assert!(!upstream.servers.is_empty(), "{upstream:?}");
        }
    }
}
