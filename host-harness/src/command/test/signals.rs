//! What happens to a run when the command is told to end: no proxy outlives it.

use std::sync::{Arc, OnceLock};

use host_harness::suite::Interrupt;
use tokio::signal::unix::{SignalKind, signal};

/// Stops a run at an interrupt or when asked to terminate; a second signal ends the command at once. Which signal it was is in the
/// answer.
pub(super) fn stop(interrupt: &Interrupt) -> anyhow::Result<Arc<OnceLock<u8>>> {
    const INTERRUPT: u8 = 2;
    const TERMINATE: u8 = 15;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // From here on signals do not end this process by themselves.
    let (mut interrupted, mut terminated) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let signalled = Arc::new(OnceLock::new());
    let (first, interrupt) = (Arc::clone(&signalled), interrupt.clone());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                let number = tokio::select! {
                    _ = interrupted.recv() => INTERRUPT,
                    _ = terminated.recv() => TERMINATE,
                };
                let is_first = first.set(number).is_ok();
                interrupt.stop();
                if !is_first {
                    std::process::exit(super::status(number).into());
                }
            }
        });
    })?;
    Ok(signalled)
}
