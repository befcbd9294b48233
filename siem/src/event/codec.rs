//! An event as bytes, for the proxy's shared data.
//!
//! One version byte, fixed fields, then texts with a length of two bytes each, all in network order. Absent text has the length 0xffff.

use super::{Class, Event, Extra, MAX_EXTRA, Number, Severity, Text};

const VERSION: u8 = 1;
const ABSENT: u16 = u16::MAX;

const CLASSES: [Class; 5] =
    [Class::Decision, Class::Authentication, Class::Authorization, Class::PrivilegedOperation, Class::Probe];
const SEVERITIES: [Severity; 5] =
    [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

impl Event {
    /// The event as bytes, for [`Event::decode`] of this version of the crate. At most 8 KiB.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let position = |found: Option<usize>| found.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX);
        out.push(VERSION);
        out.push(position(CLASSES.iter().position(|class| *class == self.class)));
        out.push(position(SEVERITIES.iter().position(|severity| *severity == self.severity)));
        out.extend(self.uid);
        out.extend(self.time_ns.to_be_bytes());
        out.extend(self.count.to_be_bytes());
        // No response has the status 0xffff.
        out.extend(self.status.unwrap_or(ABSENT).to_be_bytes());
        put(&mut out, Some(self.kind.as_str()));
        put(&mut out, self.correlation_id.as_ref().map(Text::as_str));
        put(&mut out, self.deployment_id.as_ref().map(Text::as_str));
        put(&mut out, self.decision.as_ref().map(Text::as_str));
        put(&mut out, self.approved_by.as_ref().map(Text::as_str));
        put(&mut out, self.risk_score.as_ref().map(Number::as_str));
        put(&mut out, self.source.as_ref().map(Text::as_str));
        put(&mut out, self.method.as_ref().map(Text::as_str));
        put(&mut out, self.endpoint.as_ref().map(Text::as_str));
        put(&mut out, self.ring.as_ref().map(Text::as_str));
        for (name, value) in self.extra.iter() {
            put(&mut out, Some(name));
            put(&mut out, Some(value));
        }
        out
    }

    /// What [`Event::encode`] wrote. `None` for anything else, another version's bytes included.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let [version, class, severity] = reader.array()?;
        if version != VERSION {
            return None;
        }
        let class = *CLASSES.get(usize::from(class))?;
        let severity = *SEVERITIES.get(usize::from(severity))?;
        let uid = reader.array()?;
        let time_ns = u64::from_be_bytes(reader.array()?);
        let count = u32::from_be_bytes(reader.array()?);
        let status = Some(u16::from_be_bytes(reader.array()?)).filter(|status| *status != ABSENT);
        let mut event = Self {
            uid,
            class,
            severity,
            time_ns,
            count,
            status,
            kind: reader.text()??,
            correlation_id: reader.text()?,
            deployment_id: reader.text()?,
            decision: reader.text()?,
            approved_by: reader.text()?,
            risk_score: match reader.str()? {
                Some(text) => Some(Number::parse(text)?),
                None => None,
            },
            source: reader.text()?,
            method: reader.text()?,
            endpoint: reader.text()?,
            ring: reader.text()?,
            extra: Extra::default(),
        };
        for _ in 0..MAX_EXTRA {
            if reader.0.is_empty() {
                break;
            }
            event.extra.add(reader.text()??, reader.text()??);
        }
        reader.0.is_empty().then_some(event)
    }
}

fn put(out: &mut Vec<u8>, text: Option<&str>) {
    // Every text is bounded far below the greatest length.
    let length = text.map_or(ABSENT, |text| u16::try_from(text.len()).unwrap_or(0));
    out.extend(length.to_be_bytes());
    out.extend(text.unwrap_or_default().bytes().take(usize::from(length)));
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn str(&mut self) -> Option<Option<&'a str>> {
        let length = u16::from_be_bytes(self.array()?);
        if length == ABSENT {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        str::from_utf8(text).ok().map(Some)
    }

    /// `None` if there is none; text longer than its field is no text of ours.
    fn text<const MAX: usize>(&mut self) -> Option<Option<Text<MAX>>> {
        match self.str()? {
            Some(text) if text.len() <= MAX => Some(Some(Text::new(text))),
            Some(_) => None,
            None => Some(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::events;

    #[test]
    fn garbage_is_no_event() {
        let bytes = Event::new([7; 16], "CAB_APPROVAL", Class::Decision, 1).encode();
        assert!(Event::decode(&bytes).is_some());
        assert_eq!(Event::decode(b""), None);
        for length in 0..bytes.len() {
            assert_eq!(Event::decode(&bytes[..length]), None);
        }
        for (at, value) in [(0, 2), (1, 5), (2, 9)] {
            let mut other = bytes.clone();
            other[at] = value;
            assert_eq!(Event::decode(&other), None);
        }
        assert_eq!(Event::decode(&[bytes, vec![0]].concat()), None);
    }

    proptest! {
        #[test]
        fn an_event_is_decoded_as_it_was(event in events()) {
            let bytes = event.encode();
            prop_assert!(bytes.len() <= 8192);
            prop_assert_eq!(Event::decode(&bytes), Some(event));
        }

        #[test]
        fn what_is_decoded_is_encoded_alike(event in events(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = event.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            // An extra name may now be there twice, so that the bytes differ; never what they mean.
            if let Some(event) = Event::decode(&bytes) {
                prop_assert_eq!(Event::decode(&event.encode()), Some(event));
            }
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Event::decode(&bytes);
        }
    }
}
