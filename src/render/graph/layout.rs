//! Where everything of the picture lies, in pixels. Nothing here depends on a font being there:
//! words are set in a monospaced one, whose width is known closely enough.
//!
//! Hosts are columns in rows of at most [`ACROSS`]; a host with many cards has several columns of
//! them. Requests come down a line left of each column and branch off to the cards.

use super::{Card, Graph, HostBox};

/// Width of a card.
pub const CARD: u32 = 292;
/// From a column's line to its cards.
pub const GUTTER: u32 = 22;
/// Space inside of hosts and between things.
pub const GAP: u32 = 12;
/// Around hosts; lines to lower rows run here.
pub const BETWEEN: u32 = 30;
/// Head of a host.
pub const HEAD: u32 = 44;
/// Height of a datastore.
pub const STORE: u32 = 34;
/// Head of a card.
pub const CARD_HEAD: u32 = 28;
/// A line of words.
pub const LINE: u32 = 22;
/// Width of a character of a word, in tenths.
const CHARACTER: u32 = 66;
/// Where words begin in a card.
pub const WORDS: u32 = 62;
/// Hosts in a row.
const ACROSS: usize = 4;

/// A host's place.
pub struct Placed<'a> {
    /// What it is.
    pub host: &'a HostBox,
    /// Row, from 0.
    pub row: u32,
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
    /// Cards with their places.
    pub cards: Vec<PlacedCard<'a>>,
    /// Top of the datastores.
    pub stores_y: u32,
}

/// A card's place.
pub struct PlacedCard<'a> {
    pub card: &'a Card,
    /// Which column of the host.
    pub column: u32,
    pub x: u32,
    pub y: u32,
    pub height: u32,
    pub words: Vec<Word<'a>>,
}

/// A word's place in its card.
pub struct Word<'a> {
    /// `handles`, `writes` or `runs`; the first word of each begins its list.
    pub list: &'static str,
    pub first: bool,
    pub text: &'a str,
    pub x: u32,
    pub y: u32,
    pub width: u32,
}

/// Width of a word with its frame.
pub fn width(text: &str) -> u32 {
    let characters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    characters.saturating_mul(CHARACTER).div_ceil(10).saturating_add(12)
}

/// Places of all hosts from `top` on, and the width and height of all together.
pub fn place(graph: &Graph, top: u32) -> (Vec<Placed<'_>>, u32, u32) {
    let (mut placed, mut right, mut y) = (Vec::new(), 0, top);
    for (row, hosts) in (0_u32..).zip(graph.hosts.chunks(ACROSS)) {
        let (mut x, mut tallest) = (BETWEEN, 0);
        for host in hosts {
            let one = host_at(host, row, columns(host, graph.hosts.len()), x, y);
            x += one.width + BETWEEN;
            tallest = tallest.max(one.height);
            placed.push(one);
        }
        // Hosts of a row end together.
        placed.iter_mut().filter(|one| one.row == row).for_each(|one| one.height = tallest);
        right = right.max(x);
        y += tallest + BETWEEN;
    }
    (placed, right, y)
}

/// Columns of cards in a host: few hosts may be wide.
fn columns(host: &HostBox, hosts: usize) -> u32 {
    let most = match hosts {
        1 => 4,
        2 => 2,
        _ => 1,
    };
    // Main, four workers and the datastores stand in one column.
    u32::try_from(host.cards.len().div_ceil(6)).unwrap_or(most).clamp(1, most)
}

fn host_at(host: &HostBox, row: u32, columns: u32, x: u32, y: u32) -> Placed<'_> {
    let column_width = GUTTER + CARD + GAP;
    let mut cards: Vec<PlacedCard<'_>> = Vec::new();
    // Cards keep their order: a column takes what fits into its share of the height.
    let heights: u32 = host.cards.iter().map(|card| words(card).1 + GAP).sum();
    let share = heights.div_ceil(columns);
    let (mut column, mut down, mut lowest, mut done) = (0, 0, 0, 0);
    for card in &host.cards {
        let (words, height) = words(card);
        if down > 0 && done + (height + GAP) / 2 > share * (column + 1) && column + 1 < columns {
            (column, down) = (column + 1, 0);
        }
        cards.push(PlacedCard {
            card,
            column,
            x: x + GAP / 2 + column * column_width + GUTTER,
            y: y + HEAD + down,
            height,
            words,
        });
        (down, done) = (down + height + GAP, done + height + GAP);
        lowest = lowest.max(down);
    }
    let stores = u32::try_from(host.stores.len()).unwrap_or(0) * (STORE + GAP);
    Placed {
        host,
        row,
        x,
        y,
        width: columns * column_width + GAP / 2,
        height: HEAD + lowest + stores,
        cards,
        stores_y: y + HEAD + lowest,
    }
}

/// Words of a card, broken into lines, and the card's height.
fn words(card: &Card) -> (Vec<Word<'_>>, u32) {
    let mut placed = Vec::new();
    let mut y = CARD_HEAD;
    for (list, words) in card.lists() {
        let mut x = WORDS;
        for (at, text) in words.iter().enumerate() {
            let width = width(text).min(CARD - WORDS - GAP / 2);
            if at > 0 && x + width > CARD - GAP / 2 {
                (x, y) = (WORDS, y + LINE);
            }
            placed.push(Word { list, first: at == 0, text, x, y, width });
            x += width + 4;
        }
        if !words.is_empty() {
            y += LINE;
        }
    }
    (placed, y + GAP / 2)
}
