//! Memory for what a hostcall returns.
//!
//! The host returns bytes by calling back into `proxy_on_memory_allocate` and writing to the address it gets. A
//! general allocation for each would cost as much as the rest of the request path, so the caller of a hostcall lends
//! it a [`HostBuffer`], and that is what the allocator hands out. The lending is an ordinary `&mut` borrow: what one
//! hostcall returned cannot be overwritten by the next for as long as somebody still looks at it.

use core::cell::Cell;
use core::ptr;

/// What a buffer keeps between two uses. Envoy's default bound on a request's headers is 60 KiB.
const RETAINED: usize = 128 * 1024;

/// The first capacity: the headers of nearly all requests fit.
const INITIAL: usize = 4 * 1024;

thread_local! {
    /// The buffer that the hostcall in progress was lent; null between hostcalls.
    static LENT: Cell<*mut HostBuffer> = const { Cell::new(ptr::null_mut()) };
}

/// Reusable memory for the bytes that one hostcall returns.
#[derive(Debug, Default)]
pub(crate) struct HostBuffer {
    /// Always initialised, as far as it is long: a host that writes less than it says cannot uncover old memory that
    /// Rust thinks uninitialised.
    bytes: Vec<u8>,
}

impl HostBuffer {
    /// An empty buffer, which allocates at its first use.
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Gives back memory beyond what an ordinary request needs, so that one huge request does not keep it for ever.
    pub(crate) fn trim(&mut self) {
        if self.bytes.len() > RETAINED {
            self.bytes = Vec::new();
        }
    }

    /// How much memory it holds.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity()
    }

    /// Memory for `size` bytes, or null when there is none.
    fn allocate(&mut self, size: usize) -> *mut u8 {
        if self.bytes.len() < size {
            let wanted = size.checked_next_power_of_two().map_or(size, |rounded| rounded.max(INITIAL));
            // The old content is dead: nobody can be borrowing it while `self` is lent to a hostcall.
            self.bytes = Vec::new();
            if self.bytes.try_reserve_exact(wanted).is_err() {
                return ptr::null_mut();
            }
            self.bytes.resize(wanted, 0);
        }
        self.bytes.as_mut_ptr()
    }

    /// Runs a hostcall that returns bytes into this buffer.
    ///
    /// `call` gets the two places where the host writes the address and the length of what it returns.
    pub(super) fn receive(&mut self, call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> (u32, &[u8]) {
        let mut address: *mut u8 = ptr::null_mut();
        let mut len = 0_usize;
        let lent: *mut Self = self;
        let before = LENT.replace(lent);
        let status = call(&raw mut address, &raw mut len);
        LENT.set(before);
        // Null with length 0 is how Envoy returns an empty value. Anything else that is not ours is not looked at.
        if address != self.bytes.as_mut_ptr() {
            len = 0;
        }
        (status, self.bytes.get(..len).unwrap_or_default())
    }
}

/// What `proxy_on_memory_allocate` does: memory from the buffer lent to the hostcall in progress, and null, which
/// the host reports as a failed hostcall, when there is none.
pub(super) fn allocate(size: usize) -> *mut u8 {
    let lent = LENT.get();
    if lent.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: `receive` sets the pointer from its exclusive borrow and takes it back before that borrow is used
    // again, so it is valid here and nothing else refers to the buffer meanwhile.
    unsafe { (*lent).allocate(size) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host that returns `value`, as Envoy does it.
    fn returns(value: &'static [u8]) -> impl FnOnce(*mut *mut u8, *mut usize) -> u32 {
        move |address, len| {
            let memory = allocate(value.len());
            assert!(!memory.is_null());
            // SAFETY: `memory` has room for the value; `address` and `len` are the two places `receive` offers.
            unsafe {
                ptr::copy_nonoverlapping(value.as_ptr(), memory, value.len());
                *address = memory;
                *len = value.len();
            }
            0
        }
    }

    #[test]
    fn what_the_host_wrote_is_what_the_caller_sees() {
        let mut buffer = HostBuffer::new();
        assert_eq!(buffer.receive(returns(b"hello")), (0, &b"hello"[..]));
        assert_eq!(buffer.receive(returns(b"bye")), (0, &b"bye"[..]));
        assert_eq!(buffer.receive(|_, _| 1), (1, &b""[..]));
    }

    #[test]
    fn a_buffer_is_reused_until_it_is_huge() {
        let mut buffer = HostBuffer::new();
        let _ = buffer.receive(returns(b"hello"));
        let address = buffer.bytes.as_ptr();
        let _ = buffer.receive(returns(&[7; INITIAL]));
        assert_eq!(buffer.bytes.as_ptr(), address);
        buffer.trim();
        assert_eq!(buffer.bytes.len(), INITIAL);
        let (_, returned) = buffer.receive(returns(&[7; 1 << 20]));
        assert_eq!(returned.len(), 1 << 20);
        buffer.trim();
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn outside_a_hostcall_there_is_no_memory() {
        assert!(allocate(16).is_null());
        let mut buffer = HostBuffer::new();
        let _ = buffer.receive(returns(b"hello"));
        assert!(allocate(16).is_null());
    }

    #[test]
    fn an_address_or_length_that_is_not_ours_is_not_looked_at() {
        let mut buffer = HostBuffer::new();
        let (_, returned) = buffer.receive(|address, len| {
            // SAFETY: the two places `receive` offers.
            unsafe {
                *address = ptr::dangling_mut();
                *len = 5;
            }
            0
        });
        assert_eq!(returned, b"");
        let (_, returned) = buffer.receive(|address, len| {
            // SAFETY: as above.
            unsafe {
                *address = allocate(5);
                *len = usize::MAX;
            }
            0
        });
        assert_eq!(returned, b"");
    }

    #[test]
    fn memory_that_cannot_be_had_is_null() {
        let mut buffer = HostBuffer::new();
        let (_, returned) = buffer.receive(|_, _| {
            assert!(allocate(usize::MAX).is_null());
            6
        });
        assert_eq!(returned, b"");
    }
}
