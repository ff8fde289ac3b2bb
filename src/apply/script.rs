//! The bash that a host runs in an apply: functions only, a file a noun, joined at compile time.

/// Follows the facts script in the one exec of an apply. Needs what that defines.
pub const SCRIPT: &str = concat!(
    include_str!("../facts/ready.sh"),
    include_str!("host/serve.sh"),
    include_str!("host/record.sh"),
    include_str!("host/files.sh"),
    include_str!("host/swap.sh"),
    include_str!("host/validate.sh"),
    include_str!("host/packages.sh"),
    include_str!("host/secrets.sh"),
    include_str!("host/venv.sh"),
    include_str!("host/postgresql.sh"),
    include_str!("host/media.sh"),
    include_str!("host/backup.sh"),
    include_str!("host/services.sh"),
);
