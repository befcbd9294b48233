//! What reaches root contexts from outside: answers to callouts, and items in shared queues.

use super::Worker;
use crate::abi::Status;
use crate::vm::state::{CallResponse, Pending};
use crate::{Callout, CalloutId, CalloutOutcome};

impl Worker {
    /// The callouts that the module made since the last call. The host carries them out and answers each with
    /// [`Self::answer_callout`]; the module does not wait for that.
    pub fn take_callouts(&mut self) -> Vec<Callout> {
        std::mem::take(&mut self.vm.state_mut().calls.made)
    }

    /// Whether a callout still waits for its answer. Those of a root context that has ended do not.
    #[must_use]
    pub fn awaits(&self, callout: CalloutId) -> bool {
        let calls = &self.vm.state().calls;
        self.vm.failure().is_none()
            && callout.generation == calls.generation
            && calls.pending.contains_key(&callout.token)
    }

    /// Tells the module what came of its callout. What it does not wait for any more it is not told.
    pub fn answer_callout(&mut self, callout: CalloutId, outcome: CalloutOutcome) {
        let CalloutId { generation, token } = callout;
        let calls = &mut self.vm.state_mut().calls;
        if generation != calls.generation {
            return;
        }
        let Some(Pending { root, .. }) = calls.pending.remove(&token) else {
            return;
        };
        let outcome =
            if self.shared.options.conformance.no_response_has_no_headers() { outcome } else { outcome.in_envoy() };
        let calls = &mut self.vm.state_mut().calls;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let sizes = match outcome {
            CalloutOutcome::Response { headers, body, trailers } => {
                let sizes = (count(headers.len()), count(body.len()), count(trailers.len()));
                calls.response = Some(CallResponse { headers, body, trailers });
                sizes
            }
            CalloutOutcome::NoResponse { status, text } => {
                calls.status = (status.into(), text.to_owned());
                (0, 0, 0)
            }
            CalloutOutcome::Reset => {
                calls.status = (Status::BrokenConnection.code(), "reset".to_owned());
                (0, 0, 0)
            }
        };
        let (headers, body, trailers) = sizes;
        let parameters = (root, token, headers, body, trailers);
        let shown = [root, token, headers, body, trailers];
        self.vm.call("proxy_on_http_call_response", root, |exports| &exports.http_call_response, parameters, &shown);
        let calls = &mut self.vm.state_mut().calls;
        calls.response = None;
        // The code stays.
        calls.status.1.clear();
        self.settle(0);
    }

    /// Tells root contexts of items in queues that they registered; says whether there was anything to tell.
    pub fn run_ready_queues(&mut self) -> bool {
        let ready = self.shared.queues.take_ready(self.vm.state().role);
        let any = !ready.is_empty();
        for (root, queue) in ready {
            if self.root_of(root).is_some() {
                self.vm.call(
                    "proxy_on_queue_ready",
                    root,
                    |exports| &exports.queue_ready,
                    (root, queue),
                    &[root, queue],
                );
                self.settle(0);
            }
        }
        any
    }

    /// Whether [`Self::run_ready_queues`] would have anything to tell.
    #[must_use]
    pub fn has_ready_queues(&self) -> bool {
        self.shared.queues.is_ready(self.vm.state().role)
    }
}
