//! Filter state of a stream or a connection: properties that the module set, and objects of the proxy's own.

mod objects;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use bytes::Bytes;

pub(crate) use objects::Object;

use crate::abi::Status;
use crate::protobuf;

/// How long an entry lives, from the shortest to the longest. A stream that goes by once makes no difference between the first
/// two, except that an entry keeps the one that it was made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LifeSpan {
    #[default]
    FilterChain,
    Request,
    Connection,
}

impl LifeSpan {
    /// By its number in messages; unknown ones are the shortest.
    pub(crate) fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Request,
            2 => Self::Connection,
            _ => Self::FilterChain,
        }
    }
}

/// What the bytes of a property are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only bytes; also texts and flat buffers, into which this host does not look.
    #[default]
    Bytes,
    /// A message of the type that has this URL.
    Message(Vec<u8>),
}

/// How a property was declared.
#[derive(Debug, Default)]
pub(crate) struct Prototype {
    /// It can be set once.
    pub(crate) read_only: bool,
    pub(crate) kind: Kind,
    pub(crate) span: LifeSpan,
}

impl Prototype {
    /// Of a property that nobody has declared.
    pub(crate) fn undeclared() -> Arc<Self> {
        static UNDECLARED: LazyLock<Arc<Prototype>> = LazyLock::new(Arc::default);
        Arc::clone(&UNDECLARED)
    }
}

/// The properties that a context has declared.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    prototypes: HashMap<Vec<u8>, Arc<Prototype>>,
    bytes: usize,
}

/// The most that a context's declarations may take, and what each takes besides its name and its schema.
const MAX_DECLARED: usize = 1 << 20;
const DECLARED_BYTES: usize = 64;

impl Declared {
    /// Declares a property, which can be done once.
    pub(crate) fn declare(&mut self, name: &[u8], prototype: Prototype) -> Result<(), Status> {
        if self.prototypes.contains_key(name) {
            return Err(Status::BadArgument);
        }
        let schema = if let Kind::Message(schema) = &prototype.kind { schema.len() } else { 0 };
        let bytes = self.bytes + name.len() + schema + DECLARED_BYTES;
        if bytes > MAX_DECLARED {
            return Err(Status::InternalFailure);
        }
        self.bytes = bytes;
        self.prototypes.insert(name.to_vec(), Arc::new(prototype));
        Ok(())
    }

    /// How a property was declared; as one that was not, where it was not.
    pub(crate) fn find(&self, name: &[u8]) -> Arc<Prototype> {
        self.prototypes.get(name).map_or_else(Prototype::undeclared, Arc::clone)
    }
}

/// What lives as long as a client's connection, for its streams to share.
#[derive(Debug, Clone, Default)]
pub struct ConnectionState(Arc<Mutex<Entries>>);

/// The most that the entries of a stream, or of a connection, may take.
const MAX_BYTES: usize = 16 << 20;

/// Filter state of one stream or connection.
#[derive(Debug, Default)]
pub(crate) struct FilterState {
    own: Entries,
    /// A TCP connection has no other state than its own.
    connection: Option<ConnectionState>,
}

#[derive(Debug, Default)]
struct Entries(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    /// As access logs have it: `wasm.<path>` for properties.
    name: Vec<u8>,
    span: LifeSpan,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Property {
        value: Bytes,
        /// What is shown of it where messages are looked into: of a message what it wraps, or nothing.
        shown: Option<Bytes>,
        prototype: Arc<Prototype>,
    },
    Object(Object),
}

impl Entry {
    fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Property { value, .. } => value.len(),
            Content::Object(object) => object.bytes(),
        };
        self.name.len() + content
    }
}

impl Entries {
    fn find(&self, is_it: impl Fn(&[u8]) -> bool) -> Option<&Entry> {
        self.0.iter().find(|entry| is_it(&entry.name))
    }

    /// Adds an entry, in the place of one of that name.
    fn put(&mut self, entry: Entry) -> Result<(), Status> {
        let taken: usize = self.0.iter().filter(|other| other.name != entry.name).map(Entry::bytes).sum();
        if taken + entry.bytes() > MAX_BYTES {
            return Err(Status::InternalFailure);
        }
        match self.0.iter_mut().find(|old| old.name == entry.name) {
            Some(old) => *old = entry,
            None => self.0.push(entry),
        }
        Ok(())
    }

    fn list(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        self.0.iter().filter_map(|entry| {
            let value = match &entry.content {
                Content::Property { value, .. } => value.to_vec(),
                Content::Object(object) => object.text()?.to_vec(),
            };
            Some((String::from_utf8_lossy(&entry.name).into_owned(), value))
        })
    }
}

impl FilterState {
    /// Of a stream, which shares what lives as long as its connection.
    pub(crate) fn of_stream(connection: ConnectionState) -> Self {
        Self { own: Entries::default(), connection: Some(connection) }
    }

