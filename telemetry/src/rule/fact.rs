//! Facts: values with a name, taken from a stream.

use crate::json::number;

/// Where a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The route's name, or its template where it has none.
    Endpoint,
    /// The method; `OTHER` for one that is not known.
    Method,
    /// The status code; `0` without an answer.
    Status,
    /// `2xx`, …; nothing without an answer.
    StatusClass,
    /// `grpc-status`, of the trailers or of the headers.
    GrpcStatus,
    /// What became of the correlation ID.
    Outcome,
    /// The correlation ID.
    CorrelationId,
    /// The client's address, without its port.
    Address,
    /// Bytes of the request's body.
    RequestBytes,
    /// Bytes of the response's body.
    ResponseBytes,
    /// How long the stream took, in seconds.
    DurationSeconds,
    /// This text.
    Constant(String),
    /// A parameter of the template.
    Path(String),
    /// A header of the request, in lower case.
    RequestHeader(String),
    /// A header of the response, in lower case.
    ResponseHeader(String),
    /// A value in the request's body, by the number of its JSON pointer.
    Body(usize),
}

impl Source {
    /// Every value that it can have, where that is a short list.
    fn closed(&self) -> Option<Vec<&str>> {
        match self {
            Source::Method => Some(crate::method::Method::ALL.iter().map(|method| method.as_str()).collect()),
            Source::StatusClass => Some(vec!["1xx", "2xx", "3xx", "4xx", "5xx"]),
            Source::Outcome => Some(vec!["kept", "generated", "refused", "none"]),
            Source::Constant(text) => Some(vec![text]),
            _ => None,
        }
    }
}

/// A value with a name.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What rules call it.
    pub name: String,
    /// Where it is: the first that has a value which counts.
    pub sources: Vec<Source>,
    /// Whether it has to be a number.
    pub is_number: bool,
    /// What each value is called; a value that is not in it counts as none.
    pub map: Option<Vec<(String, String)>>,
    /// The values that it may have.
    pub values: Option<Vec<String>>,
    /// Its value where there is none.
    pub default: Option<String>,
    /// The longest text, in bytes.
    pub max_bytes: usize,
    /// Whether its digest is shown in its place.
    pub hash: bool,
}

impl Fact {
    /// Whether a part of the request's body is asked for.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.sources.iter().any(|source| matches!(source, Source::Body(_)))
    }

    /// Every value that it can have, the default last; `None` where there is no end of them.
    #[must_use]
    pub fn closed(&self) -> Option<Vec<String>> {
        let mut values: Vec<String> = match (&self.values, &self.map) {
            (Some(values), _) => values.clone(),
            (None, Some(map)) => map.iter().map(|(_, called)| called.clone()).collect(),
            (None, None) => {
                let each: Option<Vec<Vec<&str>>> = self.sources.iter().map(Source::closed).collect();
                each?.into_iter().flatten().map(str::to_owned).collect()
            }
        };
        values.extend(self.default.clone());
        if self.hash {
            values.iter_mut().for_each(|value| *value = digest(value));
        }
        let mut distinct = Vec::with_capacity(values.len());
        for value in values {
            if !distinct.contains(&value) {
                distinct.push(value);
            }
        }
        Some(distinct)
    }

    /// What a value counts as; `None` where it counts as none.
    #[inline]
    #[must_use]
    pub fn read(&self, value: &[u8]) -> Option<String> {
        let text = cut(&String::from_utf8_lossy(value), self.max_bytes).to_owned();
        let text = match &self.map {
            Some(map) => map.iter().find(|(known, _)| *known == text)?.1.clone(),
            None => text,
        };
        let counts = !text.is_empty()
            && self.values.as_ref().is_none_or(|values| values.contains(&text))
            && (!self.is_number || number::is_number(&text));
        counts.then(|| self.shown(text))
    }

    /// The value where there is none.
    #[inline]
    #[must_use]
    pub fn fallback(&self) -> Option<String> {
        self.default.clone().map(|text| self.shown(text))
    }

    #[inline]
    fn shown(&self, text: String) -> String {
        if self.hash { digest(&text) } else { text }
    }
}

/// The first `most` bytes of a text, or a few less where a character would be cut.
#[inline]
fn cut(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

/// The first 16 hexadecimal digits of a text's SHA-256.
#[inline]
fn digest(text: &str) -> String {
    let mut sha256 = siem::sha256::Sha256::new();
    sha256.update(text.as_bytes());
    let mut hex = String::with_capacity(16);
    for byte in sha256.finish().iter().take(8) {
        for digit in [byte >> 4, byte & 15] {
            hex.extend(char::from_digit(u32::from(digit), 16));
        }
    }
    hex
}
