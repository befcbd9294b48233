//! The probe as a network filter: what a client and a server do, and what both and the probe say of it.

mod cases;
mod client;
mod server;

use std::net::SocketAddr;

use super::log::Log;
use super::of_worker;
use super::transcript::Transcript;

pub(super) use cases::{CRASHES, Group, groups};
pub(super) use server::Server;

/// What a group's cases said.
pub(super) fn run(
    group: &Group,
    server: &Server,
    proxy: SocketAddr,
    log: &Log,
    mut check: impl FnMut(&str),
) -> Vec<Transcript> {
    log.take();
    // The worker is the thread that sees connections.
    let mut worker = None;
    let mut transcripts = Vec::new();
    for case in &group.cases {
        if !group.refused && !case.name.is_empty() {
            client::name_case(proxy, server, &case.name);
            // The naming connection's end is silent, and is to be over.
            log.take();
        }
        server.play(case.server);
        let answer = client::play(proxy, case.client);
        let lines = log.take();
        let seen = lines.iter().find(|(_, line)| line.contains("on_new_connection(")).map(|(thread, _)| thread.clone());
        let worker = worker.get_or_insert_with(|| seen.unwrap_or_else(|| panic!("{case} is not seen: {lines:#?}")));
        let mut lines = of_worker(worker, lines);
        lines.push(format!("client: {answer}"));
        lines.push(format!("server: {}", server.told()));
        check(&case.name);
        transcripts.push(Transcript { case: format!("tcp {case} ({})", group.name), lines });
    }
    transcripts
}
