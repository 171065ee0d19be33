//! Interruption of runs: on a signal or a request, a run writes a checkpoint after the current step and stops or
//! continues.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A shared handle that requests a run to stop or to write a checkpoint after the current step.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Requests>);

#[derive(Debug, Default)]
struct Requests {
    stop: AtomicBool,
    checkpoint: AtomicBool,
    /// The first signal that requested a stop; 0 for none.
    signal: AtomicU8,
    interrupted: AtomicBool,
    terminated: AtomicBool,
}

/// What SIGUSR1 requests; batch systems such as Slurm send it before a job's time limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warning {
    /// Write a checkpoint and continue.
    #[default]
    Checkpoint,
    /// Write a checkpoint and stop.
    Stop,
}

impl Stop {
    /// A handle without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the run to stop; can be called from any thread.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Requests a checkpoint after the current step; can be called from any thread.
    pub fn checkpoint(&self) {
        self.0.checkpoint.store(true, Ordering::Relaxed);
    }

    /// Whether a checkpoint was requested since the last call.
    pub(crate) fn take_checkpoint(&self) -> bool {
        self.0.checkpoint.swap(false, Ordering::Relaxed)
    }

    /// The conventional exit code after a signal: 128 plus the signal number, so 130 for Ctrl-C and 143 for SIGTERM.
    /// `None` if no signal requested the stop.
    pub fn exit_code(&self) -> Option<u8> {
        match self.0.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(128 + signal),
        }
    }

    /// Installs signal handlers: Ctrl-C, SIGTERM and SIGHUP request a stop; a second Ctrl-C or SIGTERM exits at once.
    /// SIGUSR1 requests what `warning` says.
    ///
    /// Signals that were ignored when the program started, for example under `nohup`, stay ignored (on Linux only).
    ///
    /// # Errors
    /// If signal handlers cannot be installed.
    pub fn on_signals(warning: Warning) -> io::Result<Self> {
        let stop = Self::new();
        system::listen(stop.clone(), warning)?;
        Ok(stop)
    }

    /// Handles a signal that requests a stop; a second one exits the program if `again` is given.
    fn handle(&self, signal: u8, again: Option<&AtomicBool>) {
        // The exit code is that of the first signal.
        let _ = self
            .0
            .signal
            .compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
        if again.is_some_and(|again| again.swap(true, Ordering::Relaxed)) {
            process::exit(128 + i32::from(signal));
        }
        self.stop();
    }
}

#[cfg(unix)]
mod system {
    use super::{Stop, Warning};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::iterator::Signals;
    use std::fs;
    use std::io;
    use std::thread;

    pub(super) fn listen(stop: Stop, warning: Warning) -> io::Result<()> {
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP, SIGUSR1].into_iter();
        let mut signals = Signals::new(wanted.filter(|signal| ignored >> (signal - 1) & 1 == 0))?;
        let listener = move || signals.forever().for_each(|signal| handle(&stop, signal, warning));
        thread::Builder::new().name("signals".to_owned()).spawn(listener)?;
        Ok(())
    }

    fn handle(stop: &Stop, signal: i32, warning: Warning) {
        let again = match signal {
            SIGUSR1 if warning == Warning::Checkpoint => return stop.checkpoint(),
            SIGINT => Some(&stop.0.interrupted),
            SIGTERM => Some(&stop.0.terminated),
            _ => None,
        };
        stop.handle(signal as u8, again);
    }

    /// The ignored signals as a bit mask (lowest bit: signal 1); 0 if unknown.
    fn ignored() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0)
    }
}

#[cfg(not(unix))]
mod system {
    use super::{Stop, Warning};
    use std::io;

    /// The signal number of Ctrl-C on Unix.
    const SIGINT: u8 = 2;

    pub(super) fn listen(stop: Stop, _: Warning) -> io::Result<()> {
        ctrlc::set_handler(move || stop.handle(SIGINT, Some(&stop.0.interrupted))).map_err(io::Error::other)
    }
}
