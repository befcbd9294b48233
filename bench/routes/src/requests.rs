//! Requests, and how a list of them crosses into the Wasm build.

use telemetry::method::Method;

/// What a router is asked: the method and the target as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `:method`
    pub method: Method,
    /// `:path`
    pub target: Vec<u8>,
}

impl Request {
    /// A `GET` of this target.
    #[must_use]
    pub fn get(target: impl Into<Vec<u8>>) -> Self {
        Self { method: Method::Get, target: target.into() }
    }
}

/// Each request as one byte for the method, four for the target's length, and the target.
#[must_use]
pub fn encode(requests: &[Request]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for request in requests {
        bytes.push(request.method.index() as u8);
        bytes.extend_from_slice(&(request.target.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&request.target);
    }
    bytes
}

/// The list that [`encode`] wrote; `None` for other bytes.
#[must_use]
pub fn decode(mut bytes: &[u8]) -> Option<Vec<Request>> {
    let mut requests = Vec::new();
    while let Some((method, rest)) = bytes.split_first() {
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (target, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        requests.push(Request { method: *Method::ALL.get(usize::from(*method))?, target: target.to_vec() });
        bytes = rest;
    }
    Some(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_back_and_other_bytes_do_not() {
        let request = |method, target: &[u8]| Request { method, target: target.to_vec() };
        let list =
            [request(Method::Get, b"/a\n\xff"), request(Method::Other, b""), request(Method::Put, &[b'/'; 60_000])];
        let bytes = encode(&list);
        assert_eq!(decode(&bytes).as_deref(), Some(&list[..]));
        assert_eq!(decode(b""), Some(Vec::new()));
        for end in [1, 4, 6, 8, bytes.len() - 1] {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(b"\x0a\0\0\0\0"), None, "no such method");
    }
}
