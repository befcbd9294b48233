//! Foreign functions: what a host offers to modules by name, outside the ABI.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::abi::Status;

/// What is called: gets the argument, gives the result or the status that the module sees.
type Function = dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync;

/// The functions that modules may call by name. At first those of Envoy that need no stream: `compress` and `uncompress` (zlib),
/// and `clear_route_cache`, which has nothing to clear here.
#[derive(Clone)]
pub struct ForeignFunctions(BTreeMap<String, Arc<Function>>);

/// The most that `uncompress` gives.
const MAX_UNCOMPRESSED: u64 = 16 << 20;

impl Default for ForeignFunctions {
    fn default() -> Self {
        let mut functions = Self(BTreeMap::new());
        functions.add("clear_route_cache", |_| Ok(Vec::new()));
        functions.add("compress", compress);
        functions.add("uncompress", uncompress);
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
        self.0.insert(name.into(), Arc::new(function));
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Arc<Function>> {
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
