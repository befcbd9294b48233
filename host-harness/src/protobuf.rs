//! Protobuf messages read as Envoy reads them: a field of the wrong type is as good as an unknown one, and is left out.

/// The field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// A number, a truth or one of several names.
    Number(u64),
    /// Bytes, a text or a message.
    Bytes(&'a [u8]),
}

/// How deep groups may lie in each other.
const MAX_DEPTH: usize = 100;

/// The fields of a message in their order; none where it is malformed. They are not collected: of a message that a module makes, each may be two
/// bytes.
pub(crate) fn fields(message: &[u8]) -> Option<Fields<'_>> {
    let mut trial = Fields::of(message);
    while !trial.reader.rest.is_empty() {
        trial.step()?;
    }
    trial.groups.is_empty().then(|| Fields::of(message))
}

/// Reads a message field by field.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    reader: Reader<'a>,
    /// The numbers of the groups that are open: what is in them is left out.
    groups: Vec<u64>,
}

impl<'a> Fields<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { reader: Reader { rest: message }, groups: Vec::new() }
    }

    /// Reads one field, which may be one to be left out; none where it is malformed.
    fn step(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        let Self { reader, groups } = self;
        let tag = reader.varint().filter(|tag| *tag <= u64::from(u32::MAX))?;
        let number = tag >> 3;
        if number == 0 {
            return None;
        }
        let value = match tag & 7 {
            0 => Some(Value::Number(reader.varint()?)),
            1 => reader.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(reader.varint()?).ok()?;
                Some(Value::Bytes(reader.take(length)?))
            }
            3 if groups.len() < MAX_DEPTH => {
                groups.push(number);
                None
            }
            4 if groups.pop() == Some(number) => None,
            5 => reader.take(4).map(|_| None)?,
            _ => return None,
        };
        Some(value.filter(|_| groups.is_empty()).map(|value| (number, value)))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.reader.rest.is_empty() {
            if let Some(field) = self.step()? {
                return Some(field);
            }
        }
        None
    }
}

#[derive(Debug)]
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let [byte] = self.take(1)?.try_into().ok()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(message: &[u8], expected: Option<&[(u64, Value<'_>)]>) {
        assert_eq!(fields(message).map(Vec::from_iter).as_deref(), expected, "{}", message.escape_ascii());
    }

    #[test]
    fn fields_come_in_their_order() {
        check(b"", Some(&[]));
        check(
            b"\x0a\x02hi\x10\x96\x01\x0a\x00",
            Some(&[(1, Value::Bytes(b"hi")), (2, Value::Number(150)), (1, Value::Bytes(b""))]),
        );
    }

    #[test]
    fn what_has_no_use_is_left_out() {
        // Eight bytes, four bytes, a group with a field in it.
        check(b"\x0912345678\x0d1234\x0b\x10\x01\x0c\x10\x02", Some(&[(2, Value::Number(2))]));
    }

    #[test]
    fn malformed_messages_are_none() {
        let deep = [0x0b_u8].repeat(MAX_DEPTH + 1);
        for message in [
            b"\x0a".as_slice(),
            b"\x0a\x05ab",
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x00\x01",
            b"\x0e",
            b"\x0c",
            b"\x0b",
            b"\x0b\x14",
            b"\x09123",
            b"\x0d123",
            &deep,
        ] {
            check(message, None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(message in proptest::collection::vec(0_u8.., 0..200)) {
            let _ = fields(&message);
        }
    }
}
