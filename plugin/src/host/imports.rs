//! The hostcalls this module imports: nothing but their signatures.
//!
//! A new line here is a new capability for the module, which is why the import list of the built module is
//! pinned by a test. Outside WebAssembly every hostcall answers `Unimplemented`, but for unit tests, which have a host of
//! their own.

/// Declares the hostcalls of one import module, and their stand-ins for native builds.
macro_rules! hostcalls {
    ($module:literal { $($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*);)* }) => {
        #[cfg(target_family = "wasm")]
        #[link(wasm_import_module = $module)]
        unsafe extern "C" {
            $($(#[$doc])* pub(super) fn $name($($argument: $type),*) -> u32;)*
        }

        $(
            $(#[$doc])*
            #[cfg(all(not(target_family = "wasm"), not(test)))]
            #[allow(clippy::too_many_arguments, reason = "the ABI has them")]
            pub(super) unsafe fn $name($(_: $type),*) -> u32 {
                super::UNIMPLEMENTED
            }

            #[cfg(test)]
            pub(super) use super::fake::$name;
        )*
    };
}

hostcalls! { "env" {
    /// Writes one line to the proxy's log.
    fn proxy_log(level: u32, message: *const u8, message_len: usize);
    /// The system's clock, in nanoseconds since 1970.
    fn proxy_get_current_time_nanoseconds(result: *mut u64);
    /// Asks for `proxy_on_tick` every so often.
    fn proxy_set_tick_period_milliseconds(period: u32);
    /// Reads a buffer: the plugin's configuration, a request's body.
    fn proxy_get_buffer_bytes(kind: u32, start: usize, max: usize, data: *mut *mut u8, len: *mut usize);
    /// Reads a whole header map.
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, len: *mut usize);
    /// Reads the first value of a header.
    fn proxy_get_header_map_value(map: u32, name: *const u8, name_len: usize, data: *mut *mut u8, len: *mut usize);
    /// Sets a header, in place of all that have its name.
    fn proxy_replace_header_map_value(map: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    /// Adds a line of a header.
    fn proxy_add_header_map_value(map: u32, name: *const u8, name_len: usize, value: *const u8, value_len: usize);
    /// Removes all lines of a header.
    fn proxy_remove_header_map_value(map: u32, name: *const u8, name_len: usize);
    /// Reads a property of the stream.
    fn proxy_get_property(path: *const u8, path_len: usize, data: *mut *mut u8, len: *mut usize);
    /// Sets filter state `wasm.<path>`.
    fn proxy_set_property(path: *const u8, path_len: usize, value: *const u8, value_len: usize);
    /// Calls a function of the proxy's own, by its name.
    fn proxy_call_foreign_function(name: *const u8, name_len: usize, argument: *const u8, argument_len: usize, data: *mut *mut u8, len: *mut usize);
    /// Reads a value that all VMs of this `vm_id` share.
    fn proxy_get_shared_data(key: *const u8, key_len: usize, data: *mut *mut u8, len: *mut usize, cas: *mut u32);
    /// Writes such a value.
    fn proxy_set_shared_data(key: *const u8, key_len: usize, value: *const u8, value_len: usize, cas: u32);
    /// Makes an HTTP call to a cluster; its answer comes with `proxy_on_http_call_response`.
    fn proxy_http_call(cluster: *const u8, cluster_len: usize, headers: *const u8, headers_len: usize, body: *const u8, body_len: usize, trailers: *const u8, trailers_len: usize, timeout: u32, token: *mut u32);
    /// Finds or makes a counter, gauge or histogram.
    fn proxy_define_metric(kind: u32, name: *const u8, name_len: usize, id: *mut u32);
    /// Adds to a counter or gauge.
    fn proxy_increment_metric(id: u32, delta: i64);
    /// Sets a gauge, or records a sample of a histogram.
    fn proxy_record_metric(id: u32, value: u64);
} }

hostcalls! { "wasi_snapshot_preview1" {
    /// Reads a clock.
    fn clock_time_get(clock: u32, precision: u64, result: *mut u64);
    /// How many variables the VM's environment has, and how many bytes they take.
    fn environ_sizes_get(count: *mut usize, size: *mut usize);
    /// Reads the variables: where each begins, and `NAME=value` of each, with a NUL at its end.
    fn environ_get(places: *mut *mut u8, text: *mut u8);
    /// Fills a buffer with random bytes.
    fn random_get(buffer: *mut u8, len: usize);
} }
