//! What happens to a run when the command is told to end: no proxy outlives it.

use std::sync::{Arc, OnceLock};

use host_harness::serve::Signals;
use host_harness::suite::Interrupt;

/// Stops a run at an interrupt or when asked to terminate; a second signal ends the command at once. Which signal it was is in the
/// answer.
pub(super) fn stop(interrupt: &Interrupt) -> anyhow::Result<Arc<OnceLock<u8>>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen()?
    };
    let signalled = Arc::new(OnceLock::new());
    let (first, interrupt) = (Arc::clone(&signalled), interrupt.clone());
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                let number = signals.next().await.number();
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
