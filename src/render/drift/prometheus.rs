//! The report as metrics for node_exporter's textfile collector. Every series of a host that answered
//! is there in every run, with 0 where there is nothing, so that an alert ends when its cause does.

use std::fmt::Write as _;

use indexmap::IndexMap;

use super::Report;
use crate::plan::drift::Class;

/// Kinds of findings: those of resources, then those that only a drift run has.
const KINDS: [&str; 19] = [
    "packages",
    "user",
    "directory",
    "file",
    "directive",
    "secret",
    "venv",
    "routes",
    "service",
    "postgresql",
    "external_postgresql",
    "record",
    "drop_in",
    "process",
    "program",
    "configuration",
    "redis",
    "certificate",
    "clock",
];

/// The metrics, in Prometheus' text format.
pub fn prometheus(report: &Report<'_>) -> String {
    let mut out = String::new();
    let server = label(report.server_name);
    let mut family = |name: &str, help: &str, series: Vec<(String, String)>| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in series {
            let _ = writeln!(out, "{name}{{server_name=\"{server}\"{labels}}} {value}");
        }
    };
    let version = format!(",version=\"{}\"", env!("CARGO_PKG_VERSION"));
    family("synprov_build_info", "Version of synprov that wrote these metrics.", vec![(version, "1".into())]);
    family(
        "synprov_run_duration_seconds",
        "How long the run took.",
        vec![(",command=\"drift\"".to_owned(), format!("{:.3}", report.seconds))],
    );
    let hosts = || {
        let answered = report.drift.hosts.iter().map(|host| (host, true));
        answered.chain(report.errors.iter().map(|(host, _)| (host, false)))
    };
    let of = |host: &str| format!(",host=\"{}\"", label(host));
    let seconds = |at: i64| format!("{}.{:06}", at.div_euclid(1_000_000), at.rem_euclid(1_000_000));
    let run = |host: &str| (format!(",command=\"drift\"{}", of(host)), seconds(report.began));
    family(
        "synprov_last_run_timestamp_seconds",
        "When the last run that asked for this host began.",
        hosts().map(|(host, _)| run(host)).collect(),
    );
    family(
        "synprov_last_success_timestamp_seconds",
        "When the last run that this host answered began; not there if the last run got no answer.",
        hosts().filter(|(_, answered)| *answered).map(|(host, _)| run(host)).collect(),
    );
    family(
        "synprov_host_reachable",
        "1 if the host answered.",
        hosts().map(|(host, answered)| (of(host), u8::from(answered).to_string())).collect(),
    );
    let count = |class: Class| {
        report
            .drift
            .hosts
            .iter()
            .flat_map(|host| KINDS.map(|kind| (host, kind)))
            .map(|(host, kind)| {
                let found = report.drift.of(class).filter(|one| one.host == *host && one.kind == kind);
                (format!("{},kind=\"{kind}\"", of(host)), found.count().to_string())
            })
            .collect::<Vec<_>>()
    };
    family("synprov_drift_changes", "Things that somebody else changed on the host.", count(Class::Drift));
    family(
        "synprov_pending_changes",
        "Changes that the inventory intends and nobody has applied.",
        count(Class::Pending),
    );
    family(
        "synprov_clock_skew_seconds",
        "How far the host's clock is ahead of the one of the machine that asked, at the least.",
        report.drift.skew.iter().map(|(host, skew)| (of(host), signed(*skew))).collect(),
    );
    family(
        "synprov_certificate_not_after_timestamp_seconds",
        "When the proxy's certificate ends to be valid.",
        report
            .drift
            .certificates
            .iter()
            .map(|((host, path), until)| {
                (format!("{},path=\"{}\"", of(host), label(path)), (until / 1_000_000).to_string())
            })
            .collect(),
    );
    out
}

/// One page of several: of each family its help once, and all of its series behind it, as the text format wants it.
pub fn merged<'a>(pages: impl Iterator<Item = &'a str>) -> String {
    let mut families: IndexMap<&str, (String, String)> = IndexMap::new();
    for page in pages {
        let mut name = "";
        let mut first = false;
        for line in page.split_inclusive('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                name = rest.split(' ').next().unwrap_or_default();
                first = !families.contains_key(name);
            }
            let (head, series) = families.entry(name).or_default();
            match line.starts_with('#') {
                false => series.push_str(line),
                true if first => head.push_str(line),
                true => {}
            }
        }
    }
    families.into_values().map(|(head, series)| head + &series).collect()
}

/// Microseconds as seconds, with a sign.
fn signed(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000)
}

/// A label's value as the text format escapes it.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_several_deployments_are_one_page() {
        let page = |server: &str| {
            format!(
                "# HELP a One.\n# TYPE a gauge\na{{s=\"{server}\"}} 1\n# HELP b Two.\n# TYPE b gauge\nb{{s=\"{server}\"}} 2\n"
            )
        };
        let (one, two) = (page("x"), page("y"));
        let expected = "# HELP a One.\n# TYPE a gauge\na{s=\"x\"} 1\na{s=\"y\"} 1\n# HELP b Two.\n# TYPE b gauge\nb{s=\"x\"} 2\nb{s=\"y\"} 2\n";
        assert_eq!(merged([one.as_str(), two.as_str()].into_iter()), expected);
        assert_eq!(merged([one.as_str()].into_iter()), one);
    }

    #[test]
    fn values_of_labels_are_escaped() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        assert_eq!((signed(-1_500_000), signed(250_000)), ("-1.500000".to_owned(), "0.250000".to_owned()));
    }
}
