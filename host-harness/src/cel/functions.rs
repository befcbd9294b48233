//! Operators and functions of expressions.

use regex_automata::meta::Regex;

use super::evaluate::Evaluation;
use super::time::{self, Part, SECOND};
use super::value::at;
use super::{Failure, Value};

/// What is called, also by a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Negate,
    Not,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Index,
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    Dyn,
    Duration,
    Timestamp,
    Part(Part),
}

impl Function {
    /// The function of a name that has as many arguments.
    pub(super) fn global(name: &str, arguments: usize) -> Option<Self> {
        Some(match (name, arguments) {
            ("size", 1) => Self::Size,
            ("contains", 2) => Self::Contains,
            ("startsWith", 2) => Self::StartsWith,
            ("endsWith", 2) => Self::EndsWith,
            ("matches", 2) => Self::Matches,
            ("int", 1) => Self::Int,
            ("uint", 1) => Self::Uint,
            ("double", 1) => Self::Double,
            ("string", 1) => Self::Text,
            ("bytes", 1) => Self::Bytes,
            ("dyn", 1) => Self::Dyn,
            ("duration", 1) => Self::Duration,
            ("timestamp", 1) => Self::Timestamp,
            _ => return None,
        })
    }

    /// The method of a name that has as many arguments besides what it is called on.
    pub(super) fn method(name: &str, arguments: usize) -> Option<Self> {
        Some(match (name, arguments) {
            ("size", 0) => Self::Size,
            ("contains", 1) => Self::Contains,
            ("startsWith", 1) => Self::StartsWith,
            ("endsWith", 1) => Self::EndsWith,
            ("matches", 1) => Self::Matches,
            (name, 0) => Self::Part(Part::named(name)?),
            _ => return None,
        })
    }
}

type Outcome = Result<Value, Failure>;

pub(super) fn call(evaluation: &mut Evaluation<'_>, function: Function, arguments: &[Value]) -> Outcome {
    match arguments {
        [of] => one(evaluation, function, of),
        [left, right] => two(evaluation, function, left, right),
        _ => Err(Failure::Error),
    }
}

fn one(evaluation: &mut Evaluation<'_>, function: Function, of: &Value) -> Outcome {
    evaluation.spend_on(of)?;
    let value = match (function, of) {
        (Function::Not, Value::Bool(value)) => Some(Value::Bool(!value)),
        (Function::Negate, Value::Int(number)) => number.checked_neg().map(Value::Int),
        (Function::Negate, Value::Double(number)) => Some(Value::Double(-number)),
        (Function::Size, of) => size(evaluation, of)?,
        (Function::Dyn, of) => Some(of.clone()),
        (Function::Int, of) => int(of).map(Value::Int),
        (Function::Uint, of) => uint(of).map(Value::Uint),
        (Function::Double, of) => double(of).map(Value::Double),
        (Function::Text, of) => text(of),
        (Function::Bytes, Value::Text(bytes) | Value::Bytes(bytes)) => Some(Value::Bytes(bytes.clone())),
        (Function::Part(part), of) => part.of(of).map(Value::Int),
        (Function::Duration, Value::Text(text)) => utf8(text).and_then(time::duration).map(Value::Duration),
        (Function::Duration, Value::Duration(_)) | (Function::Timestamp, Value::Timestamp(_)) => Some(of.clone()),
        (Function::Timestamp, Value::Text(text)) => utf8(text).and_then(time::timestamp).map(Value::Timestamp),
        (Function::Timestamp, Value::Int(seconds)) => seconds.checked_mul(SECOND).map(Value::Timestamp),
        _ => None,
    };
    value.ok_or(Failure::Error)
}

/// Characters of a text, bytes, items, or entries.
fn size(evaluation: &mut Evaluation<'_>, of: &Value) -> Result<Option<Value>, Failure> {
    let size = match of {
        Value::Text(text) => String::from_utf8_lossy(text).chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(_) | Value::Map(_) => evaluation.items(of)?.len(),
        // What cannot be listed has no size.
        Value::Object(_) => evaluation.items(of).map_or(0, |items| items.len()),
        _ => return Ok(None),
    };
    Ok(i64::try_from(size).ok().map(Value::Int))
}

