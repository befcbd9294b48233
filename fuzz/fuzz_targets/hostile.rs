//! Any bytes as a module that means harm, through everything that a host does: it ends, in clear errors or in none.

#![no_main]

#[path = "../../host-harness/tests/hostile/bytes.rs"]
mod bytes;
#[path = "../../host-harness/tests/hostile/drive.rs"]
mod drive;
#[path = "../../host-harness/tests/hostile/module.rs"]
mod module;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    drive::run(input);
});
