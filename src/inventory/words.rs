//! The closed lists of what a worker can be for.
//!
//! Classes of endpoints follow Synapse's workers.md; streams are the keys of `stream_writers`,
//! jobs the roles that Synapse gives to named processes. Data only.

/// Words of `handles:`, those that stand for several others included: `modules/worker/endpoints.yaml` says for which.
pub const HANDLES: &[&str] = &[
    "sync",
    "initial_sync",
    "sliding_sync",
    "federation",
    "federation_read",
    "federation_inbound",
    "client",
    "client_reader",
    "encryption",
    "login",
    "registration",
    "sso",
    "event_sending",
    "user_directory",
    "delayed_events",
    "account_data",
    "receipts",
    "presence",
    "typing",
    "to_device",
    "device_lists",
    "push_rules",
    "thread_subscriptions",
    "media",
    "admin",
    "mas",
    "pagination",
];

/// Words of `writes:`: Synapse's streams.
pub const WRITES: &[&str] = &[
    "events",
    "typing",
    "to_device",
    "account_data",
    "receipts",
    "presence",
    "push_rules",
    "device_lists",
    "thread_subscriptions",
    "quarantined_media_changes",
];

/// Words of `runs:`: jobs.
pub const RUNS: &[&str] = &[
    "background_tasks",
    "user_directory",
    "appservices",
    "federation_sender",
    "outbound_federation",
    "pusher",
    "media_background",
];
