//! A JSON or YAML document as a tree that keeps the order of its keys, within bounds.
//!
//! Scalars stay text: an import compares words, and YAML's types would only get in the way (`swagger: 2.0` is a number, `on: x` once was a
//! boolean). An alias shares what it stands for, so a document of aliases within aliases costs no more than its own length.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use indexmap::IndexMap;
use saphyr_parser::{Event, Parser, Span};
use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// The deepest nesting. JSON's reader has the same bound.
const MAX_DEPTH: usize = 128;
/// The most values in all documents of an import; the largest published API descriptions have two million.
const MAX_NODES: usize = 4_000_000;
/// The most opening brackets and braces in a YAML text: the parser keeps what is within one in memory until that ends.
const MAX_BRACKETS: usize = 1_000_000;
/// The longest text that is tried as YAML's flow style after it was found to be no JSON. People who leave out quotes write less.
const MAX_LOOSE: usize = 4 * 1024 * 1024;
/// So many keys that come twice are remembered.
const MAX_TWICE: usize = 100;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    /// `null`, or nothing.
    Nothing,
    /// Any scalar, as it is written.
    Word(Box<str>),
    /// A list.
    List(Vec<Rc<Node>>),
    /// An object; of keys that come twice the first counts.
    Map(Box<IndexMap<Box<str>, Rc<Node>>>),
}

impl Node {
    pub(super) fn get(&self, key: &str) -> Option<&Rc<Node>> {
        self.entries().and_then(|entries| entries.get(key))
    }

    pub(super) fn entries(&self) -> Option<&IndexMap<Box<str>, Rc<Node>>> {
        match self {
            Node::Map(entries) => Some(entries),
            Node::Nothing | Node::Word(_) | Node::List(_) => None,
        }
    }

    pub(super) fn items(&self) -> &[Rc<Node>] {
        match self {
            Node::List(items) => items,
            Node::Nothing | Node::Word(_) | Node::Map(_) => &[],
        }
    }

    /// The text of a scalar.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Node::Word(text) => Some(text),
            Node::Nothing | Node::List(_) | Node::Map(_) => None,
        }
    }

    /// The text of a scalar under a key.
    pub(super) fn word_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(|value| value.word())
    }

    /// Whether a key says `true`.
    pub(super) fn is_true(&self, key: &str) -> bool {
        self.word_at(key).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// What remains to be read of an import's bounds, and what was found on the way.
#[derive(Debug)]
pub(super) struct Reader {
    nodes: usize,
    /// Keys that an object has twice.
    pub(super) twice: Vec<String>,
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoDocument {
    /// Where: `line 3, column 7`; nothing where no place can be named.
    pub(super) place: Option<String>,
    /// What was found, and the cure.
    pub(super) message: String,
}

impl fmt::Display for NoDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

const TOO_MANY: &str = "more than 4,000,000 values; split the description";
const TOO_DEEP: &str = "nested more than 128 deep; this is no API description";

impl Reader {
    pub(super) fn new() -> Self {
        Self { nodes: 0, twice: Vec::new() }
    }

    /// Reads a text as JSON when it begins with `{` or `[`, else (or where it is no JSON) as YAML, of which the first document counts.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Result<Rc<Node>, NoDocument> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            NoDocument { place: Some(format!("line {line}")), message: "not UTF-8; save the file as UTF-8".to_owned() }
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !text.trim_start().starts_with(['{', '[']) {
            return self.yaml(text);
        }
        let before = (self.nodes, self.twice.len());
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Seed(self).deserialize(&mut json).and_then(|node| json.end().map(|()| node));
        read.map_err(|error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            let message = if message.starts_with("recursion limit") { TOO_DEEP } else { message };
            NoDocument {
                place: Some(format!("line {}, column {}", error.line(), error.column())),
                message: message.to_owned(),
            }
        })
        .or_else(|error| {
            // YAML's flow style begins alike, and may do without quotes.
            if text.len() > MAX_LOOSE || [TOO_DEEP, TOO_MANY].contains(&error.message.as_str()) {
                return Err(error);
            }
            self.nodes = before.0;
            self.twice.truncate(before.1);
            self.yaml(text).map_err(|_| error)
        })
    }

    fn count(&mut self) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(TOO_MANY) } else { Ok(()) }
    }

    fn insert(&mut self, entries: &mut IndexMap<Box<str>, Rc<Node>>, key: Box<str>, value: Rc<Node>) {
        if entries.contains_key(&key) {
            if self.twice.len() < MAX_TWICE {
                self.twice.push(key.into_string());
            }
        } else {
            entries.insert(key, value);
        }
    }

    fn yaml(&mut self, text: &str) -> Result<Rc<Node>, NoDocument> {
        if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > MAX_BRACKETS {
            let message = "more than 1,000,000 brackets and braces; save it as JSON".to_owned();
            return Err(NoDocument { place: None, message });
        }
        let mut parser = Parser::new_from_str(text);
        let mut builder = Builder { reader: self, open: Vec::new(), anchors: HashMap::new(), root: None };
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let place = format!("line {}, column {}", error.marker().line(), error.marker().col() + 1);
                NoDocument { place: Some(place), message: error.info().to_owned() }
            })?;
            if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
                break;
            }
            builder
                .take(event)
                .map_err(|message| NoDocument { place: Some(place(&span)), message: message.to_owned() })?;
        }
        Ok(builder.root.unwrap_or(Rc::new(Node::Nothing)))
    }
}

