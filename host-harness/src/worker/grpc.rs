//! gRPC callouts: what the module asks for, and what it is told.

use super::Worker;
use crate::grpc::response::Told;
use crate::vm::grpc::Failed;
use crate::{GrpcCommand, GrpcEvent, GrpcId};

impl Worker {
    /// What the module did with its gRPC callouts since the last call, in order. The host carries it out, and says what comes
    /// back with [`Self::grpc_event`]; the module does not wait for that.
    pub fn take_grpc_commands(&mut self) -> Vec<GrpcCommand> {
        std::mem::take(&mut self.vm.state_mut().grpc.commands)
    }

    /// Whether the module waits for something of this callout. When it has cancelled it, or has been told of its end, it does
    /// not, and the host lets go of it.
    #[must_use]
    pub fn awaits_grpc(&self, id: GrpcId) -> bool {
        self.vm.failure().is_none() && self.vm.state().grpc.awaits(id)
    }

    /// Something came back: the module is told what it means. What it does not wait for any more it is not told.
    pub fn grpc_event(&mut self, id: GrpcId, event: GrpcEvent) {
        if !self.awaits_grpc(id) {
            return;
        }
        let callout = self.vm.state_mut().grpc.open.get_mut(&id.token);
        let Some((root, response)) = callout.and_then(|callout| Some((callout.root, callout.response.as_mut()?)))
        else {
            return;
        };
        let last = matches!(
            event,
            GrpcEvent::Headers { end: true, .. } | GrpcEvent::Trailers(_) | GrpcEvent::End | GrpcEvent::Reset(_)
        );
        for told in response.take(event) {
            if self.awaits_grpc(id) {
                self.tell_of_grpc(root, id, told, last);
            }
        }
    }

    fn tell_of_grpc(&mut self, root: u32, id: GrpcId, told: Told, last: bool) {
        let token = id.token;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let grpc = &mut self.vm.state_mut().grpc;
        match told {
            Told::InitialMetadata(map) => {
                let parameters = (root, token, count(map.len()));
                grpc.initial_metadata = Some(map);
                let callback = "proxy_on_grpc_receive_initial_metadata";
                self.vm.call(
                    callback,
                    root,
                    |exports| &exports.grpc_initial_metadata,
                    parameters,
                    &<[u32; 3]>::from(parameters),
                );
                self.vm.state_mut().grpc.initial_metadata = None;
            }
            Told::TrailingMetadata(map) => {
                let parameters = (root, token, count(map.len()));
                grpc.trailing_metadata = Some(map);
                let callback = "proxy_on_grpc_receive_trailing_metadata";
                self.vm.call(
                    callback,
                    root,
                    |exports| &exports.grpc_trailing_metadata,
                    parameters,
                    &<[u32; 3]>::from(parameters),
                );
                self.vm.state_mut().grpc.trailing_metadata = None;
            }
            Told::Message(message) => {
                let parameters = (root, token, count(message.len()));
                grpc.message = Some(message);
                self.vm.call(
                    "proxy_on_grpc_receive",
                    root,
                    |exports| &exports.grpc_receive,
                    parameters,
                    &<[u32; 3]>::from(parameters),
                );
                let grpc = &mut self.vm.state_mut().grpc;
                grpc.message = None;
                if !id.is_stream() {
                    grpc.open.remove(&token);
                }
            }
            Told::Close { status, message } => {
                if let Some(callout) = grpc.open.get_mut(&token) {
                    callout.response = None;
                    // Envoy resets what the upstream still sends.
                    if !last {
                        grpc.commands.push(GrpcCommand::Cancel(id));
                    }
                }
                self.vm.call_grpc_close(Failed { root, token, status, message });
                self.vm.state_mut().grpc.finish(token);
            }
        }
        self.settle(0);
    }
}
