//! Time on the clock and of the processor.

use std::time::Instant;

/// A moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Instant,
    processor: Option<f64>,
}

impl Clock {
    /// The current moment.
    pub(crate) fn now() -> Self {
        Self {
            wall: Instant::now(),
            processor: processor(),
        }
    }

    /// The seconds since.
    pub(crate) fn seconds(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    /// The seconds since that processors have worked for this process, in user and system mode, all threads together; none
    /// where the system has no clock of it.
    pub(crate) fn processor_seconds(&self) -> Option<f64> {
        Some(processor()? - self.processor?)
    }
}

#[cfg(unix)]
fn processor() -> Option<f64> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Some(time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64)
}

#[cfg(not(unix))]
fn processor() -> Option<f64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::Clock;

    /// Both clocks go forwards while threads work.
    #[test]
    fn the_time_of_all_threads_counts() {
        let start = Clock::now();
        let spin = || {
            let own = Clock::now();
            while own.processor_seconds().unwrap() < 0.02 {}
        };
        for thread in [(); 2].map(|()| std::thread::spawn(spin)) {
            thread.join().unwrap();
        }
        let (processor, seconds) = (start.processor_seconds().unwrap(), start.seconds());
        assert!(processor >= 0.02 && seconds > 0.0, "{processor} in {seconds}");
        // Other tests work in this process meanwhile; a wrong unit would be a thousand times as much.
        assert!(processor <= 300.0 * (seconds + 0.01), "{processor} in {seconds}");
    }
}
