use super::Ahead;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Waits until it is so, for a few seconds at most.
fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > Duration::from_secs(20) {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn things_come_in_order_whatever_the_number_of_threads() {
    for workers in [0, 1, 2, 5] {
        // Those of even positions take longer, so that they are ready out of order.
        let make = |position: u64| {
            if position.is_multiple_of(2) {
                thread::sleep(Duration::from_millis(1));
            }
            position * position
        };
        let ahead = Ahead::new(Box::new(make), 3, workers, 4);
        for position in 3..40 {
            assert_eq!(ahead.take(position), Ok(position * position));
        }
    }
}

#[test]
fn positions_may_be_changed() {
    let ahead = Ahead::new(Box::new(|position| position), 0, 3, 5);
    for position in [0, 1, 2, 100, 101, 7, 8, 9, 9, 0] {
        assert_eq!(ahead.take(position), Ok(position));
    }
}

#[test]
fn no_more_is_made_than_there_is_room_for() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let make = move |_| counted.fetch_add(1, Ordering::SeqCst);
    let ahead = Ahead::new(Box::new(make), 0, 3, 4);
    assert!(eventually(|| ahead.ready() == 4));
    // Nothing more comes, given the time for it.
    thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), 4);
    assert!(ahead.take(0).is_ok());
    assert!(eventually(|| made.load(Ordering::SeqCst) == 5));
}

/// A panic is an error of its position alone.
#[test]
fn panics_become_errors() {
    for workers in [0, 2] {
        let make = |position: u64| {
            assert!(position != 2, "position {position} is bad");
            position
        };
        let ahead = Ahead::new(Box::new(make), 0, workers, 3);
        let outcomes: Vec<_> = (0..4).map(|position| ahead.take(position)).collect();
        assert_eq!(outcomes, [Ok(0), Ok(1), Err("position 2 is bad".to_owned()), Ok(3)]);
    }
}

#[test]
fn threads_end_with_it() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let ahead = Ahead::new(Box::new(move |_| Arc::strong_count(&held)), 0, 2, 2);
    assert!(ahead.take(0).is_ok());
    drop(ahead);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Threads started from one that is tied to a CPU are not tied to it.
#[cfg(target_os = "linux")]
#[test]
fn threads_are_not_tied_to_the_cpu_of_their_parent() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
    let all = sched_getaffinity(None).unwrap();
    let counts = thread::spawn(move || {
        let mut one = CpuSet::new();
        one.set(sched_getcpu());
        sched_setaffinity(None, &one).unwrap();
        let make = |_| sched_getaffinity(None).unwrap().count();
        let ahead = Ahead::new(Box::new(make), 0, 1, 1);
        (sched_getaffinity(None).unwrap().count(), ahead.take(0).unwrap())
    });
    assert_eq!(counts.join().unwrap(), (1, all.count()));
}
