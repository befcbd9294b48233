//! Where Envoy and the specification differ, and which of them a host follows.

/// Whose behaviour a host has where Envoy's is not what the [specification] of ABI 0.2.1 says.
///
/// | what | [`Self::Envoy`] | [`Self::Spec`] |
/// |---|---|---|
/// | the end of an HTTP stream | log, done, delete | done, log, delete |
/// | a module with both allocators | `malloc` | `proxy_on_memory_allocate` |
/// | a buffer that is not there, to read | `Ok` and nothing; `NotFound` of callouts and the plugin's configuration | `NotFound` |
/// | a buffer that is not there, to write | `BadArgument` | `NotFound` |
/// | to read from past a buffer's end | `Ok` and nothing | `BadArgument` |
/// | to write into the middle of a buffer | `BadArgument` | the bytes are replaced or put in |
/// | the VM's configuration | readable always | readable in `proxy_on_vm_start`, else `NotFound` |
/// | buffer 8 | what was looked into last | `NotFound`: no foreign function calls the module |
/// | pairs of a map that is not there | `Ok` and nothing | `BadArgument` |
/// | a value of a map that is not there, in `proxy_on_log` | `NotFound` | `BadArgument` |
/// | a map's size | of a map that may be written: names and values | of a map that may be read: its pairs, encoded |
/// | the request's trailers in `proxy_on_log` | not there | there |
/// | the request's maps and body after `proxy_continue_stream` | gone at once | there until the callback returns |
/// | to record a counter | adds | sets |
/// | to increment a counter by 0 | `BadArgument` | `Ok` |
/// | a metric's id that is not known, of no kind that counts | `BadArgument` | `NotFound` |
/// | a compare-and-swap number for a key that is not there | `Ok` | `CasMismatch` |
/// | an HTTP callout without a response | Envoy's own 503 or 504 | no headers; status and text in `proxy_get_status` |
/// | a gRPC service of a cluster that is not known | `InternalFailure`, and `proxy_on_grpc_close` | `ParseFailure` |
/// | a gRPC service that has no target, or that is refused | traps; `BadArgument` | `ParseFailure` |
///
/// In everything else both are one, and that is Envoy's way where the specification leaves it open. What the specification says
/// and neither does: a stream's end waits for `proxy_done`; body callbacks come while headers are held; only the one side of a
/// TCP connection is closed, and the server's data can be continued; `proxy_on_foreign_function` is called.
///
/// [specification]: https://github.com/proxy-wasm/spec/tree/main/abi-versions/v0.2.1
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Conformance {
    /// As Envoy 1.40 does: what a module meets there.
    #[default]
    Envoy,
    /// As the specification says: what a module may count on in any host.
    Spec,
}

/// A question for each row of the table.
macro_rules! rows {
    ($($(#[$doc:meta])* $row:ident;)*) => {
        impl Conformance {
            $($(#[$doc])* pub(crate) const fn $row(self) -> bool {
                matches!(self, Self::Spec)
            })*
        }
    };
}

rows! {
    /// Whether a stream's `proxy_on_done` comes before its `proxy_on_log`.
    done_before_log;
    /// Whether `proxy_on_memory_allocate` is preferred to `malloc`.
    own_allocator_first;
    /// Whether a buffer that is not there is told so.
    missing_buffers_are_told;
    /// Whether to read from past the end is a mistake.
    past_the_end_is_told;
    /// Whether bytes may be put into the middle of a buffer.
    middle_is_writable;
    /// Whether the VM's configuration is only there in `proxy_on_vm_start`.
    vm_configuration_goes;
    /// Whether buffer 8 is that of a foreign function's arguments alone.
    call_data_is_of_callbacks;
    /// Whether a map that is not there is told so.
    missing_maps_are_told;
    /// Whether a map's size is that of its pairs, encoded.
    sizes_are_encoded;
    /// Whether the request's trailers are there in `proxy_on_log`.
    trailers_are_logged;
    /// Whether what goes on stays there until the callback returns.
    continued_stays;
    /// Whether to record a counter sets it.
    counters_are_set;
    /// Whether 0 may be added.
    zero_is_added;
    /// Whether every metric that is not known is not found.
    metrics_are_not_found;
    /// Whether a number needs a key that has it.
    cas_needs_a_key;
    /// Whether a callout without a response has no headers.
    no_response_has_no_headers;
    /// Whether a gRPC upstream that is not known, for any reason, is a mistake of the call.
    grpc_upstreams_are_parsed;
}