fn place(span: &Span) -> String {
    format!("line {}, column {}", span.start.line(), span.start.col() + 1)
}

/// A YAML document under construction.
struct Builder<'a> {
    reader: &'a mut Reader,
    open: Vec<Open>,
    /// What each anchor stands for, and how deep that is.
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    root: Option<Rc<Node>>,
}

/// A list or an object whose end was not seen yet.
struct Open {
    anchor: usize,
    /// How deep its children are. Aliases make this more than the number of open ones.
    depth: usize,
    what: What,
}

enum What {
    List(Vec<Rc<Node>>),
    Map { entries: IndexMap<Box<str>, Rc<Node>>, key: Option<Box<str>>, merged: Vec<Rc<Node>> },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                self.reader.count()?;
                let plain = style == saphyr_parser::ScalarStyle::Plain;
                let node = if plain && matches!(&*text, "" | "~" | "null") {
                    Node::Nothing
                } else {
                    Node::Word(text.into_owned().into_boxed_str())
                };
                self.put(Rc::new(node), 0, anchor)
            }
            Event::Alias(anchor) => {
                self.reader.count()?;
                let (node, depth) =
                    self.anchors.get(&anchor).cloned().ok_or("an alias inside of what it stands for")?;
                self.put(node, depth, 0)
            }
            Event::SequenceStart(anchor, _) => self.start(anchor, What::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.start(anchor, What::Map { entries: IndexMap::new(), key: None, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn start(&mut self, anchor: usize, what: What) -> Result<(), &'static str> {
        self.reader.count()?;
        if self.open.len() >= MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        self.open.push(Open { anchor, depth: 0, what });
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let Some(Open { anchor, depth, what }) = self.open.pop() else { return Ok(()) };
        let node = match what {
            What::List(items) => Node::List(items),
            What::Map { mut entries, merged, .. } => {
                // `<<`: what the object has itself comes first, whatever the order.
                for source in &merged {
                    let maps = if source.items().is_empty() { std::slice::from_ref(source) } else { source.items() };
                    for (key, value) in maps.iter().filter_map(|map| map.entries()).flatten() {
                        self.reader.count()?;
                        entries.entry(key.clone()).or_insert_with(|| Rc::clone(value));
                    }
                }
                Node::Map(Box::new(entries))
            }
        };
        self.put(Rc::new(node), depth + 1, anchor)
    }

    /// A value is complete: into the list or object that is open.
    fn put(&mut self, node: Rc<Node>, depth: usize, anchor: usize) -> Result<(), &'static str> {
        if depth > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), depth));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.depth = open.depth.max(depth);
        match &mut open.what {
            What::List(items) => items.push(node),
            What::Map { entries, key, merged } => match key.take() {
                None => {
                    *key = Some(match &*node {
                        Node::Word(text) => text.clone(),
                        Node::Nothing => "null".into(),
                        Node::List(_) | Node::Map(_) => "(a key that is no text)".into(),
                    });
                }
                Some(key) if &*key == "<<" => merged.push(node),
                Some(key) => self.reader.insert(entries, key, node),
            },
        }
        Ok(())
    }
}

