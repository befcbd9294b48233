//! What a VM keeps in memory, and what each callback does.

use crate::host::{self, Lone, REQUEST, RESPONSE};
use crate::{CLASSES, Id, Ids, Mode, class};

const CORRELATION_ID: &str = "x-correlation-id";
const ENDPOINT: &[u8] = b"all";
const TICK_MS: u32 = 1000;

/// How many streams can be remembered. A stream that is still open when its place is needed again is forgotten: it has
/// no duration.
const STREAMS: usize = 4096;

/// The stats, in the order of [`Vm::counts`]: requests by class of status, then the sum of durations.
const STATS: [&str; CLASSES + 1] = [
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=none;.;",
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=1xx;.;",
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=2xx;.;",
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=3xx;.;",
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=4xx;.;",
    "bench_http_requests_total.method=.=all;.;endpoint=.=all;.;status=.=5xx;.;",
    "bench_http_request_duration_microseconds_total.method=.=all;.;endpoint=.=all;.;",
];

/// One HTTP stream.
#[derive(Clone, Copy)]
struct Stream {
    context: u32,
    start_ns: u64,
    id: Id,
}

/// A count that is handed to the proxy once a tick.
#[derive(Clone, Copy)]
struct Count {
    /// What was added since the last tick.
    added: i64,
    /// The proxy's counter, once there was something to count.
    counter: Option<u32>,
}

/// The streams, each at its number modulo the length. They are apart from the rest because all is 0 at first, which
/// takes no room in the module.
static PLACES: Lone<[Stream; STREAMS]> = Lone::new([Stream { context: 0, start_ns: 0, id: [0; 32] }; STREAMS]);

impl Stream {
    fn remember(self) {
        PLACES.with(|places| {
            if let Some(place) = places.get_mut(self.context as usize % STREAMS) {
                *place = self;
            }
        });
    }

    /// The stream of this number, lent to `look`, if it is remembered.
    fn with(context: u32, look: impl FnOnce(&Self)) {
        PLACES.with(|places| {
            if let Some(stream) = places.get(context as usize % STREAMS).filter(|stream| stream.context == context) {
                look(stream);
            }
        });
    }
}

/// What else is in the VM's memory.
pub(crate) struct Vm {
    mode: Option<Mode>,
    ids: Ids,
    counts: [Count; CLASSES + 1],
}

impl Vm {
    pub(crate) const fn new() -> Self {
        Self { mode: None, ids: Ids::new(0), counts: [Count { added: 0, counter: None }; CLASSES + 1] }
    }

    fn add(&mut self, place: usize, value: i64) {
        if let Some(count) = self.counts.get_mut(place) {
            count.added += value;
        }
    }

    pub(crate) fn on_configure(&mut self) -> bool {
        let Some(mode) = host::configuration(Mode::parse) else { return false };
        if self.mode.is_some_and(|other| other != mode) {
            return false;
        }
        self.mode = Some(mode);
        self.ids = Ids::new(host::now_ns());
        host::set_tick_period(TICK_MS);
        true
    }

    pub(crate) fn on_request_headers(&mut self, context: u32) {
        host::fetch_headers(REQUEST);
        if self.mode == Some(Mode::Default) {
            let start_ns = host::now_ns();
            let id = self.ids.next_id();
            host::set_header(REQUEST, CORRELATION_ID, &id);
            host::set_property("bench.correlation_id", &id);
            Stream { context, start_ns, id }.remember();
        }
        host::set_property("bench.endpoint", ENDPOINT);
    }

    pub(crate) fn on_response_headers(context: u32) {
        // In the other mode nothing is remembered.
        Stream::with(context, |stream| host::set_header(RESPONSE, CORRELATION_ID, &stream.id));
    }

    pub(crate) fn on_log(&mut self, context: u32) {
        let class = class(host::first_of_header(RESPONSE, ":status"));
        self.add(class, 1);
        Stream::with(context, |stream| {
            let duration = host::now_ns().saturating_sub(stream.start_ns) / 1000;
            self.add(CLASSES, duration.cast_signed());
        });
    }

    pub(crate) fn on_tick(&mut self) {
        for (count, stat) in self.counts.iter_mut().zip(STATS) {
            // Envoy refuses to add 0.
            if count.added == 0 {
                continue;
            }
            if count.counter.is_none() {
                count.counter = host::define_counter(stat);
            }
            if let Some(counter) = count.counter {
                host::increment(counter, count.added);
                count.added = 0;
            }
        }
    }
}
