//! The router in the built module, at the size of a large API.

use std::path::Path;

use edge_observer::config_file;
use host_harness::test::Host;

use crate::support::proxy::module_path;

/// GitHub's operations as a plugin configuration, in the proxy's JSON.
fn github() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/github.yaml");
    config_file::load(&file).unwrap_or_else(|problem| panic!("{problem:?}")).json
}

fn memory(configuration: &str) -> usize {
    let mut host = Host::builder().module_file(module_path()).configuration(configuration).start().unwrap();
    host.worker(0).memory_size()
}

#[test]
fn the_table_of_1223_operations_takes_less_than_a_mebibyte() {
    let (plain, full) = (memory("{}"), memory(&github()));
    println!("{plain} {full}");
    assert!(full - plain <= 1 << 20, "{full} - {plain} bytes of linear memory");
}
