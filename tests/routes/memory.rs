//! What a table of real size takes of the module's memory.

use std::path::{Path, PathBuf};

use edge_observer::config_file;
use host_harness::test::Host;

use crate::support::proxy::module_path;

/// GitHub's operations as a plugin configuration.
fn github_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/github.yaml")
}

fn memory(configuration: &str) -> usize {
    let mut host = Host::builder().module_file(module_path()).configuration(configuration).start().unwrap();
    host.worker(0).memory_size()
}

#[test]
fn the_table_of_1223_operations_is_small() {
    let loaded = config_file::load(&github_file()).unwrap_or_else(|problem| panic!("{problem:?}"));
    let bytes = loaded.config.routes().table().size().bytes;
    assert!(bytes <= 1 << 17, "{bytes} bytes");
    // While it is read, the text of the configuration and what it is read into are there as well, and linear memory never shrinks.
    let (plain, full) = (memory("{}"), memory(&loaded.json));
    assert!(full - plain <= 1 << 20, "{full} - {plain} bytes of linear memory");
}