/// Reads one JSON value.
struct Seed<'a>(&'a mut Reader);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Rc<Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Rc<Node>, D::Error> {
        self.0.count().map_err(D::Error::custom)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Rc<Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Rc<Node>, E> {
        self.visit_str(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Rc<Node>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Rc<Node>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Rc<Node>, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Rc<Node>, E> {
        Ok(Rc::new(Node::Word(value.into())))
    }

    fn visit_unit<E: Error>(self) -> Result<Rc<Node>, E> {
        Ok(Rc::new(Node::Nothing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Rc<Node>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed(self.0))? {
            list.push(item);
        }
        Ok(Rc::new(Node::List(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Rc<Node>, A::Error> {
        let mut map = IndexMap::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            let value = entries.next_value_seed(Seed(self.0))?;
            self.0.insert(&mut map, key, value);
        }
        Ok(Rc::new(Node::Map(Box::new(map))))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Box<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        Box::<str>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Rc<Node>, NoDocument> {
        Reader::new().read(text.as_bytes())
    }

    /// In a notation of its own, so that the two formats can be compared.
    fn show(node: &Node) -> String {
        match node {
            Node::Nothing => "~".to_owned(),
            Node::Word(text) => text.to_string(),
            Node::List(items) => format!("[{}]", items.iter().map(|item| show(item)).collect::<Vec<_>>().join(" ")),
            Node::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}={}", show(value))).collect();
                format!("({})", entries.join(" "))
            }
        }
    }

    #[test]
    fn both_formats_give_one_tree_in_the_order_of_the_text() {
        let check = |text: &str, expected: &str| assert_eq!(show(&read(text).unwrap()), expected, "{text}");
        check("{\"z\": 1, \"a\": [true, null, \"x\", 2.5]}", "(z=1 a=[true ~ x 2.5])");
        check("z: 1\na: [true, null, 'x', 2.5]\n", "(z=1 a=[true ~ x 2.5])");
        check("{z: 1, a: [true, ~, x, 2.5]}", "(z=1 a=[true ~ x 2.5])");
        check("\u{feff}swagger: 2.0\n200: ok\n", "(swagger=2.0 200=ok)");
        check("a: &x {b: 1}\nc: *x\n", "(a=(b=1) c=(b=1))");
        check("a: &x {b: 1, c: 2}\nd:\n  c: 3\n  <<: *x\n", "(a=(b=1 c=2) d=(c=3 b=1))");
        check("a: &x {b: 1}\ny: &y {c: 2}\nd:\n  <<: [*x, *y]\n", "(a=(b=1) y=(c=2) d=(b=1 c=2))");
        check("a: 1\n---\nb: 2\n", "(a=1)");
        check("? [x]\n: 1\n", "((a key that is no text)=1)");
        check("", "~");
        check("a:\n", "(a=~)");
        check("a: 'null'\n", "(a=null)");
    }

    #[test]
    fn the_first_of_two_equal_keys_counts_and_both_are_told() {
        for text in ["{\"a\": 1, \"a\": 2}", "a: 1\na: 2\n"] {
            let mut reader = Reader::new();
            assert_eq!(show(&reader.read(text.as_bytes()).unwrap()), "(a=1)");
            assert_eq!(reader.twice, ["a"]);
        }
    }

    #[test]
    fn what_is_no_document_says_where() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        };
        check("{\"a\" 1}", "line 1, column 6: expected `:`");
        check("a: [1\nb: 2\n", "line ");
        check("a: *b\n", "line 1");
        check("a: &b [*b]\n", "line 1, column 8: an alias inside of what it stands for");
        let error = Reader::new().read(b"a: 1\nb: \xff\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2: not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn depth_is_bounded_in_both_formats_and_through_aliases() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            assert!(read(&text).unwrap_err().message.contains("nested more than 128"), "{open}");
        }
        let block: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(read(&block).unwrap_err().message.contains("nested more than 128"));
        let chain: String = (1..5_000).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
        assert!(read(&format!("a0: &a0 x\n{chain}")).unwrap_err().message.contains("nested more than 128"));
    }

    #[test]
    fn aliases_within_aliases_cost_their_own_length() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..60 {
            let alias = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(", ")));
        }
        let mut reader = Reader::new();
        reader.read(bomb.as_bytes()).unwrap();
        assert!(reader.nodes < 2_000, "{}", reader.nodes);
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let text = format!("[{}1]", "1,".repeat(MAX_NODES));
        assert_eq!(read(&text).unwrap_err().message, TOO_MANY);
        let text = format!("a: [{}[]]", "[],".repeat(MAX_BRACKETS));
        assert!(read(&text).unwrap_err().message.starts_with("more than 1,000,000 brackets"));
        let merges: String = (0..3_000).map(|n| format!("m{n}: {{<<: *a}}\n")).collect();
        let keys: Vec<String> = (0..2_000).map(|n| format!("k{n}: 1")).collect();
        let text = format!("a: &a {{{}}}\n{merges}", keys.join(", "));
        assert_eq!(read(&text).unwrap_err().message, TOO_MANY);
    }
}
