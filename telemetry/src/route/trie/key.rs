//! Texts as numbers: what is compared and hashed instead of bytes.

/// The first 8 bytes of a text as a number, the missing ones zero. Texts that differ past them, or by zero bytes at the end, share a key.
#[inline]
pub(super) fn key(text: &[u8]) -> u64 {
    let length = text.len();
    if let Some(bytes) = text.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    // Two loads that overlap, or three.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (length - 4));
    }
    let byte = |at: usize| text.get(at).map_or(0, |byte| u64::from(*byte) << (8 * at));
    if length == 0 { 0 } else { byte(0) | byte(length / 2) | byte(length - 1) }
}

/// [`key`] of the segment that begins at `start`, in one load where the path goes on far enough.
#[inline]
pub(super) fn key_at(path: &[u8], start: usize, segment: &[u8]) -> u64 {
    match path.get(start..).and_then(<[u8]>::first_chunk) {
        Some(bytes) if segment.len() < 8 => u64::from_le_bytes(*bytes) & ((1 << (8 * segment.len())) - 1),
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => key(segment),
    }
}

/// The slot where the search for a segment begins, out of two to the power of `bits`, given its key: by its first 8 bytes, its last 8 and its
/// length, since APIs have places where all texts begin alike.
#[inline]
pub(super) fn hash(key: u64, segment: &[u8], bits: u32) -> usize {
    let last = segment.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    spread(key ^ last.rotate_left(31) ^ (segment.len() as u64), bits)
}

/// The highest bits of a number after Fibonacci hashing.
#[inline]
pub(super) fn spread(number: u64, bits: u32) -> usize {
    usize::try_from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)).unwrap_or(0)
}