fn two(evaluation: &mut Evaluation<'_>, function: Function, left: &Value, right: &Value) -> Outcome {
    if function == Function::Index {
        return evaluation.place(left, right);
    }
    let (long, wide) = (evaluation.spend_on(left)?, evaluation.spend_on(right)?);
    let is_made = |value: &Value| matches!(value, Value::List(_) | Value::Map(_));
    match function {
        // Each entry of a map is looked for among all of another.
        Function::Equal | Function::Unequal if is_made(left) && is_made(right) => {
            evaluation.spend(long.saturating_mul(wide))?
        }
        // Each item is compared with it.
        Function::In if is_made(left) => evaluation.spend(long.saturating_mul(wide))?,
        // At worst each place is looked at for the whole.
        Function::Contains => evaluation.spend(long.saturating_mul(wide))?,
        _ => {}
    }
    let value = match function {
        Function::Equal => Some(Value::Bool(left.equals(right))),
        Function::Unequal => Some(Value::Bool(!left.equals(right))),
        Function::Less => ordered(left, right, std::cmp::Ordering::is_lt),
        Function::LessOrEqual => ordered(left, right, std::cmp::Ordering::is_le),
        Function::Greater => ordered(left, right, std::cmp::Ordering::is_gt),
        Function::GreaterOrEqual => ordered(left, right, std::cmp::Ordering::is_ge),
        Function::In => is_in(evaluation, left, right)?,
        Function::Add => add(evaluation, left, right)?,
        Function::Subtract => subtract(left, right),
        Function::Multiply => numbers(left, right, i64::checked_mul, u64::checked_mul, |left, right| left * right),
        Function::Divide => numbers(left, right, i64::checked_div, u64::checked_div, |left, right| left / right),
        Function::Remainder => match (left, right) {
            (Value::Double(_), _) => None,
            _ => numbers(left, right, i64::checked_rem, u64::checked_rem, |_, _| f64::NAN),
        },
        Function::Contains => {
            texts(left, right, |text, part| part.is_empty() || text.windows(part.len()).any(|window| window == part))
        }
        Function::StartsWith => texts(left, right, |text, part| text.starts_with(part)),
        Function::EndsWith => texts(left, right, |text, part| text.ends_with(part)),
        Function::Matches => matches(evaluation, left, right)?,
        _ => None,
    };
    value.ok_or(Failure::Error)
}

/// The order of two values of one kind, or of numbers.
fn ordered(left: &Value, right: &Value, is_so: impl Fn(std::cmp::Ordering) -> bool) -> Option<Value> {
    match left.compare(right) {
        Some(ordering) => Some(Value::Bool(is_so(ordering))),
        // What is not a number is in no order with others.
        None if is_number(left) && is_number(right) => Some(Value::Bool(false)),
        None => None,
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn is_in(evaluation: &mut Evaluation<'_>, item: &Value, of: &Value) -> Result<Option<Value>, Failure> {
    Ok(match of {
        Value::List(items) => Some(Value::Bool(items.iter().any(|one| one.equals(item)))),
        Value::Map(entries) => Some(Value::Bool(at(entries, item).is_some())),
        Value::Object(_) => Some(Value::Bool(evaluation.part(of, item)?.is_some())),
        _ => None,
    })
}

fn add(evaluation: &mut Evaluation<'_>, left: &Value, right: &Value) -> Result<Option<Value>, Failure> {
    Ok(match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            evaluation.spend_bytes(left.len() + right.len())?;
            Some(Value::Text([left.as_ref(), right].concat().into()))
        }
        (Value::Bytes(left), Value::Bytes(right)) => {
            evaluation.spend_bytes(left.len() + right.len())?;
            Some(Value::Bytes([left.as_ref(), right].concat().into()))
        }
        (Value::List(left), Value::List(right)) => Some(Value::List([left.as_ref(), right].concat().into())),
        (Value::Duration(left), Value::Duration(right)) => left.checked_add(*right).map(Value::Duration),
        (Value::Timestamp(time), Value::Duration(by)) | (Value::Duration(by), Value::Timestamp(time)) => {
            time.checked_add(*by).map(Value::Timestamp)
        }
        _ => numbers(left, right, i64::checked_add, u64::checked_add, |left, right| left + right),
    })
}

