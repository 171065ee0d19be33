//! Loops on teams of threads.

use super::{Team, for_each, most_threads, threads_in};
use crate::{set_threads, threads, with_threads};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Every index once, whatever the number of threads, loop after loop.
#[test]
fn every_index_once() {
    for threads in [1, 2, 3, 7] {
        let team = Team::new(threads);
        for count in (0..200).chain([5_000]) {
            let hits: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            team.run(count, &|index| {
                hits[index].fetch_add(1, Ordering::Relaxed);
            });
            assert!(hits.iter().all(|hits| hits.load(Ordering::Relaxed) == 1));
        }
    }
}

/// More than are available: as many as there may be, and they do the work.
///
/// Elsewhere: <https://github.com/OpenMathLib/OpenBLAS/issues/1735>
#[test]
fn teams_have_an_end() {
    let most = most_threads();
    for asked in [40_000, 1_000_000, u32::MAX as usize, usize::MAX] {
        let asked = NonZeroUsize::new(asked).expect("not zero");
        let sum = AtomicUsize::new(0);
        let there = with_threads(asked, || {
            for_each(1_000, &|index| {
                sum.fetch_add(index, Ordering::Relaxed);
            });
            threads()
        });
        assert!(there <= most, "{there} threads");
        assert_eq!(sum.into_inner(), 499_500);
    }
    set_threads(NonZeroUsize::MAX);
    assert!(threads() <= most);
    set_threads(NonZeroUsize::new(2).expect("not zero"));
    assert_eq!(threads(), 2);
}

#[test]
fn numbers_of_threads_are_read() {
    assert_eq!(threads_in(""), Ok(None));
    assert_eq!(threads_in(" \n"), Ok(None));
    assert_eq!(threads_in(" 12 "), Ok(Some(12)));
    assert_eq!(threads_in("99999999999999999999999"), Ok(Some(usize::MAX)));
    for text in ["0", "-1", "1.5", "four", "4 threads", "\u{fffd}"] {
        let problem = threads_in(text).expect_err(text);
        assert!(problem.contains("KSDSL_THREADS") && problem.contains(text), "{problem}");
    }
}

#[test]
fn sleeping_workers_wake() {
    let team = Team::new(3);
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let sum = AtomicUsize::new(0);
        team.run(100, &|index| {
            sum.fetch_add(index, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 4_950);
    }
}

/// A panic reaches the caller, whichever thread it happened on, and the team lives on.
#[test]
fn panics_reach_the_caller() {
    let team = Team::new(3);
    for bad in [0, 17, 99] {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            team.run(100, &|index| assert_ne!(index, bad));
        }));
        assert!(result.is_err());
    }
    team.run(10, &|_| ());
}

#[test]
fn loops_in_loops_and_beside_loops() {
    let sum = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for_each(10, &|_| {
                    for_each(10, &|index| {
                        sum.fetch_add(index, Ordering::Relaxed);
                    });
                });
            });
        }
    });
    assert_eq!(sum.into_inner(), 4 * 10 * 45);
}
