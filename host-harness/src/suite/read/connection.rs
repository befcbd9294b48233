//! TCP connections.

use super::node::{Fields, Node};
use super::{expect, value};
use crate::suite::format::{Closer, HostExpect, Talk, TalkExpect, Turn};

pub(super) const TURN_FIELDS: [&str; 5] = ["client", "server", "client_ends", "server_ends", "server_resets"];
pub(super) const EXPECT_FIELDS: [&str; 6] = ["server", "client", "closed_by", "held", "filter_state", "cost"];
pub(super) const CLOSERS: [&str; 2] = ["client", "proxy"];
/// The most turns of a connection.
const MOST_TURNS: usize = 1000;

/// A connection, and what is expected of it and of the host.
pub(super) fn read(node: &Node<'_>, expected: Option<&Node<'_>>) -> Option<(Talk, HostExpect)> {
    let list = node.list()?;
    if list.len() > MOST_TURNS {
        node.mistake(format!("found {} turns; use at most {MOST_TURNS}", list.len()));
        return None;
    }
    let turns = list.iter().filter_map(turn).collect();
    let (expect, host) = expected.map(|node| expectations(node)).unwrap_or_default();
    Some((Talk { turns, expect }, host))
}

fn turn(node: &Node<'_>) -> Option<Turn> {
    let fields = node.fields(&[&TURN_FIELDS])?;
    fields.at_most_one(&TURN_FIELDS);
    let ends = |name: &str, turn: Turn| {
        let node = fields.get(name)?;
        if node.flag()? { Some(turn) } else { node.refuse("`true`") }
    };
    if let Some(node) = fields.get("client") {
        return Some(Turn::Client(value::body(&node)?));
    }
    if let Some(node) = fields.get("server") {
        return Some(Turn::Server(value::body(&node)?));
    }
    if !TURN_FIELDS.iter().any(|name| fields.has(name)) {
        node.mistake("nothing is done; use `client` or `server` with what it sends, `client_ends`, `server_ends` or `server_resets`");
    }
    ends("client_ends", Turn::ClientEnds)
        .or_else(|| ends("server_ends", Turn::ServerEnds))
        .or_else(|| ends("server_resets", Turn::ServerResets))
}

fn expectations(node: &Node<'_>) -> (TalkExpect, HostExpect) {
    let Some(fields) = node.fields(&[&EXPECT_FIELDS, &expect::HOST_FIELDS]) else { return Default::default() };
    (of_connection(&fields, node), expect::host_fields(&fields, node))
}

fn of_connection(fields: &Fields<'_>, node: &Node<'_>) -> TalkExpect {
    let body = |name| fields.get(name).and_then(|node| value::body_match(&node));
    TalkExpect {
        path: node.path().to_owned(),
        server: body("server"),
        client: body("client"),
        closed_by: fields.get("closed_by").and_then(|node| {
            let place = node.word(&CLOSERS)?;
            Some(if place == 0 { Closer::Client } else { Closer::Proxy })
        }),
        held: fields.get("held").and_then(|node| node.flag()),
        filter_state: fields.get("filter_state").map(|node| expect::values(&node)).unwrap_or_default(),
        cost: fields.get("cost").map(|node| expect::cost(&node)).unwrap_or_default(),
    }
}
