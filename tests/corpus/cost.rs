//! What each stream of the corpus costs in the module: exact, and the same on every machine.
//!
//! Every case has a host of its own and runs twice. The second time is what counts: series are made, and buffers have their size. The module is the
//! compiler's, so that the figures do not depend on the version of another tool.

use std::fmt::Write as _;

use super::case::{Driver as _, cases};
use super::module::ModuleDriver;
use crate::support::golden;
use crate::support::proxy::compiled_module;

/// Hostcalls that touch headers. Each costs about 2 µs in real traffic.
const HEADERS: [&str; 5] = [
    "proxy_get_header_map_pairs",
    "proxy_get_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_add_header_map_value",
    "proxy_remove_header_map_value",
];

#[test]
fn every_stream_costs_this_much() {
    let module = compiled_module();
    let mut report = String::from(
        "callbacks: into the module. asked: hostcalls that return bytes, for which the host asks the module for memory. in, out: bytes.\n\n    fuel  callbacks  asked     in    out  KiB  hostcalls\n",
    );
    for case in cases() {
        let mut driver = ModuleDriver::with(&module, &case.config.to_string());
        for step in &case.requests {
            driver.request(step);
        }
        let before = driver.memory();
        writeln!(report, "\n{}", case.name).unwrap();
        for step in &case.requests {
            driver.request(step);
            let memory = driver.memory() / 1024;
            let cost = driver.cost();
            let calls = cost.hostcalls().map(|(name, calls)| {
                let name = name.trim_start_matches("proxy_");
                if calls == 1 { name.to_owned() } else { format!("{calls} {name}") }
            });
            writeln!(
                report,
                "{:>8}  {:>9}  {:>5}  {:>5}  {:>5}  {memory:>3}  {}",
                cost.fuel,
                cost.callbacks,
                cost.allocations,
                cost.bytes_in,
                cost.bytes_out,
                calls.collect::<Vec<_>>().join(", ")
            )
            .unwrap();
        }
        assert_eq!(driver.memory(), before, "{}: what came before makes the module grow", case.name);
    }
    golden::check("corpus_cost.txt", &report);
}

/// By default four hostcalls touch headers, and two where the proxy makes and echoes the ID.
#[test]
fn few_hostcalls_touch_headers() {
    let module = compiled_module();
    let of = |name: &str| {
        let case = cases().into_iter().find(|case| case.name == name).unwrap();
        let mut driver = ModuleDriver::with(&module, &case.config.to_string());
        driver.request(&case.requests[0]);
        HEADERS.iter().map(|name| driver.cost().hostcall(name)).sum::<u32>()
    };
    assert_eq!(of("no ID makes a UUIDv7"), 4);
    assert_eq!(of("a well-formed ID is kept"), 3);
    assert_eq!(of("the proxy's ID is kept and not echoed"), 2);
}
