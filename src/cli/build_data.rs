//! What `--version` says beyond the number: what a report of a bug needs to name the program.

use std::sync::LazyLock;

/// Version, commit, target and the libraries that do TLS and SSH, a line each. Without a line for the
/// commit if the sources were no checkout.
pub fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let openssl = if cfg!(feature = "vendored") { "built in" } else { "the system's" };
        let commit = option_env!("SYNPROV_COMMIT").map(|commit| format!("commit:  {commit}\n"));
        format!(
            "{}\n{}target:  {}\nOpenSSL: {}, {openssl}\nlibssh2: {}",
            env!("CARGO_PKG_VERSION"),
            commit.unwrap_or_default(),
            env!("SYNPROV_TARGET"),
            // As loaded, not as compiled against: the two differ after an upgrade of the system.
            openssl::version::version().trim_start_matches("OpenSSL "),
            env!("SYNPROV_LIBSSH2"),
        )
    });
    &TEXT
}
