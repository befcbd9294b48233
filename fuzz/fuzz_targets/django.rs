//! Any bytes as Django's list of URLs: a description or an error, and no operation whose template the router cannot read.

#![no_main]

mod shared;

use edge_observer::routes::import::django;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(description) = django::read(input) {
        shared::check(&description.operations);
    }
});
