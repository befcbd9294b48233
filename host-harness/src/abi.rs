//! The numbers of the proxy-wasm ABI: statuses, map, buffer, metric and stream types; and its callbacks.

/// The status that a hostcall answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// No such key, property, metric, queue or function.
    NotFound = 1,
    /// An argument is out of range, or the object is not available in this phase.
    BadArgument = 2,
    /// A value could not be written as bytes.
    SerializationFailure = 3,
    /// Bytes could not be read as a value.
    ParseFailure = 4,
    /// A pointer of the module lies outside its memory, or its allocator returned null.
    InvalidMemoryAccess = 6,
    /// The queue is empty.
    Empty = 7,
    /// The compare-and-swap number is not the current one.
    CasMismatch = 8,
    /// The host failed, or a capability is not granted.
    InternalFailure = 10,
    /// The connection broke.
    BrokenConnection = 11,
    /// The host does not do this.
    Unimplemented = 12,
}

impl Status {
    /// All statuses, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::NotFound,
        Self::BadArgument,
        Self::SerializationFailure,
        Self::ParseFailure,
        Self::InvalidMemoryAccess,
        Self::Empty,
        Self::CasMismatch,
        Self::InternalFailure,
        Self::BrokenConnection,
        Self::Unimplemented,
    ];

    /// The number that the module sees.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The status with this number, if the ABI has one.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

/// A header map that a module can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MapType {
    /// Headers of the request.
    RequestHeaders,
    /// Trailers of the request.
    RequestTrailers,
    /// Headers of the response.
    ResponseHeaders,
    /// Trailers of the response.
    ResponseTrailers,
    /// Initial metadata of a gRPC callout.
    GrpcReceiveInitialMetadata,
    /// Trailing metadata of a gRPC callout.
    GrpcReceiveTrailingMetadata,
    /// Headers of the response to an HTTP callout.
    HttpCallResponseHeaders,
    /// Trailers of the response to an HTTP callout.
    HttpCallResponseTrailers,
}

impl MapType {
    /// The map with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::RequestHeaders,
            1 => Self::RequestTrailers,
            2 => Self::ResponseHeaders,
            3 => Self::ResponseTrailers,
            4 => Self::GrpcReceiveInitialMetadata,
            5 => Self::GrpcReceiveTrailingMetadata,
            6 => Self::HttpCallResponseHeaders,
            7 => Self::HttpCallResponseTrailers,
            _ => return None,
        })
    }
}

/// A buffer that a module can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// Body of the request.
    HttpRequestBody,
    /// Body of the response.
    HttpResponseBody,
    /// Data from the client of a TCP connection.
    DownstreamData,
    /// Data from the server of a TCP connection.
    UpstreamData,
    /// Body of the response to an HTTP callout.
    HttpCallResponseBody,
    /// A message of a gRPC callout.
    GrpcReceiveBuffer,
    /// Configuration of the VM.
    VmConfiguration,
    /// Configuration of the plugin.
    PluginConfiguration,
    /// Arguments of a foreign function's call into the module.
    CallData,
}

impl BufferType {
    /// The buffer with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::HttpRequestBody,
            1 => Self::HttpResponseBody,
            2 => Self::DownstreamData,
            3 => Self::UpstreamData,
            4 => Self::HttpCallResponseBody,
            5 => Self::GrpcReceiveBuffer,
            6 => Self::VmConfiguration,
            7 => Self::PluginConfiguration,
            8 => Self::CallData,
            _ => return None,
        })
    }
}

/// The kind of a metric; its number is also the low two bits of the metric's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl MetricType {
    /// The kind with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Counter,
            1 => Self::Gauge,
            2 => Self::Histogram,
            _ => return None,
        })
    }

    /// The number of this kind.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::Counter => 0,
            Self::Gauge => 1,
            Self::Histogram => 2,
        }
    }
}

/// One direction of a stream, as `proxy_continue_stream` and `proxy_close_stream` name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StreamType {
    /// The request of an HTTP stream.
    Request,
    /// The response of an HTTP stream.
    Response,
    /// The client's side of a TCP connection.
    Downstream,
    /// The server's side of a TCP connection.
    Upstream,
}

impl StreamType {
    /// The direction with this number.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Request,
            1 => Self::Response,
            2 => Self::Downstream,
            3 => Self::Upstream,
            _ => return None,
        })
    }
}

/// A function that a module exports for the host to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Callback {
    /// Its name.
    pub name: &'static str,
    /// How many parameters it has, all of 32 bits.
    pub parameters: usize,
    /// Whether it answers with a number, of 32 bits too.
    pub has_result: bool,
}

/// The callbacks of ABI 0.2, also those that no proxy makes. In 0.1.0 headers come without the end of the stream.
pub const CALLBACKS: [Callback; 30] = [
    callback("proxy_on_context_create", 2, false),
    callback("proxy_on_vm_start", 2, true),
    callback("proxy_validate_configuration", 2, true),
    callback("proxy_on_configure", 2, true),
    callback("proxy_on_tick", 1, false),
    callback("proxy_on_queue_ready", 2, false),
    callback("proxy_on_new_connection", 1, true),
    callback("proxy_on_downstream_data", 3, true),
    callback("proxy_on_upstream_data", 3, true),
    callback("proxy_on_downstream_connection_close", 2, false),
    callback("proxy_on_upstream_connection_close", 2, false),
    callback("proxy_on_request_headers", 3, true),
    callback("proxy_on_request_body", 3, true),
    callback("proxy_on_request_trailers", 2, true),
    callback("proxy_on_request_metadata", 2, true),
    callback("proxy_on_response_headers", 3, true),
    callback("proxy_on_response_body", 3, true),
    callback("proxy_on_response_trailers", 2, true),
    callback("proxy_on_response_metadata", 2, true),
    callback("proxy_on_http_call_response", 5, false),
    callback("proxy_on_grpc_receive_initial_metadata", 3, false),
    callback("proxy_on_grpc_receive", 3, false),
    callback("proxy_on_grpc_receive_trailing_metadata", 3, false),
    callback("proxy_on_grpc_close", 3, false),
    callback("proxy_on_foreign_function", 3, false),
    callback("proxy_on_resolve_dns", 3, false),
    callback("proxy_on_stats_update", 2, false),
    callback("proxy_on_done", 1, true),
    callback("proxy_on_log", 1, false),
    callback("proxy_on_delete", 1, false),
];

const fn callback(name: &'static str, parameters: usize, has_result: bool) -> Callback {
    Callback { name, parameters, has_result }
}