    /// How many entries a search may look at.
    pub(crate) fn len(&self) -> usize {
        let shared = self.connection.as_ref();
        let shared =
            shared.map_or(0, |ConnectionState(shared)| shared.lock().unwrap_or_else(PoisonError::into_inner).0.len());
        self.own.0.len() + shared
    }

    /// Does something with the entry of a name, wherever it is.
    fn with<R>(&self, is_it: impl Fn(&[u8]) -> bool, work: impl FnOnce(Option<&Entry>) -> R) -> R {
        match (self.own.find(&is_it), &self.connection) {
            (None, Some(ConnectionState(shared))) => {
                work(shared.lock().unwrap_or_else(PoisonError::into_inner).find(is_it))
            }
            (entry, _) => work(entry),
        }
    }

    fn put(&mut self, entry: Entry) -> Result<(), Status> {
        match &self.connection {
            Some(ConnectionState(shared)) if entry.span == LifeSpan::Connection => {
                shared.lock().unwrap_or_else(PoisonError::into_inner).put(entry)
            }
            _ => self.own.put(entry),
        }
    }

    /// Sets a property.
    pub(crate) fn set_property(&mut self, path: &[u8], value: &[u8], declared: Arc<Prototype>) -> Result<(), Status> {
        // One that is there stays as it was made.
        let old = self.with(is_property(path), |entry| match entry.map(|entry| &entry.content) {
            Some(Content::Property { prototype, .. }) => Some(Arc::clone(prototype)),
            _ => None,
        });
        if old.as_ref().is_some_and(|prototype| prototype.read_only) {
            return Err(Status::BadArgument);
        }
        let prototype = old.unwrap_or(declared);
        let name = [PROPERTIES, path].concat();
        let value = Bytes::copy_from_slice(value);
        // Looked into once: a module may ask for it again and again.
        let shown = match &prototype.kind {
            Kind::Bytes => Some(value.clone()),
            Kind::Message(schema) => wrapped(schema, &value).map(|inner| value.slice_ref(inner)),
        };
        self.put(Entry { name, span: prototype.span, content: Content::Property { value, shown, prototype } })
    }

    /// Sets an object of the proxy's own. One that lives for another time stays, as in Envoy, which answers as if it had not.
    pub(crate) fn set_object(&mut self, name: &str, object: Object, span: LifeSpan) -> Result<(), Status> {
        let alone = self.connection.is_none();
        let stays = self
            .with(|known| known == name.as_bytes(), |entry| entry.is_some_and(|entry| entry.span != span && !alone));
        if stays {
            return Ok(());
        }
        self.put(Entry { name: name.as_bytes().to_vec(), span, content: Content::Object(object) })
    }

    /// A property's bytes, by its path.
    pub(crate) fn property(&self, path: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        self.with(is_property(path), |entry| match entry.map(|entry| &entry.content) {
            Some(Content::Property { value, .. }) => {
                out.extend_from_slice(value);
                Ok(())
            }
            _ => Err(Status::NotFound),
        })
    }

    /// An entry by its name, or a field of it. Here messages are looked into.
    pub(crate) fn entry(&self, name: &[u8], field: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Status> {
        let is_it = |known: &[u8]| known == name;
        self.with(is_it, |entry| match (entry.map(|entry| &entry.content), field) {
            (Some(Content::Object(object)), field) => object.read(field, out),
            (Some(Content::Property { shown, .. }), None) => {
                out.extend_from_slice(shown.as_ref().ok_or(Status::SerializationFailure)?);
                Ok(())
            }
            _ => Err(Status::NotFound),
        })
    }

    /// Names and values, those of the connection last.
    pub(crate) fn list(&self) -> Vec<(String, Vec<u8>)> {
        let mut list: Vec<_> = self.own.list().collect();
        if let Some(ConnectionState(shared)) = &self.connection {
            list.extend(shared.lock().unwrap_or_else(PoisonError::into_inner).list());
        }
        list
    }
}

/// What the names of properties begin with.
const PROPERTIES: &[u8] = b"wasm.";

/// Whether an entry is the property of this path.
fn is_property(path: &[u8]) -> impl Fn(&[u8]) -> bool {
    move |known| known.strip_prefix(PROPERTIES) == Some(path)
}

/// What a message that only wraps a text or bytes has in it. Into others this host does not look.
fn wrapped<'a>(schema: &[u8], message: &'a [u8]) -> Option<&'a [u8]> {
    let name = schema.rsplit(|byte| *byte == b'/').next()?;
    if !schema.contains(&b'/') || !matches!(name, b"google.protobuf.StringValue" | b"google.protobuf.BytesValue") {
        return None;
    }
    let values = protobuf::fields(message)?.filter_map(|field| match field {
        (1, protobuf::Value::Bytes(value)) => Some(value),
        _ => None,
    });
    Some(values.last().unwrap_or_default())
}
