//! `telemetry`'s router.

use telemetry::route::{PlaceholderBuffer, RouteMatch, RouteTable};

use crate::bench::{Loaded, Router};

/// Our router with the buffer that it may write to.
pub(crate) struct Ours<'a> {
    pub(crate) table: &'a RouteTable,
    pub(crate) buffer: PlaceholderBuffer,
}

impl<'a> Ours<'a> {
    pub(crate) fn new(table: &'a RouteTable) -> Self {
        Self { table, buffer: PlaceholderBuffer::default() }
    }
}

impl Router for Ours<'_> {
    // One call for each request, as a filter makes it.
    #[inline(never)]
    fn find(&mut self, request: &Loaded) -> u32 {
        match self.table.find(request.method, &request.target, &mut self.buffer) {
            RouteMatch::Endpoint(id) => id.0,
            RouteMatch::Placeholder => u32::MAX,
        }
    }
}
