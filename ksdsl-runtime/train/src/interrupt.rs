//! Ctrl-C: once, and a run stops after its step with a checkpoint; twice, and the program ends.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish that a run should stop after its step, shared with whoever may utter it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody wishes to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Utters the wish, from any thread.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was uttered.
    pub fn is_wished(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// From now on Ctrl-C, or a request to end, utters the wish; the second one ends the program at once
    /// with the code 130, as shells expect it.
    ///
    /// # Errors
    /// If the program handles Ctrl-C already.
    pub fn on_ctrl_c() -> io::Result<Self> {
        let stop = Self::new();
        let wish = stop.0.clone();
        let handler = move || {
            if wish.swap(true, Ordering::Relaxed) {
                process::exit(130);
            }
        };
        ctrlc::set_handler(handler).map_err(io::Error::other)?;
        Ok(stop)
    }
}
