//! Any bytes as an API description: a description or an error, and no operation whose template the router refuses.

#![no_main]

use edge_observer::routes::import::openapi;
use libfuzzer_sys::fuzz_target;
use telemetry::route::{RouteOptions, RouteSpec, RouteTable};

fuzz_target!(|input: &[u8]| {
    let Ok(description) = openapi::read(input, &openapi::Options::default(), &mut openapi::NoFiles) else { return };
    for operation in description.operations.iter().take(200) {
        let route = RouteSpec { methods: None, template: operation.template.clone(), name: None };
        assert!(RouteTable::build(&[route], &RouteOptions::default()).is_ok(), "{operation:?}");
    }
});
