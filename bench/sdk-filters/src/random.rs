//! Random bytes from the proxy.

#![allow(unsafe_code, reason = "the SDK has no call for random bytes, so this is one of WASI's, bound by hand")]

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn random_get(buffer: *mut u8, len: usize) -> u32;
}

/// 16 random bytes, unless the proxy refuses them.
pub(crate) fn bytes() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    // SAFETY: the host writes as many bytes as it is told, which the array has.
    let status = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    (status == 0).then_some(bytes)
}
