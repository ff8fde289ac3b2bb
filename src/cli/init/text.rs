//! A new inventory as text with comments. Values are quoted where YAML could read them otherwise.

use std::fmt::Write as _;

use super::preset::{Preset, PresetPool};
use super::{Answers, NewHost, Tls};
use crate::yaml::scalar;

/// Writes the inventory; `path` is what the commands in its head name.
pub fn text(answers: &Answers, preset: &Preset, path: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = head(&mut out, answers, preset, path);
    let _ = hosts(&mut out, answers);
    let _ = synapse(&mut out, answers);
    let _ = front(&mut out, answers, preset);
    let _ = workers(&mut out, answers, preset);
    out
}

fn head(out: &mut String, answers: &Answers, preset: &Preset, path: &str) -> std::fmt::Result {
    writeln!(
        out,
        "# Matrix Synapse for {}, by `synprov init --size {}`.\n#",
        scalar(&answers.server_name),
        answers.size.word()
    )?;
    for line in preset.about.lines() {
        writeln!(out, "# {line}")?;
    }
    let named = if path == "inventory.yaml" { String::new() } else { format!(" {}", scalar(path)) };
    let commands = [
        ("check", "finds mistakes, offline"),
        ("graph", "draws it"),
        ("rehearse", "tries it on throwaway hosts of this machine"),
        ("plan", "shows what would change on the real ones"),
        ("apply", "does it"),
    ];
    writeln!(out, "#\n# What is marked <- is yours to set or to look at. Then:")?;
    for (command, what) in commands {
        writeln!(
            out,
            "#   {:<width$}  {what}",
            format!("synprov {command}{named}"),
            width = 17 + named.len()
        )?;
    }
    writeln!(out, "# The lock file that appears beside it remembers ports and the like: commit both.")?;
    writeln!(out, "# Editors complete it: see `synprov schema --help`.\n")
}

fn hosts(out: &mut String, answers: &Answers) -> std::fmt::Result {
    writeln!(out, "hosts:")?;
    for NewHost { name, address, internal } in &answers.hosts {
        let mut parts = vec![format!("address: {}", scalar(address))];
        parts.extend(internal.iter().map(|internal| format!("internal_address: {}", scalar(internal))));
        if address != "local" {
            parts.push(format!("user: {}", scalar(&answers.user)));
            if answers.user != "root" {
                parts.push("become: true".to_owned());
            }
        }
        let mark = if answers.example_hosts { "   # <- name or IP address for SSH" } else { "" };
        writeln!(out, "  {name}: {{{}}}{mark}", parts.join(", "))?;
    }
    if answers.user != "root" {
        writeln!(out, "  # {} must be allowed sudo without a password.", scalar(&answers.user))?;
    }
    if answers.hosts.len() > 1 {
        writeln!(
            out,
            "  # Hosts reach each other at internal_address, unencrypted: a private network or a VPN."
        )?;
    }
    writeln!(out)
}

fn synapse(out: &mut String, answers: &Answers) -> std::fmt::Result {
    writeln!(out, "synapse:")?;
    let name = scalar(&answers.server_name);
    writeln!(out, "  server_name: {name}   # behind the colon of @user:…; can never be changed")?;
    let url = url(&answers.public_baseurl);
    writeln!(out, "  public_baseurl: {url}   # <- where clients find the server")?;
    writeln!(out, "  version: {}", answers.version)?;
    writeln!(out, "  config:                       # keys of homeserver.yaml, as in Synapse's manual")?;
    writeln!(out, "    report_stats: false         # <- true tells matrix.org how many people use it")?;
    writeln!(out, "    max_upload_size: 50M")?;
    writeln!(
        out,
        "    # enable_registration: true   nobody can register by default; accounts are made with"
    )?;
    writeln!(out, "    #                             register_new_matrix_user on main's host")?;
    writeln!(out, "  # Passwords never stand in this file. They are named where they are needed,")?;
    writeln!(out, "  #   config: {{email: {{smtp_host: mail.example.org, smtp_pass: {{secret: smtp}}}}}}")?;
    writeln!(out, "  # and declared here:")?;
    writeln!(out, "  #   secrets: {{smtp: env:SMTP_PASSWORD}}\n")
}

