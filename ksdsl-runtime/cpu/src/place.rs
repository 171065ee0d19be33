//! Which CPU a thread runs on.
//!
//! Schedulers sometimes leave two busy threads on one core, which costs half the speed. So the
//! threads of a team that fills all cores are tied to one core each; those of a smaller team only
//! start apart and stay free to move, since another process may have chosen the same cores.

/// The number of cores the process may use; two hardware threads of one core count as one.
pub(super) fn cores() -> usize {
    imp::order().len().max(1)
}

/// Puts worker `index` (from 1) of a team of `threads` on a core of its own.
pub(super) fn worker(index: usize, threads: usize) {
    imp::put_worker(index, threads);
}

/// Moves the calling thread off the cores of the workers, if it is on one of them.
pub(super) fn apart_from_workers(threads: usize) {
    imp::put_caller(threads);
}

#[cfg(target_os = "linux")]
mod imp {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
    use std::sync::OnceLock;

    /// One CPU for each core that the process may use.
    pub(super) fn order() -> &'static [usize] {
        static ORDER: OnceLock<Vec<usize>> = OnceLock::new();
        ORDER.get_or_init(|| {
            let Ok(allowed) = sched_getaffinity(None) else {
                return Vec::new();
            };
            let allowed = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
            let mut seen = Vec::new();
            allowed
                .filter(|&cpu| {
                    let core = siblings(cpu);
                    let new = !seen.contains(&core);
                    seen.push(core);
                    new
                })
                .collect()
        })
    }

    /// The hardware threads of a CPU's core, as the kernel writes them, or the CPU alone.
    fn siblings(cpu: usize) -> String {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
        std::fs::read_to_string(path).unwrap_or_else(|_| cpu.to_string())
    }

    fn only(cpu: usize) -> CpuSet {
        let mut set = CpuSet::new();
        set.set(cpu);
        set
    }

    pub(super) fn put_worker(index: usize, threads: usize) {
        let order = order();
        let Some(&cpu) = order.get(index) else { return };
        let Ok(before) = sched_getaffinity(None) else { return };
        // A refusal leaves the thread where it is.
        let moved = sched_setaffinity(None, &only(cpu));
        if threads < order.len() && moved.is_ok() {
            let _ = sched_setaffinity(None, &before);
        }
    }

    pub(super) fn put_caller(threads: usize) {
        let order = order();
        let full = threads > 1 && threads == order.len();
        if full && order[1..].contains(&sched_getcpu()) {
            let Ok(before) = sched_getaffinity(None) else { return };
            if before.is_set(order[0]) && sched_setaffinity(None, &only(order[0])).is_ok() {
                let _ = sched_setaffinity(None, &before);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    /// Unknown: as many as the system says may run in parallel.
    pub(super) fn order() -> &'static [usize] {
        static ORDER: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
        ORDER.get_or_init(|| (0..std::thread::available_parallelism().map_or(1, usize::from)).collect())
    }

    pub(super) fn put_worker(_: usize, _: usize) {}

    pub(super) fn put_caller(_: usize) {}
}
