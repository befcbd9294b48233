//! Properties of configuration, `xds.…`.

use prost::Message as _;

use super::path::{self, Path};
use super::{bytes, no_pairs, number};
use crate::Xds;
use crate::abi::Status;
use crate::hostcall::Answer;

/// How far the proxy has come with what hostcalls act on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Way {
    /// It is a stream or a connection, and came to the listener.
    pub(super) listener: bool,
    /// It has a route.
    pub(super) route: bool,
    /// It has a cluster.
    pub(super) cluster: bool,
    /// It has one of the cluster's hosts.
    pub(super) host: bool,
}

pub(super) fn lookup(xds: &Xds, way: Way, field: &[u8], rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    let known = match field {
        b"node" => return node(xds, rest, out),
        b"listener_direction" | b"listener_metadata" | b"filter_chain_name" => way.listener,
        b"route_name" | b"route_metadata" | b"virtual_host_name" | b"virtual_host_metadata" => way.route,
        b"cluster_name" | b"cluster_metadata" => way.cluster,
        b"upstream_host_metadata" | b"upstream_host_locality_metadata" => way.host,
        _ => false,
    };
    if !known {
        return Err(Status::NotFound.into());
    }
    match field {
        b"listener_metadata" | b"route_metadata" | b"virtual_host_metadata" | b"cluster_metadata" => {
            metadata(rest, out)
        }
        // A host without metadata has no message, not even an empty one.
        b"upstream_host_metadata" | b"upstream_host_locality_metadata" => {
            path::end(rest)?;
            Err(Status::SerializationFailure.into())
        }
        b"listener_direction" => path::end(rest).and_then(|()| number(out, xds.listener_direction as u64)),
        name => {
            path::end(rest)?;
            let name = match name {
                b"filter_chain_name" => &xds.filter_chain_name,
                b"route_name" => &xds.route_name,
                b"virtual_host_name" => &xds.virtual_host_name,
                _ => &xds.cluster_name,
            };
            bytes(out, name.as_bytes())
        }
    }
}

/// A message `envoy.config.core.v3.Metadata` with nothing in it.
pub(super) fn metadata(mut rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    match rest.next() {
        None => Ok(()),
        Some(b"filter_metadata" | b"typed_filter_metadata") => path::end(rest).and_then(|()| no_pairs(out)),
        Some(_) => Err(Status::NotFound.into()),
    }
}

/// What there is of `envoy.config.core.v3.Node`.
#[derive(Clone, PartialEq, prost::Message)]
struct Node {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    cluster: String,
    #[prost(string, tag = "6")]
    user_agent_name: String,
}

/// The proxy's own description. Of Envoy's extensions and version there is nothing.
fn node(xds: &Xds, mut rest: Path<'_>, out: &mut Vec<u8>) -> Answer {
    let Some(field) = rest.next() else {
        let (id, cluster) = (xds.node_id.clone(), xds.node_cluster.clone());
        return bytes(out, &Node { id, cluster, user_agent_name: "envoy".to_owned() }.encode_to_vec());
    };
    path::end(rest)?;
    match field {
        b"id" => bytes(out, xds.node_id.as_bytes()),
        b"cluster" => bytes(out, xds.node_cluster.as_bytes()),
        b"user_agent_name" => bytes(out, b"envoy"),
        b"metadata" | b"dynamic_parameters" => no_pairs(out),
        b"locality" => Ok(()),
        _ => Err(Status::NotFound.into()),
    }
}
