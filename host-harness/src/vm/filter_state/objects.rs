//! Objects that Envoy makes of text, by the name of the filter state that they are. Here they can be read, and do nothing.

use std::net::{IpAddr, SocketAddr};

use crate::abi::Status;

/// An object of the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Object {
    /// It can be written as this text.
    Text(Vec<u8>),
    /// It has no text.
    Silent,
    /// It has an address and a port as its fields.
    Address(SocketAddr),
}

impl Object {
    /// Makes one of text.
    pub(crate) fn make(name: &str, text: &str) -> Result<Self, Status> {
        let number = |most: u64| {
            let digits = text.trim_ascii();
            let number: u64 = digits.strip_prefix('+').unwrap_or(digits).parse().map_err(|_| Status::BadArgument)?;
            let fits = number <= most && !digits.starts_with("++");
            if fits { Ok(Self::Text(number.to_string().into_bytes())) } else { Err(Status::BadArgument) }
        };
        match name {
            "envoy.ai.model.request"
            | "envoy.string"
            | "envoy.hashable_string"
            | "envoy.network.network_namespace"
            | "envoy.network.upstream_server_name"
            | "envoy.network.upstream_subject_alt_names"
            | "envoy.tcp_proxy.cluster"
            | "envoy.upstream.dynamic_host" => Ok(Self::Text(text.into())),
            "envoy.network.application_protocols" | "envoy.router.debug_config" => Ok(Self::Silent),
            "envoy.network.transport_socket.http_11_proxy.info" => {
                let (_, address) =
                    text.split_once(',').filter(|(host, _)| !host.is_empty()).ok_or(Status::BadArgument)?;
                address.parse().map(|_: SocketAddr| Self::Silent).map_err(|_| Status::BadArgument)
            }
            "envoy.bool" => {
                let truth = match text.to_ascii_lowercase().as_str() {
                    "true" | "t" | "yes" | "y" | "1" => true,
                    "false" | "f" | "no" | "n" | "0" => false,
                    _ => return Err(Status::BadArgument),
                };
                Ok(Self::Text(truth.to_string().into_bytes()))
            }
            "envoy.tcp_proxy.disable_tunneling" => Ok(Self::Text((text == "true").to_string().into_bytes())),
            "envoy.ratelimit.hits_addend" | "envoy.upstream.dynamic_port" => number(u32::MAX.into()),
            "envoy.tcp_proxy.per_connection_idle_timeout_ms" => number(u64::MAX),
            "envoy.network.ip" => {
                let address: IpAddr = text.parse().map_err(|_| Status::BadArgument)?;
                Ok(Self::Text(SocketAddr::new(address, 0).to_string().into_bytes()))
            }
            "envoy.filters.listener.original_dst.local_ip"
            | "envoy.filters.listener.original_dst.remote_ip"
            | "envoy.network.transport_socket.original_dst_address" => {
                text.parse().map(Self::Address).map_err(|_| Status::BadArgument)
            }
            _ => Err(Status::NotFound),
        }
    }

    /// Its text, if it has one.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::Silent | Self::Address(_) => None,
        }
    }

    /// What it takes besides itself.
    pub(crate) fn bytes(&self) -> usize {
        self.text().map_or(0, <[u8]>::len)
    }

    /// Writes it, or one of its fields, as a property.
    pub(crate) fn read(&self, field: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), Status> {
        match (self, field) {
            (Self::Text(text), None) => out.extend_from_slice(text),
            // Something with fields is a map, and tells of none.
            (Self::Address(_), None) => out.extend_from_slice(&[0; 4]),
            (Self::Address(address), Some(b"ip")) => out.extend_from_slice(address.ip().to_string().as_bytes()),
            (Self::Address(address), Some(b"port")) => out.extend_from_slice(&u64::from(address.port()).to_le_bytes()),
            _ => return Err(Status::NotFound),
        }
        Ok(())
    }
}
