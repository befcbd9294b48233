//! Shared queues: any VM of the host puts items in, and the VM that registered the queue hears of each.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::Role;
use crate::abi::Status;

/// The most that all items and names may take; Envoy has no bound.
const MAX_BYTES: usize = 256 << 20;
/// What an item takes besides its bytes.
const ITEM: usize = 64;
/// The most queues, and the most notices that wait for one VM.
const MAX_COUNT: usize = 1 << 16;

/// All queues of a host.
#[derive(Debug, Default)]
pub(crate) struct SharedQueues(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// By `vm_id` and name.
    ids: HashMap<(String, Vec<u8>), u32>,
    /// By number, from 1 on.
    queues: Vec<Queue>,
    bytes: usize,
    /// Per VM, in order, which root context is to hear of which queue.
    ready: HashMap<Role, Ready>,
}

#[derive(Debug)]
struct Queue {
    items: VecDeque<Vec<u8>>,
    /// The VM and root context that registered it last.
    owner: (Role, u32),
}

#[derive(Debug, Default)]
struct Ready {
    notices: VecDeque<(u32, u32)>,
    signal: Arc<Notify>,
}

impl SharedQueues {
    /// The number of a queue, made if there is none of this name. Whoever registers last hears of its items.
    pub(crate) fn register(&self, vm_id: &str, name: &[u8], owner: (Role, u32)) -> Result<u32, Status> {
        let mut inner = self.lock();
        let Inner { ids, queues, bytes, .. } = &mut *inner;
        let key = (vm_id.to_owned(), name.to_vec());
        if let Some(id) = ids.get(&key) {
            if let Some(queue) = queue(queues, *id) {
                queue.owner = owner;
            }
            return Ok(*id);
        }
        if queues.len() >= MAX_COUNT || *bytes + name.len() > MAX_BYTES {
            return Err(Status::InternalFailure);
        }
        *bytes += name.len();
        queues.push(Queue { items: VecDeque::new(), owner });
        let id = u32::try_from(queues.len()).map_err(|_| Status::InternalFailure)?;
        ids.insert(key, id);
        Ok(id)
    }

    /// The number of a queue of any `vm_id`.
    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Result<u32, Status> {
        self.lock().ids.get(&(vm_id.to_owned(), name.to_vec())).copied().ok_or(Status::NotFound)
    }

    /// Puts an item in; its owner hears of it later, on its own thread.
    pub(crate) fn enqueue(&self, id: u32, item: &[u8]) -> Result<(), Status> {
        let mut inner = self.lock();
        let Inner { queues, bytes, ready, .. } = &mut *inner;
        let queue = queue(queues, id).ok_or(Status::NotFound)?;
        let (role, root) = queue.owner;
        let ready = ready.entry(role).or_default();
        if *bytes + item.len() + ITEM > MAX_BYTES || ready.notices.len() >= MAX_COUNT {
            return Err(Status::InternalFailure);
        }
        *bytes += item.len() + ITEM;
        queue.items.push_back(item.to_vec());
        // A throw-away VM hears of nothing.
        if role != Role::Canary {
            ready.notices.push_back((root, id));
            ready.signal.notify_one();
        }
        Ok(())
    }

    /// Takes the oldest item out.
    pub(crate) fn dequeue(&self, id: u32) -> Result<Vec<u8>, Status> {
        let mut inner = self.lock();
        let Inner { queues, bytes, .. } = &mut *inner;
        let item = queue(queues, id).ok_or(Status::NotFound)?.items.pop_front().ok_or(Status::Empty)?;
        *bytes -= item.len() + ITEM;
        Ok(item)
    }

    /// What a VM has to be told: root contexts and queues.
    pub(crate) fn take_ready(&self, role: Role) -> VecDeque<(u32, u32)> {
        self.lock().ready.get_mut(&role).map(|ready| std::mem::take(&mut ready.notices)).unwrap_or_default()
    }

    /// Whether a VM has to be told anything.
    pub(crate) fn is_ready(&self, role: Role) -> bool {
        self.lock().ready.get(&role).is_some_and(|ready| !ready.notices.is_empty())
    }

    /// Wakes the thread of a VM: there is something to tell it, or its ticks have changed.
    pub(crate) fn signal(&self, role: Role) -> Arc<Notify> {
        Arc::clone(&self.lock().ready.entry(role).or_default().signal)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn queue(queues: &mut [Queue], id: u32) -> Option<&mut Queue> {
    queues.get_mut((id as usize).checked_sub(1)?)
}
