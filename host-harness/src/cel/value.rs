//! What expressions are about.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Attributes;
use crate::header_map::encode_pairs;

/// A value. Copies share what is long.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    /// Characters, in UTF-8; in what a client sent they may be anything.
    Text(Arc<[u8]>),
    Bytes(Arc<[u8]>),
    /// Nanoseconds.
    Duration(i64),
    /// Nanoseconds since the Unix epoch.
    Timestamp(i64),
    List(Arc<[Value]>),
    Map(Arc<[(Value, Value)]>),
    /// What the proxy knows below this path.
    Object(Arc<[u8]>),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.as_bytes().into())
    }

    /// How large it is, as far as that is not more than so much. What is in a list twice is there twice.
    pub(super) fn weight(&self, most: u64) -> u64 {
        let sum = |items: &mut dyn Iterator<Item = &Self>| {
            let mut weight = 1;
            for item in items {
                if weight > most {
                    break;
                }
                weight += item.weight(most.saturating_sub(weight));
            }
            weight
        };
        match self {
            Self::Text(bytes) | Self::Bytes(bytes) | Self::Object(bytes) => 1 + bytes.len() as u64 / 16,
            Self::List(items) => sum(&mut items.iter()),
            Self::Map(entries) => sum(&mut entries.iter().flat_map(|(key, value)| [key, value])),
            _ => 1,
        }
    }

    /// Whether two are the same; values of different kinds are not, but for numbers.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| left.equals(right))
            }
            (Self::Map(left), Self::Map(right)) => {
                let same = |(key, value): &(Self, Self)| at(right, key).is_some_and(|other| value.equals(other));
                left.len() == right.len() && left.iter().all(same)
            }
            _ => self.compare(other).map_or_else(|| self == other, Ordering::is_eq),
        }
    }

    /// Which one comes first, for values that have an order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) | (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) | (Self::Timestamp(left), Self::Timestamp(right)) => {
                Some(left.cmp(right))
            }
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Double(left), right) => Some(right.whole()?.compare_double(*left)?.reverse()),
            (left, Self::Double(right)) => left.whole()?.compare_double(*right),
            (left, right) => Some(left.whole()?.0.cmp(&right.whole()?.0)),
        }
    }

    fn whole(&self) -> Option<Whole> {
        match self {
            Self::Int(number) => Some(Whole((*number).into())),
            Self::Uint(number) => Some(Whole((*number).into())),
            _ => None,
        }
    }

    /// Writes the value as a property is written, within so many steps for what the proxy knows.
    pub(crate) fn write(&self, attributes: &dyn Attributes, steps: &mut u64, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Null => return None,
            Self::Bool(value) => out.push(u8::from(*value)),
            Self::Int(number) | Self::Duration(number) | Self::Timestamp(number) => out.extend(number.to_le_bytes()),
            Self::Uint(number) => out.extend(number.to_le_bytes()),
            Self::Double(number) => out.extend(number.to_le_bytes()),
            Self::Text(bytes) | Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Object(path) => {
                let before = out.len();
                *steps = steps.checked_sub(attributes.steps())?;
                attributes.write(path, out)?;
                *steps = steps.checked_sub((out.len() - before) as u64 / 16)?;
            }
            Self::List(items) => {
                let mut item = |item: &Self| Some((item.written(attributes, steps)?, Vec::new()));
                let pairs: Option<Vec<_>> = items.iter().map(&mut item).collect();
                write_pairs(&pairs?, out);
            }
            Self::Map(entries) => {
                let mut pair = |(key, value): &(Self, Self)| {
                    Some((key.written(attributes, steps)?, value.written(attributes, steps)?))
                };
                let pairs: Option<Vec<_>> = entries.iter().map(&mut pair).collect();
                write_pairs(&pairs?, out);
            }
        }
        Some(())
    }

    fn written(&self, attributes: &dyn Attributes, steps: &mut u64) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.write(attributes, steps, &mut out)?;
        Some(out)
    }
}

/// What a map has for a key.
pub(super) fn at<'a>(entries: &'a [(Value, Value)], key: &Value) -> Option<&'a Value> {
    entries.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value)
}

fn write_pairs(pairs: &[(Vec<u8>, Vec<u8>)], out: &mut Vec<u8>) {
    encode_pairs(pairs.iter().map(|(first, second)| (first.as_slice(), second.as_slice())), out);
}

/// A whole number of either kind.
struct Whole(i128);

impl Whole {
    /// A double is compared as it is: it may lie between two whole numbers that are the same double.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what does not fit is at the end of the range, far from any of these numbers"
    )]
    fn compare_double(&self, other: f64) -> Option<Ordering> {
        if other.is_nan() {
            return None;
        }
        let below = other.floor();
        let ordering = self.0.cmp(&(below as i128));
        Some(if ordering.is_eq() && other > below { Ordering::Less } else { ordering })
    }
}
