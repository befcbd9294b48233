//! What must come of a TCP connection.

use super::Findings;
use crate::Cost;
use crate::suite::format::{Closer, TalkExpect};
use crate::suite::matcher::shown;

/// What became of a connection.
#[derive(Debug, Clone)]
pub(in crate::suite) struct TalkSeen {
    pub(in crate::suite) server: Vec<u8>,
    pub(in crate::suite) client: Vec<u8>,
    pub(in crate::suite) closed_by: Closer,
    /// None where it is not known.
    pub(in crate::suite) held: Option<bool>,
    pub(in crate::suite) filter_state: Vec<(String, Vec<u8>)>,
    /// None where it is not known.
    pub(in crate::suite) cost: Option<Cost>,
}

impl Findings {
    /// A connection's expectations.
    pub(in crate::suite) fn connection(&mut self, expect: &TalkExpect, seen: &TalkSeen) {
        let at = |field: &str| format!("{}.{field}", expect.path);
        for (field, wanted, found) in
            [("server", &expect.server, &seen.server), ("client", &expect.client, &seen.client)]
        {
            if let Some(wanted) = wanted {
                self.look(wanted.fits(found), || at(field), wanted, || shown(found));
            }
        }
        let name = |closer| if closer == Closer::Client { "the client" } else { "the proxy" };
        if let Some(wanted) = expect.closed_by {
            let found = seen.closed_by;
            self.look(wanted == found, || at("closed_by"), name(wanted), || name(found).to_owned());
        }
        match (expect.held, seen.held) {
            (None, _) => {}
            (Some(_), None) => self.skip(at("held"), "Envoy does not tell whether a connection is held"),
            (Some(wanted), Some(found)) => self.look(wanted == found, || at("held"), wanted, || found.to_string()),
        }
        self.filter_state(&expect.filter_state, &seen.filter_state, &at("filter_state"));
        self.cost(&expect.cost, seen.cost.as_ref(), &expect.path);
    }
}

/// Whether what has come so far is what must.
pub(in crate::suite) fn fits(expect: &TalkExpect, server: &[u8], client: &[u8], closed_by: Closer) -> bool {
    expect.server.as_ref().is_none_or(|wanted| wanted.fits(server))
        && expect.client.as_ref().is_none_or(|wanted| wanted.fits(client))
        && expect.closed_by.is_none_or(|wanted| wanted == closed_by)
}
