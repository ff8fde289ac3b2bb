//! The picture as SVG: one file, no script, light and dark as the viewer prefers.

use std::fmt::Write as _;

use super::Graph;
use super::layout::{BETWEEN, CARD, CARD_HEAD, GAP, GUTTER, HEAD, LINE, Placed, PlacedCard, STORE, place};

/// Plain rules and no variables: not every program that shows SVG knows those.
const STYLE: &str = "\
text{font:13px system-ui,DejaVu Sans,sans-serif}.dim{font-size:12px}.small{font-size:11px}.bold{font-weight:600}
.title{font-size:18px;font-weight:600}.word{font:11px ui-monospace,DejaVu Sans Mono,monospace}
.line{stroke-width:1.5;fill:none}
text{fill:#1c2530}.dim,.small{fill:#5d6875}.paper{fill:#fff}.host{fill:#f3f5f8;stroke:#c6ccd4}.card{fill:#fff;stroke:#c6ccd4}
.line{stroke:#3b7dd8}.tip{fill:#3b7dd8}.bar{fill:#e5effc;stroke:#3b7dd8}
.handles{fill:#dcebff}.writes{fill:#ffe5c9}.runs{fill:#dcf3dd}
@media (prefers-color-scheme:dark){
text{fill:#e7ebf0}.dim,.small{fill:#9aa6b4}.paper{fill:#12161c}.host{fill:#1a2029;stroke:#3c4756}.card{fill:#222a35;stroke:#3c4756}
.line{stroke:#6ba5f2}.tip{fill:#6ba5f2}.bar{fill:#1d2f49;stroke:#6ba5f2}
.handles{fill:#1f3f6b}.writes{fill:#653f13}.runs{fill:#1f4f2a}}
";

/// Top of the proxy's bar.
const BAR: u32 = 96;
const BAR_HEIGHT: u32 = 38;
/// Narrowest picture: its title and legend need that much.
const NARROWEST: u32 = 700;

/// Characters of a bold name, its number and its ports that fit into the head of a card.
const HEAD_CHARACTERS: usize = 34;

/// Draws it.
pub fn svg(graph: &Graph) -> String {
    let (hosts, right, bottom) = place(graph, BAR + BAR_HEIGHT + 40);
    let beside = u32::try_from(graph.others.len()).unwrap_or(0) * (CARD + GAP) + 2 * BETWEEN;
    let wide = right.max(NARROWEST).max(beside);
    let others = if graph.others.is_empty() { 0 } else { STORE + GAP };
    let tall = bottom + others + 56;
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = draw(&mut out, graph, &hosts, (wide, tall, bottom));
    out
}

fn draw(
    out: &mut String,
    graph: &Graph,
    hosts: &[Placed<'_>],
    (wide, tall, bottom): (u32, u32, u32),
) -> std::fmt::Result {
    let title = format!("{}, Synapse {}", escape(&graph.server_name), escape(&graph.version));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {tall}\" width=\"{wide}\" height=\"{tall}\" role=\"img\">\n\
         <title>{title}: hosts, processes and what each is for</title>\n<style>{STYLE}</style>\n\
         <defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" class=\"tip\"/></marker></defs>\n\
         <rect width=\"{wide}\" height=\"{tall}\" class=\"paper\"/>\n\
         <text class=\"title\" x=\"{BETWEEN}\" y=\"38\">{}</text>\n\
         <text class=\"dim\" x=\"{BETWEEN}\" y=\"58\">Synapse {}</text>",
        escape(&graph.server_name),
        escape(&graph.version),
    )?;
    front(out, graph, wide)?;
    // Lines first: what they pass under is drawn over them.
    for host in hosts {
        frame(out, host)?;
    }
    for host in hosts {
        lines(out, host)?;
    }
    for host in hosts {
        head(out, host)?;
        for card in &host.cards {
            card_at(out, card)?;
        }
        for (at, one) in (0_u32..).zip(&host.host.stores) {
            store(out, one, host.x + GUTTER + GAP / 2, host.stores_y + at * (STORE + GAP))?;
        }
    }
    for (at, one) in (0_u32..).zip(&graph.others) {
        store(out, one, BETWEEN + at * (CARD + GAP), bottom)?;
    }
    legend(out, tall - 36)?;
    writeln!(out, "</svg>")
}

/// Who comes in, and the proxy.
fn front(out: &mut String, graph: &Graph, wide: u32) -> std::fmt::Result {
    let middle = wide / 2;
    let (kind, detail, ports) = match &graph.proxy {
        Some(proxy) => {
            let hosts = format!("on {}", proxy.hosts.join(", "));
            (proxy.kind, hosts, proxy.ports.as_slice())
        }
        None => ("your proxy", "not in the inventory".to_owned(), &[][..]),
    };
    let comers: &[(&str, u32)] = match ports {
        [first, second] => &[("clients", u32::from(*first)), ("other homeservers", u32::from(*second))],
        _ => &[("clients and other homeservers", 0)],
    };
    for (at, (who, port)) in (0_u32..).zip(comers) {
        let x = if comers.len() == 2 { middle - 110 + at * 220 } else { middle };
        let port = if *port == 0 { String::new() } else { format!(" <tspan class=\"dim\">{port}</tspan>") };
        writeln!(
            out,
            "<text x=\"{x}\" y=\"68\" text-anchor=\"middle\">{who}{port}</text>\
             <path class=\"line\" d=\"M{x} 74V{}\" marker-end=\"url(#arrow)\"/>",
            BAR - 1
        )?;
    }
    writeln!(
        out,
        "<rect class=\"bar\" x=\"{BETWEEN}\" y=\"{BAR}\" width=\"{}\" height=\"{BAR_HEIGHT}\" rx=\"6\"/>\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\"><tspan class=\"bold\">{kind}</tspan> <tspan class=\"dim\">{}</tspan></text>",
        wide - 2 * BETWEEN,
        BAR + 24,
        escape(&detail)
    )
}

fn frame(out: &mut String, host: &Placed<'_>) -> std::fmt::Result {
    writeln!(
        out,
        "<rect class=\"host\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
        host.x, host.y, host.width, host.height
    )
}

fn head(out: &mut String, host: &Placed<'_>) -> std::fmt::Result {
    let address = if host.host.address.starts_with("127.") { "" } else { host.host.address.as_str() };
    writeln!(
        out,
        "<text x=\"{}\" y=\"{}\"><tspan class=\"bold\">{}</tspan> <tspan class=\"dim\">{}</tspan></text>",
        host.x + GUTTER + GAP / 2,
        host.y + 22,
        escape(&host.host.name),
        escape(address)
    )
}

/// From the proxy down to every card that serves requests.
fn lines(out: &mut String, host: &Placed<'_>) -> std::fmt::Result {
    let serving: Vec<&PlacedCard<'_>> = host.cards.iter().filter(|card| card.card.serves()).collect();
    if serving.is_empty() {
        return Ok(());
    }
    let below = BAR + BAR_HEIGHT;
    let feed = host.y + HEAD - GAP;
    let trunk = |column: u32| host.x + GAP / 2 + column * (GUTTER + CARD + GAP) + GAP / 2;
    let columns: Vec<u32> = {
        let mut columns: Vec<u32> = serving.iter().map(|card| card.column).collect();
        columns.dedup();
        columns
    };
    let (first, last) = (columns[0], columns[columns.len() - 1]);
    if host.row == 0 {
        write!(out, "<path class=\"line\" d=\"M{} {below}V{feed}\"/>", trunk(first))?;
    } else {
        // Between the hosts above, each row a little further left.
        let x = host.x - 8 * host.row.min(3);
        write!(out, "<path class=\"line\" d=\"M{x} {below}V{feed}H{}\"/>", trunk(first))?;
    }
    if last > first {
        write!(out, "<path class=\"line\" d=\"M{} {feed}H{}\"/>", trunk(first), trunk(last))?;
    }
    for column in columns {
        let cards: Vec<&&PlacedCard<'_>> = serving.iter().filter(|card| card.column == column).collect();
        let x = trunk(column);
        let end = cards.last().map_or(feed, |card| card.y + CARD_HEAD / 2);
        write!(out, "<path class=\"line\" d=\"M{x} {feed}V{end}\"/>")?;
        for card in cards {
            let y = card.y + CARD_HEAD / 2;
            write!(out, "<path class=\"line\" d=\"M{x} {y}H{}\" marker-end=\"url(#arrow)\"/>", card.x)?;
        }
    }
    writeln!(out)
}

fn card_at(out: &mut String, placed: &PlacedCard<'_>) -> std::fmt::Result {
    let PlacedCard { card, x, y, height, words, .. } = placed;
    let count = card.processes.len();
    // A second edge behind it: several processes.
    if count > 1 {
        write!(
            out,
            "<rect class=\"card\" x=\"{}\" y=\"{}\" width=\"{CARD}\" height=\"{height}\" rx=\"5\"/>",
            x + 4,
            y + 4
        )?;
    }
    let ports = card.ports();
    let room = HEAD_CHARACTERS.saturating_sub(ports.chars().count() + if count > 1 { 4 } else { 0 });
    let times = if count > 1 { format!(" <tspan class=\"dim\">×{count}</tspan>") } else { String::new() };
    writeln!(
        out,
        "<rect class=\"card\" x=\"{x}\" y=\"{y}\" width=\"{CARD}\" height=\"{height}\" rx=\"5\"/>\
         <text x=\"{}\" y=\"{}\"><tspan class=\"bold\">{}</tspan>{times}</text>\
         <text class=\"dim\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        x + 9,
        y + 19,
        escape(&shortened(&card.title(room), room)),
        x + CARD - 9,
        y + 19,
        ports
    )?;
    for word in words {
        let (left, top) = (x + word.x, y + word.y);
        if word.first {
            write!(out, "<text class=\"small\" x=\"{}\" y=\"{}\">{}</text>", x + 9, top + 13, word.list)?;
        }
        write!(
            out,
            "<rect class=\"{}\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"4\"/>\
             <text class=\"word\" x=\"{}\" y=\"{}\">{}</text>",
            word.list,
            word.width,
            LINE - 4,
            left + 6,
            top + 13,
            escape(word.text)
        )?;
    }
    writeln!(out)
}

fn store(out: &mut String, store: &super::Store, x: u32, y: u32) -> std::fmt::Result {
    writeln!(
        out,
        "<rect class=\"card\" x=\"{x}\" y=\"{y}\" width=\"{CARD}\" height=\"{STORE}\" rx=\"16\"/>\
         <text x=\"{}\" y=\"{}\"><tspan class=\"bold\">{}</tspan></text>\
         <text class=\"dim\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        x + 14,
        y + 22,
        store.name,
        x + CARD - 14,
        y + 22,
        escape(&shortened(&store.address, HEAD_CHARACTERS.saturating_sub(store.name.len() + 2)))
    )
}

fn legend(out: &mut String, y: u32) -> std::fmt::Result {
    let mut x = BETWEEN;
    for (list, what) in
        [("handles", "requests it serves"), ("writes", "streams it writes"), ("runs", "jobs it does")]
    {
        writeln!(
            out,
            "<rect class=\"{list}\" x=\"{x}\" y=\"{y}\" width=\"18\" height=\"14\" rx=\"4\"/>\
             <text class=\"small\" x=\"{}\" y=\"{}\">{list}: {what}</text>",
            x + 24,
            y + 11
        )?;
        x += 190;
    }
    writeln!(
        out,
        "<text class=\"small\" x=\"{BETWEEN}\" y=\"{}\">Lines are requests. Every process also talks to PostgreSQL, Redis, main and the writers.</text>",
        y + 29
    )
}

/// At most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
