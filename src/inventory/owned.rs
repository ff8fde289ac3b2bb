//! Keys of Synapse's configuration that follow from the rest of the inventory.
//!
//! A table: the key and what to write instead. Two hands on one of these is how workers break
//! (a second `instance_map` drops main; an unknown sender name silences federation).

use super::config::Owner;

const OWNED: &[(&str, &str)] = &[
    ("server_name", "write server_name under synapse"),
    ("public_baseurl", "write public_baseurl under synapse"),
    ("listeners", LISTENERS),
    ("bind_host", LISTENERS),
    ("bind_port", LISTENERS),
    ("unsecure_port", LISTENERS),
    ("no_tls", LISTENERS),
    ("metrics_port", METRICS),
    ("metrics_bind_host", METRICS),
    ("databases", DATABASE),
    ("database_path", DATABASE),
    ("database", DATABASE),
    ("redis", "write redis: {host: …} at the top, or redis: {external: {…}}"),
    ("matrix_authentication_service", "write mas: {endpoint: …, secret: {secret: mas}} at the top"),
    ("instance_map", "leave it out: it follows from workers"),
    ("stream_writers", "write writes: [STREAM] in a worker"),
    ("federation_sender_instances", "write runs: [federation_sender] in a worker"),
    ("pusher_instances", "write runs: [pusher] in a worker"),
    ("run_background_tasks_on", "write runs: [background_tasks] in a worker"),
    ("update_user_directory_from_worker", "write runs: [user_directory] in a worker"),
    ("notify_appservices_from_worker", "write runs: [appservices] in a worker"),
    ("media_instance_running_background_jobs", "write runs: [media_background] in a worker"),
    ("enable_media_repo", "write handles: [media] in a worker"),
    ("send_federation", "write runs: [federation_sender] in a worker"),
    ("start_pushers", "write runs: [pusher] in a worker"),
    ("update_user_directory", "write runs: [user_directory] in a worker"),
    ("notify_appservices", "write runs: [appservices] in a worker"),
    ("outbound_federation_restricted_to", "write runs: [outbound_federation] in a worker"),
    ("app_service_config_files", "write appservices: {NAME: {file: …}} under synapse"),
    ("signing_key_path", "write secrets: {signing_key: file:PATH} under synapse to bring a key along"),
    ("signing_key", "write secrets: {signing_key: file:PATH} under synapse to bring a key along"),
    ("macaroon_secret_key", MACAROON),
    ("macaroon_secret_key_path", MACAROON),
    ("form_secret", FORM),
    ("form_secret_path", FORM),
    ("registration_shared_secret", REGISTRATION),
    ("registration_shared_secret_path", REGISTRATION),
    ("media_store_path", "write media_store: {path: …} under synapse"),
    ("enable_metrics", "write metrics: true under synapse"),
    ("metrics_port", "write metrics: true under synapse"),
    ("log_config", "leave it out: each process has a log configuration of its own under ROOT/conf/log"),
    ("log_file", "leave it out: each process has a log configuration of its own under ROOT/conf/log"),
    ("pid_file", "leave it out: systemd knows the processes"),
    ("daemonize", "leave it out: systemd runs the processes in the foreground"),
    ("manhole", "write listeners: {manhole: {type: manhole, port: 9900}} under main"),
];

const LISTENERS: &str =
    "leave it out: listeners follow from handles and writes, their ports are in inventory.lock";
const METRICS: &str = "leave it out: it is an old key, which adds a listener to every process";
const DATABASE: &str = "write postgresql, and db_pool: {min: …, max: …} under defaults or in a worker";
const MACAROON: &str = "write secrets: {macaroon: env:VARIABLE} under synapse to bring a value along";
const FORM: &str = "write secrets: {form: env:VARIABLE} under synapse to bring a value along";
const REGISTRATION: &str = "write secrets: {registration: env:VARIABLE} under synapse to bring a value along";

/// What to write instead of `key`, if synprov owns it.
pub(super) fn instead(key: &str, owner: Owner) -> Option<&'static str> {
    match OWNED.iter().find(|(name, _)| *name == key) {
        Some((_, instead)) => Some(instead),
        None if key == "worker_replication_secret" || key == "worker_replication_secret_path" => {
            Some("write secrets: {replication: env:VARIABLE} under synapse to bring a value along")
        }
        None if key.starts_with("worker_") && owner == Owner::Worker => {
            Some("leave it out: it follows from the worker's name, handles, writes and runs")
        }
        None if key.starts_with("worker_") => Some("leave it out: it follows from workers"),
        None => None,
    }
}

/// What to write in the inventory instead of a top-level key of Synapse's shared configuration, if
/// synprov derives that key.
pub fn derived(key: &str) -> Option<&'static str> {
    instead(key, Owner::Shared)
}