fn subtract(left: &Value, right: &Value) -> Option<Value> {
    match (left, right) {
        (Value::Duration(left), Value::Duration(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => {
            left.checked_sub(*right).map(Value::Duration)
        }
        (Value::Timestamp(time), Value::Duration(by)) => time.checked_sub(*by).map(Value::Timestamp),
        _ => numbers(left, right, i64::checked_sub, u64::checked_sub, |left, right| left - right),
    }
}

/// Of two numbers of the same kind.
fn numbers(
    left: &Value,
    right: &Value,
    ints: impl Fn(i64, i64) -> Option<i64>,
    uints: impl Fn(u64, u64) -> Option<u64>,
    doubles: impl Fn(f64, f64) -> f64,
) -> Option<Value> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => ints(*left, *right).map(Value::Int),
        (Value::Uint(left), Value::Uint(right)) => uints(*left, *right).map(Value::Uint),
        (Value::Double(left), Value::Double(right)) => Some(Value::Double(doubles(*left, *right))),
        _ => None,
    }
}

fn texts(left: &Value, right: &Value, is_so: impl Fn(&[u8], &[u8]) -> bool) -> Option<Value> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => Some(Value::Bool(is_so(left, right))),
        _ => None,
    }
}

/// The most that a pattern may become, in bytes, and what it takes to make one.
const PATTERN_BYTES: usize = 1 << 20;
const PATTERN_STEPS: u64 = 1000;

/// Whether a pattern is somewhere in a text.
fn matches(evaluation: &mut Evaluation<'_>, text: &Value, pattern: &Value) -> Result<Option<Value>, Failure> {
    let (Value::Text(text), Value::Text(pattern)) = (text, pattern) else { return Ok(None) };
    let Some(pattern) = utf8(pattern) else { return Ok(None) };
    evaluation.spend(PATTERN_STEPS.saturating_add(pattern.len() as u64 * 10))?;
    let config = Regex::config().nfa_size_limit(Some(PATTERN_BYTES)).onepass(false).dfa(false);
    let Ok(regex) = Regex::builder().configure(config).build(pattern) else { return Ok(None) };
    evaluation.spend(regex.memory_usage() as u64 / 64 + text.len() as u64)?;
    Ok(Some(Value::Bool(regex.is_match(text.as_ref()))))
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// Past the end of a 64-bit number, whole or not.
const INTS: f64 = 9_223_372_036_854_775_808.0;
const UINTS: f64 = 18_446_744_073_709_551_616.0;

#[allow(clippy::cast_possible_truncation, reason = "only what fits is cast, without what is behind the point")]
fn int(of: &Value) -> Option<i64> {
    match of {
        Value::Bool(value) => Some((*value).into()),
        Value::Int(number) => Some(*number),
        Value::Uint(number) => i64::try_from(*number).ok(),
        Value::Double(number) => (-INTS < *number && *number < INTS).then_some(*number as i64),
        Value::Text(text) => utf8(text)?.trim_ascii().parse().ok(),
        Value::Timestamp(time) => Some(time.div_euclid(SECOND)),
        _ => None,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "only what fits is cast, without what is behind the point"
)]
fn uint(of: &Value) -> Option<u64> {
    match of {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::Uint(number) => Some(*number),
        Value::Double(number) => (0.0 <= *number && *number < UINTS).then_some(*number as u64),
        Value::Text(text) => utf8(text)?.trim_ascii().parse().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "it is asked for")]
fn double(of: &Value) -> Option<f64> {
    match of {
        Value::Int(number) => Some(*number as f64),
        Value::Uint(number) => Some(*number as f64),
        Value::Double(number) => Some(*number),
        Value::Text(text) => utf8(text)?.trim_ascii().parse().ok(),
        _ => None,
    }
}

fn text(of: &Value) -> Option<Value> {
    Some(match of {
        Value::Text(_) => of.clone(),
        Value::Bytes(bytes) => Value::text(utf8(bytes)?),
        Value::Bool(value) => Value::text(&value.to_string()),
        Value::Int(number) => Value::text(&number.to_string()),
        Value::Uint(number) => Value::text(&number.to_string()),
        Value::Double(number) => Value::text(&general(*number)),
        Value::Duration(length) => Value::text(&time::duration_text(*length)),
        Value::Timestamp(time) => Value::text(&time::timestamp_text(*time)?),
        _ => return None,
    })
}

/// With as few digits as tell it from all others, and an exponent where C's `%g` has one.
fn general(number: f64) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan(ind)" } else { "nan" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return number.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}
