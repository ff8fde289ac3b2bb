//! Certificates of the proxy: near their end, gone, renewed and not served yet.

use super::Host;
use super::finding::{Class, Finding, What, quoted};
use crate::plan::service::is_active;
use crate::resource::{Body, Stage};

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// This much before its end a certificate should have been renewed: a quarter of its life, 21 days at most.
/// ACME clients renew when a third is left (for lives of a few days: a half).
fn due(from: i64, until: i64) -> i64 {
    ((until - from) / 4).min(21 * DAY)
}

pub(super) fn certificates(host: &Host<'_>, found: &mut Vec<Finding>) {
    let proxy = host.resources.iter().find_map(|one| match &one.body {
        Body::Service { unit, stage: Stage::Proxy, .. } => Some(unit),
        _ => None,
    });
    for (path, certificate) in &host.facts.watched.certificates {
        let one = |what, summary: String| Finding::new(host.name, "certificate", path, what, summary);
        if certificate.changed == 0 {
            found.push(
                one(What::Removed, "it is gone".to_owned())
                    .advice("the proxy goes on with what it has read, and does not start again"),
            );
            continue;
        }
        let Some((from, until)) = certificate.validity else {
            found.push(
                one(What::Content, "it is no certificate that can be read".to_owned())
                    .since(certificate.changed)
                    .advice("the proxy goes on with what it has read, and does not start again"),
            );
            continue;
        };
        let left = until - host.facts.now;
        if left < due(from, until) {
            let summary = if left < 0 {
                format!("it ended {} days ago", -left / DAY)
            } else {
                format!("it ends in {} days", left / DAY)
            };
            found.push(one(What::Expiring, summary).advice("see why it was not renewed"));
        }
        let fact = proxy.and_then(|unit| Some((unit, host.facts.units.get(unit)?)));
        let served = fact
            .filter(|(_, fact)| is_active(fact))
            .map(|(unit, fact)| (unit, host.facts.workers_started(fact).unwrap_or(fact.started)));
        match served {
            Some((unit, started)) if started < certificate.changed => found.push(
                one(What::Outdated, format!("{unit} still serves the one that was there before"))
                    .since(certificate.changed)
                    .affects(vec![unit.clone()])
                    .remedy(format!("systemctl reload {}", quoted(unit)), ""),
            ),
            _ if host.facts.watched.applied.is_some_and(|applied| applied < certificate.changed) => found
                .push(
                    one(What::Renewed, "it was renewed, and is served".to_owned())
                        .class(Class::Information)
                        .since(certificate.changed),
                ),
            _ => {}
        }
    }
}
