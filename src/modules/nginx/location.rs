//! What stands in a location that passes requests on.
//!
//! Never in this file: which requests (`routing`).

use super::{Directive, block, comment, line};
use crate::topology::{MAS, MasNode, ProxyNode, Topology, Upstream};

/// What every location needs. It stands inside each of them, because one `proxy_set_header` of
/// its own would make a location drop all it inherits. `proxy_pass` has no path, so that the
/// bytes of the request's path arrive as they were signed.
pub(super) fn headers(proxy: &ProxyNode, prefix: &str, host: &str) -> Vec<Directive> {
    let scheme =
        if proxy.trusted_proxies.is_empty() { "$scheme".to_owned() } else { format!("${prefix}_scheme") };
    vec![
        line("proxy_http_version", &["1.1"]),
        line("proxy_set_header", &["Connection", ""]),
        line("proxy_set_header", &["Host", host]),
        line("proxy_set_header", &["X-Forwarded-For", "$remote_addr"]),
        line("proxy_set_header", &["X-Forwarded-Proto", &scheme]),
        line("proxy_connect_timeout", &["5s"]),
        // A dead host is passed over; a long poll that timed out is not asked again elsewhere.
        line("proxy_next_upstream_timeout", &["30s"]),
        line("proxy_redirect", &["off"]),
    ]
}

/// Writes locations of one site.
pub(super) struct Locations<'a> {
    pub topology: &'a Topology,
    pub proxy: &'a ProxyNode,
    /// Of variables and names.
    pub prefix: &'a str,
    /// File with [`headers`].
    pub headers: String,
    /// Upstream of the main process.
    pub main: &'a Upstream,
}

impl Locations<'_> {
    /// The inside of a location that passes to `upstream`; with `fallback`, main stands in.
    pub fn to(&self, upstream: &Upstream, fallback: bool) -> Vec<Directive> {
        let timeout = line("proxy_read_timeout", &[&format!("{}s", upstream.read_timeout)]);
        let mas = self.topology.mas.as_ref().filter(|_| self.is_mas(upstream));
        if let Some(mas) = mas.filter(|mas| mas.tls) {
            let mut inside = headers(self.proxy, self.prefix, &mas.host);
            inside.push(timeout);
            inside.extend(encrypted(mas));
            inside.push(line("proxy_pass", &[&format!("https://{}", upstream.name)]));
            return inside;
        }
        let mut inside = vec![line("include", &[&self.headers]), timeout];
        if fallback {
            inside.push(line("error_page", &["502", "504", "=", &self.instead()]));
        }
        inside.push(line("proxy_pass", &[&format!("http://{}", upstream.name)]));
        inside
    }

    /// The inside of a location that passes to main.
    pub fn to_main(&self) -> Vec<Directive> {
        self.to(self.main, false)
    }

    /// `location @…` for [`Locations::target`].
    pub fn named(&self, upstream: &Upstream, fallback: bool) -> Directive {
        block("location", &[&self.target(upstream, fallback)], self.to(upstream, fallback))
    }

    /// Name of the location that passes to `upstream`.
    pub fn target(&self, upstream: &Upstream, fallback: bool) -> String {
        format!("@{}{}", upstream.name, if fallback { "_or_main" } else { "" })
    }

    /// Main in place of a pool of which nobody answers. A request that a worker may have begun to
    /// serve is not sent again, but for those that change nothing.
    pub fn stand_in(&self) -> Vec<Directive> {
        let mut inside = vec![block(
            "if",
            &[&format!("(${}_unserved", self.prefix), "=", "0)"],
            vec![line("return", &["502"])],
        )];
        inside.extend(self.to_main());
        vec![block("location", &[&self.instead()], inside)]
    }

    /// The map that [`Locations::stand_in`] asks. nginx lists what each process that it tried
    /// answered and how many bytes it was sent.
    pub fn unserved(&self) -> Vec<Directive> {
        vec![
            comment("1: no process has got a byte of the request, or it changes nothing and broke off."),
            block(
                "map",
                &[
                    "$request_method $upstream_status $upstream_bytes_sent",
                    &format!("${}_unserved", self.prefix),
                ],
                vec![
                    line("default", &["0"]),
                    line("~ 0(?:, 0)*$", &["1"]),
                    line("~^(?:GET|HEAD|OPTIONS) 502(?:, 502)* [0-9]", &["1"]),
                ],
            ),
        ]
    }

    fn instead(&self) -> String {
        format!("@{}_instead", self.main.name)
    }

    fn is_mas(&self, upstream: &Upstream) -> bool {
        self.topology.upstreams.get(MAS).is_some_and(|mas| mas.name == upstream.name)
    }
}

/// Another host's certificate is checked, as browsers do.
fn encrypted(mas: &MasNode) -> Vec<Directive> {
    vec![
        line("proxy_ssl_server_name", &["on"]),
        line("proxy_ssl_name", &[&mas.host]),
        line("proxy_ssl_verify", &["on"]),
        line("proxy_ssl_verify_depth", &["4"]),
        line("proxy_ssl_trusted_certificate", &["/etc/ssl/certs/ca-certificates.crt"]),
    ]
}
