//! HTTP request methods as metric label values: the registered ones that matter, and `OTHER`.
//!
//! Method tokens are case-sensitive (RFC 9110 section 9.1), so `get` is [`Method::Other`]. The set is closed: no request can add to it.

use std::fmt;

/// A request method, or [`Method::Other`] for any token outside the known set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `CONNECT`
    Connect,
    /// `TRACE`
    Trace,
    /// Every other token, and a request that never showed its method.
    Other,
}

impl Method {
    /// How many values there are, [`Method::Other`] included.
    pub const COUNT: usize = 10;

    /// Every value, in the order of [`Method::index`].
    pub const ALL: [Method; Method::COUNT] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Connect,
        Method::Trace,
        Method::Other,
    ];

    /// Reads a method token. Anything that is not exactly one of the known tokens is [`Method::Other`].
    ///
    /// ```
    /// use telemetry::method::Method;
    ///
    /// assert_eq!(Method::from_bytes(b"PATCH"), Method::Patch);
    /// assert_eq!(Method::from_bytes(b"patch"), Method::Other);
    /// ```
    #[inline]
    #[must_use]
    pub fn from_bytes(token: &[u8]) -> Self {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }

    /// The token, which is also the label value; `OTHER` for [`Method::Other`].
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Other => "OTHER",
        }
    }

    /// The position in [`Method::ALL`], for tables indexed by method.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_token_reads_back() {
        for (index, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method.index(), index);
            assert_eq!(Method::from_bytes(method.as_str().as_bytes()), method);
        }
    }

    #[test]
    fn anything_else_is_other() {
        for token in [
            &b""[..],
            b"get",
            b"Get",
            b"GET ",
            b" GET",
            b"GETT",
            b"PURGE",
            b"PRI",
            b"\xff\xfe",
            b"OTHER",
            b"M-SEARCH",
            &[b'A'; 60_000],
        ] {
            assert_eq!(Method::from_bytes(token), Method::Other);
        }
    }
}
