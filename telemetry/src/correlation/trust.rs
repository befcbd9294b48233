//! Whose IDs are kept: everyone's, nobody's, or those from some networks or over mutual TLS.

use std::fmt;
use std::net::IpAddr;

/// Whose IDs are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Everyone's.
    #[default]
    Any,
    /// Nobody's.
    None,
    /// Those of senders that one of these vouches for.
    Senders {
        /// The sender's address is in one of these.
        networks: Vec<Network>,
        /// Or the connection is mutual TLS.
        mtls: bool,
    },
}

/// The facts about a sender that [`Trust`] may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The proxy's `source.address` property: `192.0.2.1:4711`, `[2001:db8::1]:4711`, or an address without a port.
    pub address: Option<&'a [u8]>,
    /// The proxy's `connection.mtls` property.
    pub mtls: bool,
}

impl Trust {
    /// Whether this sender's IDs are kept. An address that cannot be read (a Unix socket, none at all) is in no network.
    #[inline]
    #[must_use]
    pub fn accepts(&self, sender: &Sender<'_>) -> bool {
        match self {
            Trust::Any => true,
            Trust::None => false,
            Trust::Senders { networks, mtls } => {
                (*mtls && sender.mtls)
                    || sender
                        .address
                        .and_then(parse_address)
                        .is_some_and(|address| networks.iter().any(|network| network.contains(address)))
            }
        }
    }

    /// Whether the answer can depend on the sender's address.
    #[inline]
    #[must_use]
    pub fn asks_address(&self) -> bool {
        matches!(self, Trust::Senders { networks, .. } if !networks.is_empty())
    }

    /// Whether the answer can depend on mutual TLS.
    #[inline]
    #[must_use]
    pub fn asks_mtls(&self) -> bool {
        matches!(self, Trust::Senders { mtls: true, .. })
    }
}

/// An IP network in CIDR notation, `10.0.0.0/8` or `2001:db8::/32`. A bare address is a network of one.
///
/// IPv4-mapped IPv6 addresses (`::ffff:192.0.2.1`), which a dual-stack listener reports for IPv4 clients, are compared as IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Not an address, with or without a prefix length.
    #[error("`{0}` is not an IP network; write it like `10.0.0.0/8` or `2001:db8::/32`")]
    Syntax(String),
    /// The prefix length is not a number, or too large.
    #[error("`{text}` has no prefix length that an {family} network can have; use 0 to {max}")]
    Prefix {
        /// What was found.
        text: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The largest length.
        max: u8,
    },
    /// Bits are set past the prefix.
    #[error("`{text}` has address bits past its prefix; write `{network}`")]
    HostBits {
        /// What was found.
        text: String,
        /// The same with those bits cleared.
        network: Network,
    },
}

impl Network {
    /// Whether the address is in the network.
    #[inline]
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => mask_v4(address.to_bits(), self.prefix) == network.to_bits(),
            (IpAddr::V6(network), IpAddr::V6(address)) => mask_v6(address.to_bits(), self.prefix) == network.to_bits(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let syntax = || NetworkError::Syntax(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| syntax())?;
        let (family, max) = match address {
            IpAddr::V4(_) => ("IPv4", 32),
            IpAddr::V6(_) => ("IPv6", 128),
        };
        let prefix = match prefix {
            None => max,
            Some(digits) => Some(digits)
                .filter(|digits| digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|prefix| *prefix <= max)
                .ok_or_else(|| NetworkError::Prefix { text: text.to_owned(), family, max })?,
        };
        // `::ffff:10.0.0.0/104` means 10.0.0.0/8, and is compared as that.
        let (given, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if prefix >= 96 => (IpAddr::V4(mapped), prefix - 96),
            _ => (address, prefix),
        };
        let network = match given {
            IpAddr::V4(address) => IpAddr::V4(mask_v4(address.to_bits(), prefix).into()),
            IpAddr::V6(address) => IpAddr::V6(mask_v6(address.to_bits(), prefix).into()),
        };
        let masked = Network { address: network, prefix };
        if network == given {
            Ok(masked)
        } else {
            Err(NetworkError::HostBits { text: text.to_owned(), network: masked })
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[inline]
fn mask_v4(bits: u32, prefix: u8) -> u32 {
    bits & u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

#[inline]
fn mask_v6(bits: u128, prefix: u8) -> u128 {
    bits & u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0)
}

/// Reads what a proxy writes for an address: with a port or without, IPv6 in brackets or bare, perhaps with a zone.
#[inline]
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    // The longest textual address with brackets, zone and port is far shorter; a longer value is not one.
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= 128)?;
    let host = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']')?;
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        host
    } else {
        match text.split_once(':') {
            // One colon only: IPv4 and a port. More: an IPv6 address without brackets.
            Some((host, port)) if !port.contains(':') => Some(host).filter(|_| is_port(port))?,
            _ => text,
        }
    };
    let host = host.split_once('%').map_or(host, |(address, _zone)| address);
    host.parse().ok()
}

#[inline]
fn is_port(text: &str) -> bool {
    !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