fn front(out: &mut String, answers: &Answers, preset: &Preset) -> std::fmt::Result {
    let host = answers.hosts.first().map_or("hs1", |host| host.name.as_str());
    writeln!(out, "postgresql: {{host: {host}}}   # or {{external: {{host: …, password: {{secret: …}}}}}}")?;
    writeln!(out, "redis: {{host: {host}}}")?;
    writeln!(out, "main: {{host: {host}}}\n")?;
    writeln!(out, "proxy:\n  host: {host}\n  kind: nginx")?;
    if preset.pools.iter().flat_map(|pool| &pool.handles).any(|word| word == "admin") {
        // Without it nobody may ask, and the pool has nothing to do.
        writeln!(out, "  admin: {{from: [127.0.0.1]}}    # <- who may ask the admin API, through the proxy")?;
    }
    match &answers.tls {
        Tls::Files { certificate, key } => {
            writeln!(out, "  tls:                          # <- files on {host}; synprov never writes them")?;
            writeln!(out, "    certificate: {}", scalar(certificate))?;
            writeln!(out, "    key: {}\n", scalar(key))
        }
        Tls::Behind(networks) => {
            let networks: Vec<String> = networks.iter().map(|network| scalar(network)).collect();
            writeln!(out, "  tls: none                     # port 80, behind another proxy")?;
            writeln!(out, "  trusted_proxies: [{}]   # its networks\n", networks.join(", "))
        }
    }
}

fn workers(out: &mut String, answers: &Answers, preset: &Preset) -> std::fmt::Result {
    writeln!(out, "defaults:")?;
    writeln!(
        out,
        "  cache_factor: {:?}             # of each worker: memory against speed",
        preset.cache_factor
    )?;
    let pool = &preset.db_pool;
    writeln!(
        out,
        "  db_pool: {{min: {}, max: {}}}     # connections of each process to PostgreSQL\n",
        pool.min, pool.max
    )?;
    writeln!(
        out,
        "# What a pool is for is said by three words: handles (requests), writes (streams), runs (jobs)."
    )?;
    writeln!(out, "# What no pool takes stays with the main process.\nworkers:")?;
    let mut turn = 0;
    for (at, pool) in preset.pools.iter().enumerate() {
        if let Some(comment) = &pool.comment {
            let gap = if at == 0 { "" } else { "\n" };
            writeln!(out, "{gap}  # {comment}")?;
        }
        let mut parts = vec![place(pool, &answers.hosts, &mut turn)];
        for (key, words) in [("handles", &pool.handles), ("writes", &pool.writes), ("runs", &pool.runs)] {
            if !words.is_empty() {
                parts.push(format!("{key}: [{}]", words.join(", ")));
            }
        }
        writeln!(out, "  {}: {{{}}}", pool.name, parts.join(", "))?;
    }
    Ok(())
}

/// Where a pool's processes are. The first host has main; the others take turns.
fn place(pool: &PresetPool, hosts: &[NewHost], turn: &mut usize) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let (first, back) = names.split_first().map_or(("hs1", &[][..]), |(first, back)| (*first, back));
    let count = if pool.count == 1 { String::new() } else { format!(", count: {}", pool.count) };
    if pool.front || back.is_empty() {
        return format!("host: {first}{count}");
    }
    if !pool.spread || pool.count == 1 || back.len() == 1 {
        let host = back[*turn % back.len()];
        *turn += 1;
        return format!("host: {host}{count}");
    }
    let mut numbers: Vec<(&str, usize)> = Vec::new();
    for _ in 0..pool.count {
        let host = back[*turn % back.len()];
        *turn += 1;
        match numbers.iter_mut().find(|(name, _)| *name == host) {
            Some((_, number)) => *number += 1,
            None => numbers.push((host, 1)),
        }
    }
    let numbers: Vec<String> =
        numbers.into_iter().map(|(host, number)| format!("{host}: {number}")).collect();
    format!("hosts: {{{}}}", numbers.join(", "))
}

/// A URL in a block: its colon is followed by no space, so it needs no quotes.
fn url(text: &str) -> String {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain =
        rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"./-".contains(&b)));
    if plain { text.to_owned() } else { scalar(text) }
}
