//! The value of an expression.

use std::sync::Arc;

use super::value::at;
use super::{Attributes, Failure, Loop, LoopKind, Node, Value, functions};

pub(super) fn evaluate(node: &Node, attributes: &dyn Attributes, steps: &mut u64) -> Result<Value, Failure> {
    let mut evaluation = Evaluation { attributes, names: Vec::new(), steps: *steps };
    let value = evaluation.node(node);
    *steps = evaluation.steps;
    value
}

/// What an evaluation has at hand.
pub(super) struct Evaluation<'a> {
    attributes: &'a dyn Attributes,
    /// Names of the macros around, the innermost last.
    names: Vec<(&'a str, Value)>,
    /// What may still be done.
    steps: u64,
}

type Outcome = Result<Value, Failure>;

impl<'a> Evaluation<'a> {
    /// Takes steps from what may still be done.
    pub(super) fn spend(&mut self, steps: u64) -> Result<(), Failure> {
        let rest = self.steps.checked_sub(steps);
        self.steps = rest.unwrap_or(0);
        rest.map(drop).ok_or(Failure::Work)
    }

    /// The same, for as many bytes.
    pub(super) fn spend_bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.spend(bytes as u64 / 16)
    }

    /// The same, to look at all of a value; says how many.
    pub(super) fn spend_on(&mut self, value: &Value) -> Result<u64, Failure> {
        let weight = value.weight(self.steps);
        self.spend(weight).map(|()| weight)
    }

    /// A list or a map that has been put together. Its parts may share what is in them, and so it may be much larger than they.
    fn made(&mut self, value: Value) -> Outcome {
        self.spend_on(&value)?;
        Ok(value)
    }

    fn node(&mut self, node: &'a Node) -> Outcome {
        self.spend(1)?;
        match node {
            Node::Value(value) => Ok(value.clone()),
            Node::Name(name) => self.name(name),
            Node::Field(of, field) => {
                let of = self.node(of)?;
                self.part(&of, &Value::text(field))?.ok_or(Failure::Error)
            }
            Node::Has(of, field) => {
                let of = self.node(of)?;
                let there = self.part(&of, &Value::text(field))?;
                let is_there = there.is_some_and(|there| !self.is_message(&of) || !self.is_nothing(&there));
                Ok(Value::Bool(is_there))
            }
            Node::Call(function, arguments) => {
                let arguments: Vec<Value> =
                    arguments.iter().map(|argument| self.node(argument)).collect::<Result<_, Failure>>()?;
                functions::call(self, *function, &arguments)
            }
            Node::All(parts) => self.decided(parts, false),
            Node::Any(parts) => self.decided(parts, true),
            Node::Choice(parts) => {
                let [condition, then, other] = parts.as_ref();
                match self.node(condition)? {
                    Value::Bool(true) => self.node(then),
                    Value::Bool(false) => self.node(other),
                    _ => Err(Failure::Error),
                }
            }
            Node::List(items) => {
                let items: Vec<Value> = items.iter().map(|item| self.node(item)).collect::<Result<_, Failure>>()?;
                self.made(Value::List(items.into()))
            }
            Node::Map(entries) => self.map(entries),
            Node::Loop(of) => self.each(of),
        }
    }

    fn name(&mut self, name: &str) -> Outcome {
        if let Some((_, value)) = self.names.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        self.found(name.as_bytes())?.ok_or(Failure::Error)
    }

    /// What the proxy knows at a path. It is a copy.
    fn found(&mut self, path: &[u8]) -> Result<Option<Value>, Failure> {
        self.spend(self.attributes.steps())?;
        let found = self.attributes.find(path);
        if let Some(value) = &found {
            self.spend_on(value)?;
        }
        Ok(found)
    }

    fn map(&mut self, entries: &'a [[Node; 2]]) -> Outcome {
        let mut map: Vec<(Value, Value)> = Vec::with_capacity(entries.len());
        for [key, value] in entries {
            let key = self.node(key)?;
            self.spend(key.weight(self.steps).saturating_mul(map.len() as u64))?;
            let is_key = matches!(key, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Text(_));
            if !is_key || at(&map, &key).is_some() {
                return Err(Failure::Error);
            }
            map.push((key, self.node(value)?));
        }
        self.made(Value::Map(map.into()))
    }

    /// Whether one of several is what decides, whatever comes of the others.
    fn decided(&mut self, parts: &'a [Node], by: bool) -> Outcome {
        let mut error = false;
        for part in parts {
            match self.node(part) {
                Ok(Value::Bool(value)) if value == by => return Ok(Value::Bool(by)),
                Ok(Value::Bool(_)) => {}
                Ok(_) | Err(Failure::Error) => error = true,
                Err(Failure::Work) => return Err(Failure::Work),
            }
        }
        if error { Err(Failure::Error) } else { Ok(Value::Bool(!by)) }
    }

    /// What is at a place of something, if there is anything.
    pub(super) fn part(&mut self, of: &Value, place: &Value) -> Result<Option<Value>, Failure> {
        match (of, place) {
            (Value::Object(path), Value::Text(part)) => {
                self.spend_bytes(path.len() + part.len())?;
                let path = [path, b"\0".as_slice(), part].concat();
                // A part with a zero byte would be two, and one without any byte none.
                if part.is_empty() || part.contains(&0) { Ok(None) } else { self.found(&path) }
            }
            (Value::Object(_), _) => Ok(None),
            (Value::Map(entries), key) => {
                self.spend_on(of)?;
                Ok(at(entries, key).cloned())
            }
            (Value::List(items), Value::Int(_) | Value::Uint(_) | Value::Double(_)) => {
                let place = match place {
                    Value::Int(place) => usize::try_from(*place).ok(),
                    Value::Uint(place) => usize::try_from(*place).ok(),
                    _ => {
                        self.spend(items.len() as u64)?;
                        (0..items.len()).find(|at| Value::Uint(*at as u64).equals(place))
                    }
                };
                Ok(place.and_then(|place| items.get(place)).cloned())
            }
            _ => Err(Failure::Error),
        }
    }

    /// What is at a place of something that has places.
    pub(super) fn place(&mut self, of: &Value, place: &Value) -> Outcome {
        if self.is_message(of) {
            return Err(Failure::Error);
        }
        self.part(of, place)?.ok_or(Failure::Error)
    }

    fn is_message(&self, of: &Value) -> bool {
        matches!(of, Value::Object(path) if self.attributes.is_message(path))
    }

    /// Whether a message's field is as if it had not been set.
    fn is_nothing(&mut self, value: &Value) -> bool {
        let mut bytes = Vec::new();
        value.write(self.attributes, &mut self.steps, &mut bytes).is_some() && bytes.iter().all(|byte| *byte == 0)
    }

    /// What there is one after the other in a list, or the keys of a map.
    pub(super) fn items(&mut self, of: &Value) -> Result<Arc<[Value]>, Failure> {
        match of {
            Value::List(items) => Ok(Arc::clone(items)),
            Value::Map(entries) => {
                self.spend(entries.len() as u64)?;
                Ok(entries.iter().map(|(key, _)| key.clone()).collect())
            }
            Value::Object(path) => {
                self.spend(self.attributes.steps())?;
                let pairs = self.attributes.list(path).ok_or(Failure::Error)?;
                self.spend_bytes(pairs.encoded_len())?;
                Ok(pairs.iter().map(|(name, _)| Value::Text(name.into())).collect())
            }
            _ => Err(Failure::Error),
        }
    }

    /// A macro.
    fn each(&mut self, of: &'a Loop) -> Outcome {
        let over = self.node(&of.over)?;
        let items = self.items(&over)?;
        let mut collected = Vec::new();
        let (mut matched, mut error) = (0_u64, false);
        for item in items.iter() {
            self.names.push((of.name.as_str(), item.clone()));
            let condition = of.condition.as_ref().map_or(Ok(Value::Bool(true)), |condition| self.node(condition));
            let result = match (&condition, of.kind, &of.result) {
                (Ok(Value::Bool(true)), LoopKind::Collect, Some(result)) => Some(self.node(result)),
                (Ok(Value::Bool(true)), LoopKind::Collect, None) => Some(Ok(item.clone())),
                _ => None,
            };
            self.names.pop();
            match (of.kind, condition) {
                (_, Err(Failure::Work)) => return Err(Failure::Work),
                (LoopKind::All, Ok(Value::Bool(false))) => return Ok(Value::Bool(false)),
                (LoopKind::Exists, Ok(Value::Bool(true))) => return Ok(Value::Bool(true)),
                (_, Ok(Value::Bool(is_true))) => matched += u64::from(is_true),
                (LoopKind::All | LoopKind::Exists, _) => error = true,
                (LoopKind::ExistsOne | LoopKind::Collect, _) => return Err(Failure::Error),
            }
            collected.extend(result.transpose()?);
        }
        match of.kind {
            _ if error => Err(Failure::Error),
            LoopKind::All => Ok(Value::Bool(true)),
            LoopKind::Exists => Ok(Value::Bool(false)),
            LoopKind::ExistsOne => Ok(Value::Bool(matched == 1)),
            LoopKind::Collect => self.made(Value::List(collected.into())),
        }
    }
}
