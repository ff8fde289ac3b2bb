//! A small Matrix client: one request in, one answer out, through the proxy's door like anybody else.
//!
//! It connects to a lab address whatever the name resolves to, with the name in SNI and `Host`, and
//! trusts the lab's CA alone. Every request carries a unique `synprov_check` parameter, which the
//! serving process writes into its log. Never in this file: what a homeserver should answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use ureq::config::Config;
use ureq::http::{Request, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Where clients come in.
#[derive(Debug, Clone)]
pub struct Door {
    /// Name that clients use, e.g. `matrix.example.org`.
    pub name: String,
    /// Address and port to connect to.
    pub address: SocketAddr,
    /// PEM of the only CAs to trust; `None`: plain HTTP, as a TLS proxy before the proxy would speak.
    pub ca: Option<Vec<u8>>,
}

/// A homeserver seen through its door. Shared by all users of a verification.
#[derive(Debug)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    run: String,
    sent: AtomicU32,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// `GET`
    pub method: &'a str,
    /// Path with its characters as they are meant, not percent-encoded.
    pub path: &'a str,
    /// Query without `?`, already encoded; may be empty.
    pub query: &'a str,
    /// Access token of a user.
    pub token: Option<&'a str>,
    /// Media type and bytes.
    pub body: Option<(&'a str, &'a [u8])>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Value of `synprov_check` in the request.
    pub mark: String,
    /// HTTP status; 0 when there was no answer, see `problem`.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
    /// Why there was no answer.
    pub problem: Option<String>,
}

impl Answer {
    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends every connection to one address.
#[derive(Debug)]
struct Fixed(SocketAddr);

impl Resolver for Fixed {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        addresses.push(self.0);
        Ok(addresses)
    }
}

impl Client {
    /// A client whose requests are marked `RUN-NUMBER`. `Err` says what is wrong with the CA.
    pub fn new(door: &Door, run: &str) -> Result<Self, String> {
        let mut tls = TlsConfig::builder().provider(TlsProvider::NativeTls);
        if let Some(pem) = &door.ca {
            let mut roots: Vec<Certificate<'static>> = Vec::new();
            for item in parse_pem(pem) {
                match item {
                    Ok(PemItem::Certificate(certificate)) => roots.push(certificate),
                    Ok(_) => {}
                    Err(error) => return Err(format!("the CA's certificate is unreadable: {error}")),
                }
            }
            if roots.is_empty() {
                return Err("the CA's file holds no certificate".to_owned());
            }
            tls = tls.root_certs(RootCerts::from(roots));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(90)))
            .user_agent("synprov")
            .tls_config(tls.build())
            .build();
        let scheme = if door.ca.is_some() { "https" } else { "http" };
        Ok(Self {
            agent: ureq::Agent::with_parts(config, DefaultConnector::default(), Fixed(door.address)),
            base: format!("{scheme}://{}", door.name),
            run: run.to_owned(),
            sent: AtomicU32::new(0),
        })
    }

    /// Sends a request and waits for its answer, 90 s at most.
    pub fn ask(&self, ask: Ask<'_>) -> Answer {
        let mark = format!("{}-{}", self.run, self.sent.fetch_add(1, Ordering::Relaxed));
        match self.send(ask, &mark) {
            Ok((status, body)) => Answer { mark, status, body, problem: None },
            Err(error) => Answer { mark, status: 0, body: Vec::new(), problem: Some(error.to_string()) },
        }
    }

    fn send(&self, ask: Ask<'_>, mark: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
        let separator = if ask.query.is_empty() { "" } else { "&" };
        let url = format!("{}{}?{}{separator}synprov_check={mark}", self.base, encode(ask.path), ask.query);
        let mut request = Request::builder().method(ask.method).uri(url);
        if let Some(token) = ask.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = match ask.body {
            Some((kind, bytes)) => self.agent.run(request.header("content-type", kind).body(bytes)?)?,
            None => self.agent.run(request.body(())?)?,
        };
        let body = response.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok((response.status().as_u16(), body))
    }
}

/// Percent-encodes a path; `/` separates its segments.
fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte.into())
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_in_a_path() {
        assert_eq!(encode("/rooms/!a:b.c/x"), "/rooms/%21a%3Ab.c/x");
        assert_eq!(encode("/@ü"), "/%40%C3%BC");
    }
}
