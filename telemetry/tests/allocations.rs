//! The request path allocates nothing once the series in use exist, nor does the reader of documents: a promise that only a counting allocator can check.

#![allow(unsafe_code, reason = "a global allocator cannot be written without it; it only counts and delegates")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use telemetry::admission::{Admitted, Pool};
use telemetry::config::Config;
use telemetry::correlation::Sender;
use telemetry::filter::{CorsHead, Filter, State, StreamEnd};
use telemetry::json::{Pointers, Reader};
use telemetry::stream_info::StreamInfo;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system's allocator unchanged. The counter is a plain thread-local number without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are the system allocator's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn admit(_: Pool, _: &[u8]) -> Admitted {
    Admitted::Yes
}

/// One pass over requests of every kind, hostile ones among them.
fn serve(filter: &Filter, state: &mut State, buffer: &mut Vec<u8>, long: &[u8]) {
    let paths: [&[u8]; 8] = [
        b"/api/v1/deployments/42",
        b"/api/%76%31/deployments/42/",
        b"/api/v1/compare/a...b",
        b"/learned/42",
        b"/caf\xe9",
        b"*",
        long,
        b"/other",
    ];
    let ids: [&[u8]; 4] = [b"abcdefgh", b"", b"bad id here", long];
    for path in paths {
        for id in ids {
            let mut info = StreamInfo::default();
            for (status, duration) in [(Some(200), 5), (None, 50_000_000), (Some(404), 9_000_000_000), (Some(799), 1)] {
                let pairs: [(&[u8], &[u8]); 5] = [
                    (b":method", b"GET"),
                    (b":path", path),
                    (b"x-correlation-id", id),
                    (b"traceparent", b"junk"),
                    (b"tracestate", b"a=b"),
                ];
                let head = filter.request_head(pairs.into_iter());
                let facts = filter.sender_facts(&head);
                let sender = Sender { address: facts.address.then_some(b"10.0.0.1:80".as_slice()), mtls: false };
                filter.on_request(state, &head, &sender, [7; 16], 1_700_000_000_000_000_000, &mut info);
                let edits = filter.request_edits(&head, &info);
                assert!(edits.traceparent.is_some());
                let cors: [(&[u8], &[u8]); 2] =
                    [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"x-a, x-b")];
                let cors: CorsHead<'_> = filter.cors_head(cors.into_iter());
                assert!(filter.response_edits(&info, &cors, buffer).expose.is_some());
                let end = StreamEnd { status, now_ns: info.start_ns() + duration, ..StreamEnd::default() };
                filter.on_log(state, Some(&info), &end, &mut admit);
                let alone = StreamEnd { request: Some(head), ..end };
                filter.on_log(state, None, &alone, &mut admit);
            }
        }
    }
}

#[test]
fn the_request_path_allocates_nothing_in_the_steady_state() {
    let config = br#"{
        "correlation": {"trust": {"networks": ["10.0.0.0/8", "::1/128"], "mtls": true}, "expose": true, "traceparent": "start"},
        "routes": {
            "unmatched": "placeholders",
            "placeholders": {"max_endpoints": 2},
            "table": [{"methods": ["GET"], "template": "/api/v1/deployments/{id}"}, {"template": "/api/v1/compare/{base}...{head}"}]
        }
    }"#;
    let filter = Filter::new(Config::from_json(config).unwrap());
    let mut state = State::new(&filter);
    let mut buffer = Vec::new();
    let long = vec![b'/'; 60_000];
    serve(&filter, &mut state, &mut buffer, &long);
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        serve(&filter, &mut state, &mut buffer, &long);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn a_reader_of_documents_allocates_nothing_in_the_steady_state() {
    let pointers = Pointers::compile(&["/decision", "/risk/score", "/list/1", ""]).unwrap();
    let mut reader = Reader::new();
    let mut read = || {
        for document in
            [&br#"{"decision":"approved","risk":{"score":"\u0034\ud83d"},"list":[[[[1]]],2.5]}"#[..], b"[", b"\xff"]
        {
            reader.reset(&pointers);
            reader.feed(&pointers, document);
            reader.finish();
            let _ = reader.value(&pointers, 0);
        }
    };
    read();
    let before = ALLOCATIONS.get();
    (0..100).for_each(|_| read());
    assert_eq!(ALLOCATIONS.get() - before, 0);
}
