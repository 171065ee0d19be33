//! Signals and wishes: a run stops after its step with a checkpoint, or writes one and goes on.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// A wish that a run should stop after its step, or write a checkpoint, shared with whoever may utter it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Wishes>);

#[derive(Debug, Default)]
struct Wishes {
    stop: AtomicBool,
    checkpoint: AtomicBool,
    /// The first signal that wished a stop; 0 for none.
    signal: AtomicU8,
    interrupted: AtomicBool,
    terminated: AtomicBool,
}

/// What SIGUSR1 asks for, which batch systems such as Slurm send before a job's time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warning {
    /// A checkpoint after the step; the run goes on.
    #[default]
    Checkpoint,
    /// A checkpoint after the step, and the run stops.
    Stop,
}

impl Stop {
    /// Nobody wishes anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wishes that the run stops, from any thread.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }

    /// Whether somebody wished that the run stops.
    pub fn is_wished(&self) -> bool {
        self.0.stop.load(Ordering::Relaxed)
    }

    /// Wishes a checkpoint after the step, from any thread; the run goes on.
    pub fn checkpoint(&self) {
        self.0.checkpoint.store(true, Ordering::Relaxed);
    }

    /// Whether somebody wished a checkpoint since the last call.
    pub(crate) fn take_checkpoint(&self) -> bool {
        self.0.checkpoint.swap(false, Ordering::Relaxed)
    }

    /// What a program that was stopped by a signal should exit with, as shells have it: 128 and the signal's number,
    /// 130 for Ctrl-C and 143 for SIGTERM. `None` if no signal was the reason.
    pub fn exit_code(&self) -> Option<u8> {
        match self.0.signal.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(128 + signal),
        }
    }

    /// From now on Ctrl-C, SIGTERM and the hangup of a terminal (SIGHUP) wish that the run stops; a second Ctrl-C or
    /// SIGTERM ends the program at once. SIGUSR1 wishes what `warning` says.
    ///
    /// A signal that the program was started to ignore, as by `nohup` or in the background of a script, stays
    /// ignored (on Linux; elsewhere a program cannot tell).
    ///
    /// # Errors
    /// If signals cannot be listened to.
    pub fn on_signals(warning: Warning) -> io::Result<Self> {
        let stop = Self::new();
        system::listen(stop.clone(), warning)?;
        Ok(stop)
    }

    /// A signal that wishes a stop; `again` says whether it came before, where that ends the program.
    fn hear(&self, signal: u8, again: Option<&AtomicBool>) {
        // Only the first one is what the program exits with.
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
        let listener = move || signals.forever().for_each(|signal| hear(&stop, signal, warning));
        thread::Builder::new().name("signals".to_owned()).spawn(listener)?;
        Ok(())
    }

    fn hear(stop: &Stop, signal: i32, warning: Warning) {
        let again = match signal {
            SIGUSR1 if warning == Warning::Checkpoint => return stop.checkpoint(),
            SIGINT => Some(&stop.0.interrupted),
            SIGTERM => Some(&stop.0.terminated),
            _ => None,
        };
        stop.hear(signal as u8, again);
    }

    /// The signals that the process ignores, the lowest bit for signal 1; none where the system does not say.
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

    /// What Ctrl-C is where there are signals.
    const SIGINT: u8 = 2;

    pub(super) fn listen(stop: Stop, _: Warning) -> io::Result<()> {
        ctrlc::set_handler(move || stop.hear(SIGINT, Some(&stop.0.interrupted))).map_err(io::Error::other)
    }
}
