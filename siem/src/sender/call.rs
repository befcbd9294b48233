//! What goes out and what comes back.

use std::borrow::Cow;
use std::fmt;

/// Names a call of one sender; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// An HTTP call for the host to make.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// For the answer.
    pub id: CallId,
    /// The cluster.
    pub cluster: String,
    /// `:method`, `:path` and `:authority` first, then the others; names are in lower case, values have no control characters. There is no
    /// `content-length`: the host knows it.
    pub headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// How long to wait for the answer, in milliseconds.
    pub timeout_ms: u32,
}

/// Shows neither the body nor any header but the first three: they carry secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("id", &self.id).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// What came back for a call.
pub struct Answer<'a> {
    /// The status code; `None` if there was no answer: a time-out, a reset, no connection.
    pub status: Option<u16>,
    /// The first value of a response header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// The body, or as much of it as the caller reads; 64 KiB are enough for every protocol.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// No answer.
    pub const NONE: Answer<'static> = Answer { status: None, header: &|_| None, body: &[] };
}

/// Shows the status alone: the body of a token endpoint is a secret.
impl fmt::Debug for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}
