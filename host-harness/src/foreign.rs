//! Foreign functions: what a host offers to modules by name, outside the ABI.

mod signatures;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::abi::Status;

/// A function that needs nothing but its argument.
type Given = dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync;

/// What is called.
#[derive(Clone)]
pub(crate) enum Function {
    /// Gets the argument, gives the result or the status that the module sees.
    Given(Arc<Given>),
    /// The same, which takes the host as long as so much work.
    Long(fn(&[u8]) -> Result<Vec<u8>, Status>, u64),
    /// Declares a property.
    DeclareProperty,
    /// Sets filter state of the proxy's own.
    SetEnvoyFilterState,
    /// Makes an expression, evaluates it, forgets it.
    CreateExpression,
    EvaluateExpression,
    DeleteExpression,
}

/// The functions that modules may call by name. At first those of Envoy:
///
/// - `compress` and `uncompress` (zlib);
/// - `clear_route_cache`, which has nothing to clear here;
/// - `declare_property`, with types, life spans and properties that can be set once;
/// - `set_envoy_filter_state`, with the objects that Envoy makes of text; here they can be read, and do nothing;
/// - `expr_create`, `expr_evaluate` and `expr_delete`, with expressions of CEL that make no messages, have no types as values, and no time
///   zone but UTC; what an evaluation may take has a bound here;
/// - `sign` and `verify_signature`, RSA with SHA-256, SHA-384 and SHA-512, and ECDSA over P-256 and P-384 with the hash that
///   goes with the curve; also verified are RSA with SHA-1, and either curve with either hash.
#[derive(Clone)]
pub struct ForeignFunctions(BTreeMap<String, Function>);

/// About the instructions that a signature takes with the longest key, and that to verify one does.
const SIGN_WORK: u64 = 20_000_000;
const VERIFY_WORK: u64 = 1_000_000;

/// The most that `uncompress` gives.
const MAX_UNCOMPRESSED: u64 = 16 << 20;

impl Default for ForeignFunctions {
    fn default() -> Self {
        let mut functions = Self(BTreeMap::new());
        functions.add("clear_route_cache", |_| Ok(Vec::new()));
        functions.add("compress", compress);
        functions.add("uncompress", uncompress);
        for (name, function) in [
            ("sign", Function::Long(signatures::sign, SIGN_WORK)),
            ("verify_signature", Function::Long(signatures::verify, VERIFY_WORK)),
            ("declare_property", Function::DeclareProperty),
            ("set_envoy_filter_state", Function::SetEnvoyFilterState),
            ("expr_create", Function::CreateExpression),
            ("expr_evaluate", Function::EvaluateExpression),
            ("expr_delete", Function::DeleteExpression),
        ] {
            functions.0.insert(name.to_owned(), function);
        }
        functions
    }
}

impl ForeignFunctions {
    /// Adds a function, in the place of one that has the same name.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        function: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync + 'static,
    ) {
        self.0.insert(name.into(), Function::Given(Arc::new(function)));
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Function> {
        self.0.get(std::str::from_utf8(name).ok()?).cloned()
    }
}

impl fmt::Debug for ForeignFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, Status> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.map_err(|_| Status::SerializationFailure)
}

/// Bytes behind the end of the compressed ones are ignored, as zlib does.
fn uncompress(bytes: &[u8]) -> Result<Vec<u8>, Status> {
    let mut plain = Vec::new();
    let read = ZlibDecoder::new(bytes).take(MAX_UNCOMPRESSED + 1).read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() as u64 <= MAX_UNCOMPRESSED => Ok(plain),
        _ => Err(Status::SerializationFailure),
    }
}
