//! `/etc/redis/redis-PREFIX.conf` for Debian's `redis-server@PREFIX.service`.
//!
//! Synapse keeps nothing in Redis that must live on (publish/subscribe and a cache), so nothing is
//! written to disk and a full disk stops nobody. The unit passes `--supervised systemd --daemonize
//! no` and owns `/run/redis-PREFIX`; an empty `logfile` is standard output, which is the journal.
//! `maxmemory` is left alone: an eviction would be silent.

use crate::modules::documents::{line, texts};
use crate::modules::interpolate::{Problem, Scope};
use crate::resource::{Content, Piece, Quote};

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    let binds = texts(scope, "redis.binds")?;
    if binds.is_empty() || binds.iter().any(|bind| !bind.bytes().all(is_address)) {
        return Err(Problem::new("redis.binds is no list of addresses"));
    }
    let port = scope.lookup("redis.port")?;
    let prefix = line(scope, "synapse.prefix")?;
    let mut pieces = vec![Piece::Text(format!(
        "bind {binds}\n\
         port {port}\n\
         protected-mode yes\n\
         tcp-keepalive 60\n\
         save \"\"\n\
         appendonly no\n\
         dir /var/lib/redis\n\
         pidfile /run/redis-{prefix}/redis-server.pid\n\
         logfile \"\"\n",
        binds = binds.join(" "),
    ))];
    if let Some(name) = scope.lookup("redis.password")?.as_str() {
        pieces.push(Piece::Text("requirepass ".to_owned()));
        pieces.push(Piece::Secret { name: name.to_owned(), quote: Quote::Redis });
        pieces.push(Piece::Text("\n".to_owned()));
    }
    Ok(Content(pieces))
}

fn is_address(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}
