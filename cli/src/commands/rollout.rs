//! `edge-observer rollout`.

use crate::arguments::rollout::Rollout;

pub(super) fn run(command: Rollout) -> anyhow::Result<u8> {
    let _ = command;
    Ok(0)
}
