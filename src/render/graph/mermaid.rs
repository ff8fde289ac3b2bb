//! The picture as a Mermaid flowchart, which code hosts draw in Markdown.

use std::fmt::Write as _;

use super::Graph;

/// Writes it, without the fence.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, graph);
    out
}

fn write(out: &mut String, graph: &Graph) -> std::fmt::Result {
    writeln!(out, "flowchart LR")?;
    writeln!(out, "  clients([\"clients\"]) --> proxy\n  servers([\"other homeservers\"]) --> proxy")?;
    let front = match &graph.proxy {
        Some(proxy) => format!("{} on {}", proxy.kind, proxy.hosts.join(", ")),
        None => "your proxy".to_owned(),
    };
    writeln!(out, "  proxy{{{{\"{}\"}}}}", quoted(&front))?;
    let mut edges = String::new();
    // Numbers for names: a name could be a word of Mermaid's.
    let mut number = 0;
    for (at, host) in graph.hosts.iter().enumerate() {
        let address =
            if host.address.starts_with("127.") { String::new() } else { format!(" {}", host.address) };
        writeln!(out, "  subgraph host{at}[\"{}{}\"]", quoted(&host.name), quoted(&address))?;
        for card in &host.cards {
            let mut lines = vec![format!("<b>{}</b> {}", quoted(&card.title(usize::MAX)), card.ports())];
            for (list, words) in card.lists().into_iter().skip(1).filter(|(_, words)| !words.is_empty()) {
                lines.push(format!("{list} {}", quoted(&words.join(", "))));
            }
            writeln!(out, "    p{number}[\"{}\"]", lines.join("<br/>"))?;
            if card.serves() && card.handles.is_empty() {
                writeln!(edges, "  proxy --> p{number}")?;
            } else if card.serves() {
                writeln!(edges, "  proxy -->|\"{}\"| p{number}", quoted(&card.handles.join("<br/>")))?;
            }
            number += 1;
        }
        for store in &host.stores {
            writeln!(
                out,
                "    {}[(\"{} {}\")]",
                store.name.to_lowercase(),
                store.name,
                quoted(&store.address)
            )?;
        }
        writeln!(out, "  end")?;
    }
    for store in &graph.others {
        let id = store.name.to_lowercase().replace(' ', "_");
        writeln!(out, "  {id}[(\"{} {}\")]", store.name, quoted(&store.address))?;
    }
    write!(out, "{edges}")
}

fn quoted(text: &str) -> String {
    text.replace('"', "#quot;")
}
