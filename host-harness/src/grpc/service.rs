//! Where a gRPC callout goes: `envoy.config.core.v3.GrpcService`, as far as it matters to one.

use prost::Message as _;

use crate::HeaderMap;

/// A gRPC service that a module names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its cluster.
    pub(crate) cluster: String,
    /// The `:authority`, if it is not the cluster's name.
    pub(crate) authority: Option<String>,
    /// What every callout to it carries.
    pub(crate) initial_metadata: HeaderMap,
    /// The most bytes that a message from it may have.
    pub(crate) max_message: Option<u32>,
}

/// Why a service cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceError {
    /// It is no such message.
    Malformed,
    /// It has no target, at which Envoy ends.
    NoTarget,
    /// It is not for Envoy's own client, or its metadata is not metadata.
    Refused,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GrpcService {
    #[prost(oneof = "Target", tags = "1, 2")]
    target: Option<Target>,
    #[prost(message, optional, tag = "3")]
    timeout: Option<Ignored>,
    #[prost(message, repeated, tag = "5")]
    initial_metadata: Vec<HeaderValue>,
    #[prost(message, optional, tag = "6")]
    retry_policy: Option<Ignored>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Target {
    #[prost(message, tag = "1")]
    Envoy(EnvoyGrpc),
    #[prost(message, tag = "2")]
    Google(Ignored),
}

#[derive(Clone, PartialEq, prost::Message)]
struct EnvoyGrpc {
    #[prost(string, tag = "1")]
    cluster_name: String,
    #[prost(string, tag = "2")]
    authority: String,
    #[prost(message, optional, tag = "3")]
    retry_policy: Option<Ignored>,
    #[prost(message, optional, tag = "4")]
    max_receive_message_length: Option<UInt32Value>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UInt32Value {
    #[prost(uint32, tag = "1")]
    value: u32,
}

/// A message that has to be one, and in which nothing is looked for.
#[derive(Clone, PartialEq, prost::Message)]
struct Ignored {}

impl Service {
    /// A cluster alone.
    pub(crate) fn of_cluster(cluster: String) -> Self {
        Self { cluster, authority: None, initial_metadata: HeaderMap::new(), max_message: None }
    }

    /// Reads the message.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ServiceError> {
        let GrpcService { target, initial_metadata, .. } =
            GrpcService::decode(bytes).map_err(|_| ServiceError::Malformed)?;
        let envoy = match target {
            Some(Target::Envoy(envoy)) => envoy,
            Some(Target::Google(_)) => return Err(ServiceError::Refused),
            None => return Err(ServiceError::NoTarget),
        };
        Ok(Self {
            cluster: envoy.cluster_name,
            authority: Some(envoy.authority).filter(|authority| !authority.is_empty()),
            initial_metadata: metadata(initial_metadata)?,
            max_message: envoy.max_receive_message_length.map(|length| length.value).filter(|length| *length > 0),
        })
    }
}

/// Metadata as Envoy's header parser takes it: no header that routes, a value in which each `%` has its second. Envoy looks at what
/// is between two of them, and sends it as it is.
fn metadata(values: Vec<HeaderValue>) -> Result<HeaderMap, ServiceError> {
    let mut metadata = HeaderMap::new();
    for HeaderValue { key, value } in values {
        let routes = key.starts_with(':') || key.eq_ignore_ascii_case("host");
        if routes || value.matches('%').count() % 2 == 1 {
            return Err(ServiceError::Refused);
        }
        if !value.is_empty() {
            metadata.set(key, value);
        }
    }
    Ok(metadata)
}
