//! Any bytes as an API description: a description or an error, and no operation whose template the router cannot read.

#![no_main]

mod shared;

use edge_observer::routes::import::openapi;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(description) = openapi::read(input, &openapi::Options::default(), &mut openapi::NoFiles) {
        shared::check(&description.operations);
    }
});
