//! The documents of a description, and the way from a `$ref` to what it refers to.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::node::{Node, Reader};
use super::super::template::short;

/// So many references may lead from one to the next.
const MAX_HOPS: usize = 32;
/// So many other documents are read.
const MAX_DOCUMENTS: usize = 1_000;
/// So many bytes of other documents are read.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Gets the documents that a description refers to.
pub trait Resolver {
    /// The document that `reference` (a relative path, without the part after `#`) names in the document `from`, which is empty for the
    /// description itself: a name of its own for it, and its text where `wanted` says that this name is not known yet.
    ///
    /// # Errors
    /// Why it cannot be had, and the cure.
    fn get(
        &mut self,
        from: &str,
        reference: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Vec<u8>>), String>;
}

/// Gets nothing: for a description that comes without a place of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFiles;

impl Resolver for NoFiles {
    fn get(
        &mut self,
        _from: &str,
        reference: &str,
        _wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Vec<u8>>), String> {
        Err(format!(
            "`{}` is another file, which cannot be found from here; bundle the description into one",
            short(reference)
        ))
    }
}

/// A value, and the document that it is in.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) node: Rc<Node>,
}

impl Place {
    pub(super) fn get(&self, key: &str) -> Option<Place> {
        self.node.get(key).map(|node| Place { document: self.document, node: Rc::clone(node) })
    }
}

/// All documents that were read.
pub(super) struct Documents<'a> {
    /// The name and the root of each; the description itself is the first, and its name is empty.
    read: Vec<(String, Rc<Node>)>,
    /// The position of each name, or why it could not be read.
    known: HashMap<String, Result<usize, String>>,
    bytes: usize,
    pub(super) reader: Reader,
    resolver: &'a mut dyn Resolver,
}

impl<'a> Documents<'a> {
    pub(super) fn new(root: Rc<Node>, reader: Reader, resolver: &'a mut dyn Resolver) -> Self {
        let known = HashMap::from([(String::new(), Ok(0))]);
        Self { read: vec![(String::new(), root)], known, bytes: 0, reader, resolver }
    }

    /// What a value stands for: itself, or what its `$ref` leads to.
    pub(super) fn follow(&mut self, mut place: Place) -> Result<Place, String> {
        let mut hops = 0;
        while let Some(next) = self.step(&place, hops)? {
            place = next;
            hops += 1;
        }
        Ok(place)
    }

    /// One step along a `$ref`; `None` where there is none.
    pub(super) fn step(&mut self, place: &Place, hops: usize) -> Result<Option<Place>, String> {
        let Some(reference) = place.node.word_at("$ref") else { return Ok(None) };
        if hops >= MAX_HOPS {
            return Err(format!(
                "`$ref: {}` leads on for more than {MAX_HOPS} steps, perhaps in a circle",
                short(reference)
            ));
        }
        let (file, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document = if file.is_empty() { place.document } else { self.document(place.document, file)? };
        let mut found = self.read.get(document).map(|(_, root)| Rc::clone(root));
        let tokens = match pointer.strip_prefix('/') {
            Some(tokens) => tokens.split('/').map(unescaped).collect(),
            None if pointer.is_empty() => Vec::new(),
            None => return Err(format!("`$ref: {}` does not name a place; write it as `#/…`", short(reference))),
        };
        for token in &tokens {
            found = found.and_then(|node| match &*node {
                Node::Map(entries) => entries.get(token.as_str()).map(Rc::clone),
                Node::List(items) => items.get(token.parse::<usize>().ok()?).map(Rc::clone),
                Node::Nothing | Node::Word(_) => None,
            });
        }
        let node = found.ok_or_else(|| format!("`$ref: {}` refers to nothing", short(reference)))?;
        Ok(Some(Place { document, node }))
    }

    fn document(&mut self, from: usize, file: &str) -> Result<usize, String> {
        let from = self.read.get(from).map(|(name, _)| name.clone()).unwrap_or_default();
        let known = &self.known;
        let (name, text) = self.resolver.get(&from, file, &|name| !known.contains_key(name))?;
        if let Some(known) = self.known.get(&name) {
            return known.clone();
        }
        let number = self.read.len();
        let text = text.unwrap_or_default();
        self.bytes = self.bytes.saturating_add(text.len());
        let read = if number > MAX_DOCUMENTS || self.bytes > MAX_BYTES {
            Err(format!("`{}` is one file too many; bundle the description into one", short(file)))
        } else {
            self.reader.read(&text).map_err(|error| format!("`{}`: {error}", short(file)))
        };
        let result = read.map(|root| {
            self.read.push((name.clone(), root));
            number
        });
        self.known.insert(name, result.clone());
        result
    }
}

/// A token of a JSON pointer in a URI fragment: percent-encoded, and `~1` is a slash, `~0` a tilde.
fn unescaped(token: &str) -> String {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).replace("~1", "/").replace("~0", "~")
}
