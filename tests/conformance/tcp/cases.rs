//! What is asked of the probe as a network filter: a group is one start of a proxy, a case is one connection.

use std::fmt;

use super::{client, server};

/// One start of a proxy.
#[derive(Debug)]
pub(crate) struct Group {
    /// What it is about.
    pub(crate) name: &'static str,
    /// The plugin's configuration.
    pub(crate) plugin: &'static str,
    /// What happens to connections when the module has trapped.
    pub(crate) fail_open: bool,
    /// Nobody listens where the server should be. The plugin's configuration names the case.
    pub(crate) refused: bool,
    /// What happens, in this order.
    pub(super) cases: Vec<Case>,
}

/// One connection.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What the probe does with it; nothing at all if it is empty.
    pub(super) name: String,
    pub(super) client: client::Script,
    pub(super) server: server::Script,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.name.is_empty() { "-" } else { &self.name })?;
        if self.client != client::Script::default() {
            write!(f, ", client: {:?}", self.client)?;
        }
        if self.server != server::Script::default() {
            write!(f, ", server: {:?}", self.server)?;
        }
        Ok(())
    }
}

/// Left out, since Envoy 1.40 ends with a segmentation fault.
pub(crate) const CRASHES: [&str; 0] = [];

const PHASES: [&str; 5] =
    ["new_connection", "downstream_data", "upstream_data", "upstream_connection_close", "downstream_connection_close"];
const LATER: [&str; 4] = ["done", "log", "delete", "tick"];

/// All groups.
pub(crate) fn groups() -> Vec<Group> {
    let mut groups = vec![
        group("lifecycle", lifecycle()),
        group("reads and writes", reads_and_writes()),
        group("holding", holding()),
        group("continue", control("continue", &[2, 3, 0, 1])),
        group("close", control("close", &[2, 3, 0, 1])),
        group("replies, callouts, queues, metrics", other_topics()),
        // Without a server no data comes that could name the case. The client sends none: whether it was read before the end decides how a
        // connection ends.
        Group {
            refused: true,
            plugin: "connection:connection",
            ..group("nobody listens", vec![closed_at_once(case("connection"))])
        },
    ];
    for phase in PHASES.iter().chain(&["log", "tick"]) {
        groups.push(trap("a trap", phase, false));
        groups.push(trap("a trap, failing open", phase, true));
    }
    groups
}

fn group(name: &'static str, mut cases: Vec<Case>) -> Group {
    cases.retain(|case| !CRASHES.contains(&case.name.as_str()));
    Group { name, plugin: "queue:queue-configured", fail_open: false, refused: false, cases }
}

/// A trap, and what becomes of the next connection.
fn trap(name: &'static str, phase: &str, fail_open: bool) -> Group {
    let trapped = case(format!("connection-trap@{phase}"));
    let trapped = if phase == PHASES[0] { closed_at_once(trapped) } else { trapped };
    let next = if fail_open { case("") } else { closed_at_once(case("")) };
    Group { fail_open, ..group(name, vec![trapped, next]) }
}

fn case(name: impl Into<String>) -> Case {
    Case { name: name.into(), client: client::Script::default(), server: server::Script::default() }
}

/// Before or after something was sent: so that it makes no difference, the client does not try.
fn closed_at_once(case: Case) -> Case {
    Case { client: client::Script::Listen, ..case }
}

fn lifecycle() -> Vec<Case> {
    use client::Script as Client;
    use server::Script as Server;

    let mut cases = Vec::new();
    for client in [Client::Talk, Client::SendAndEnd, Client::Close, Client::Reset] {
        cases.push(Case { client, ..case("connection") });
    }
    for server in [Server::AnswerAndEnd, Server::AnswerAndClose, Server::Reset, Server::AnswerAtEnd] {
        cases.push(Case { server, ..case("connection") });
    }
    cases.push(Case { client: Client::ListenAndTalk, server: Server::Greet, ..case("connection") });
    cases.push(Case { client: Client::Listen, server: Server::Greet, ..case("connection") });
    cases.push(Case { client: Client::SendAndEnd, server: Server::AnswerAtEnd, ..case("connection") });
    cases
}

fn reads_and_writes() -> Vec<Case> {
    let names = [
        "headers-read",
        "headers-write",
        "buffers-read",
        "buffers-write",
        "buffers-ranges",
        "buffers-bad-arguments",
        "connection-writes",
        "properties-read",
        "properties-set",
        "contexts",
        "done",
        "status",
        "foreign",
        "expressions-attributes",
    ];
    let mut cases: Vec<Case> = names.into_iter().map(case).collect();
    let pieces =
        ["0,0,ab", "0,2,ab", "0,max,ab", "2,0,ab", "2,2,ab", "5,0,ab", "99,0,ab", "max,max,ab", "0,max,", "0,2,"];
    cases.extend(pieces.map(|piece| case(format!("buffers-set@{piece}"))));
    cases
}

fn holding() -> Vec<Case> {
    use client::Script as Client;
    use server::Script as Server;

    let mut cases = vec![case("buffers-held")];
    for phase in &PHASES[..3] {
        cases.extend([1, 2, 3, 7].map(|action| case(format!("action@{phase},{action}"))));
    }
    for phase in ["downstream_data", "upstream_data"] {
        cases.extend([1, 2, 9].map(|number| case(format!("connection-held@{phase},{number}"))));
        cases.push(case(format!("connection-held-and-written@{phase}")));
        cases.push(Case { client: Client::SendAndEnd, ..case(format!("connection-held@{phase},9")) });
        cases.push(Case { client: Client::Reset, ..case(format!("connection-held@{phase},9")) });
    }
    for client in [Client::Talk, Client::SendAndEnd, Client::Close, Client::Reset] {
        cases.push(Case { client, ..case("connection-held@new_connection,9") });
    }
    // The server ends before a tick comes.
    cases.push(Case { client: Client::SendAndEnd, ..case("connection-held-and-written@downstream_data") });
    cases.push(Case { server: Server::AnswerAndClose, ..case("connection-held@upstream_data,9") });
    cases.extend(PHASES[..3].iter().map(|phase| case(format!("connection-continue-and-pause@{phase}"))));
    cases
}

/// A hostcall that takes the kind of a stream, in every phase.
fn control(name: &str, kinds: &[u32]) -> Vec<Case> {
    let mut cases = Vec::new();
    for phase in PHASES.iter().chain(&LATER) {
        for kind in kinds {
            let case = case(format!("{name}@{phase},{kind}"));
            let closes = name == "close" && *phase == PHASES[0] && matches!(kind, 2 | 3);
            cases.push(if closes { closed_at_once(case) } else { case });
        }
    }
    cases.extend([4, u32::MAX].map(|kind| case(format!("{name}@downstream_data,{kind}"))));
    if name == "close" {
        cases.push(closed_at_once(case("connection-close-and-continue@new_connection")));
        cases.extend(PHASES[1..3].iter().map(|phase| case(format!("connection-close-and-continue@{phase}"))));
        let client = client::Script::SendAndEnd;
        cases.extend(
            ["downstream_data", "upstream_data"].map(|phase| Case { client, ..case(format!("close@{phase},2")) }),
        );
        let server = server::Script::AnswerAndEnd;
        cases.push(Case { server, ..case("close@upstream_data,2") });
    }
    cases
}

fn other_topics() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in ["local-reply", "callout-from", "queue-from"] {
        cases.extend(PHASES.iter().chain(&LATER).map(|phase| case(format!("{name}@{phase}"))));
    }
    cases.extend(["log", "tick"].map(|phase| case(format!("metrics-from@{phase}"))));
    cases
}
