//! The arena behind CPU buffers, and its statistics, which are the process's: one test at a time.

use ksdsl_cpu::meter::Meter;
use ksdsl_cpu::{CpuBuf, CpuExec, Level, memory, with_threads};
use ksdsl_engine::Exec;
use ksdsl_engine::size::AttentionSize;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether each buffer is an allocation of its own (for sanitizers and Miri).
const EXACT: bool = cfg!(any(miri, ksdsl_exact_buffers));

fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn statistics_are_exact() {
    let _turn = alone();
    assert_eq!(memory::in_use(), 0);
    memory::reset_peak();
    let small = CpuBuf::<f32>::zeros(1000);
    let large = CpuBuf::<f64>::zeros(100_000);
    let both = memory::footprint(4000) + memory::footprint(800_000);
    assert_eq!((memory::in_use(), memory::peak()), (both, both));
    drop(large);
    let copy = small.clone();
    assert_eq!((memory::in_use(), memory::peak()), (2 * memory::footprint(4000), both));
    memory::reset_peak();
    assert_eq!(memory::peak(), 2 * memory::footprint(4000));
    drop((small, copy));
    assert_eq!(memory::in_use(), 0);
    // A vector is not the arena's, and neither is nothing.
    let (vector, nothing) = (CpuBuf::from_vec(vec![0.5_f32; 10_000]), CpuBuf::<f32>::zeros(0));
    assert_eq!((memory::in_use(), vector.len(), nothing.len()), (0, 10_000, 0));
}

#[test]
fn footprints_are_whole_lines_and_little_more() {
    if EXACT {
        return;
    }
    for bytes in [0, 1, 63, 64, 65, 4096, 5000, 131_000] {
        assert_eq!(memory::footprint(bytes), bytes.div_ceil(64) * 64);
    }
    for bytes in [131_072, 1 << 20, (1 << 20) + 1600, (1 << 20) + 1601, 300_000_001] {
        let footprint = memory::footprint(bytes);
        assert_eq!(footprint % 4096, 1600);
        assert!((bytes..bytes + 4096).contains(&footprint), "{bytes}: {footprint}");
    }
}

#[test]
fn one_size_serves_another_and_release_gives_idle_chunks_back() {
    let _turn = alone();
    memory::release();
    assert_eq!(memory::reserved(), 0);
    let large = CpuBuf::<f32>::zeros(12 << 20);
    let reserved = memory::reserved();
    assert!(EXACT || reserved >= 64 << 20);
    assert_eq!(memory::release(), 0, "the chunk is in use");
    drop(large);
    drop([3 << 20; 2].map(CpuBuf::<f64>::zeros));
    drop([3 << 20; 4].map(CpuBuf::<f32>::zeros));
    assert_eq!(memory::reserved(), reserved, "the same chunk serves all");
    assert_eq!(memory::release(), reserved);
    assert_eq!(memory::reserved(), 0);
}

#[test]
fn buffers_start_at_lines_and_neighbours_at_other_offsets_of_their_pages() {
    let _turn = alone();
    for len in [1, 3, 16, 1000, 1025, 5000, 32_768, 1 << 18] {
        let buffers: Vec<_> = (0..5).map(|_| CpuBuf::<f32>::zeros(len)).collect();
        let mut offsets: Vec<_> = buffers.iter().map(|buf| buf.as_ptr().addr() % 4096).collect();
        assert!(offsets.iter().all(|offset| offset % 64 == 0), "{offsets:?}");
        if len >= 32_768 && !EXACT {
            offsets.sort_unstable();
            let close = offsets.windows(2).any(|pair| pair[1] - pair[0] < 11 * 64);
            assert!(!close, "{offsets:?}");
        }
    }
}

#[test]
fn zeros_are_zeros_in_memory_that_was_used_before() {
    let _turn = alone();
    for len in [10, 1000, 1025, 5000, 200_000] {
        CpuBuf::<f32>::zeros(len).fill(f32::NAN);
        CpuBuf::<f64>::zeros(len).fill(-1.0);
        assert!(CpuBuf::<f32>::zeros(len).iter().all(|value| value.to_bits() == 0));
        assert!(CpuBuf::<f64>::zeros(len).iter().all(|value| value.to_bits() == 0));
    }
}

#[test]
fn vectors_come_back_as_they_were() {
    let _turn = alone();
    let values: Vec<_> = (0..5000).map(f64::from).collect();
    let start = values.as_ptr();
    let buf = CpuBuf::from_vec(values.clone());
    assert_eq!(buf.clone().into_vec(), values);
    let moved = CpuBuf::from_vec(values).into_vec();
    assert_eq!(moved.as_ptr(), start, "moved, not copied");
}

#[test]
fn buffers_of_many_threads_never_overlap() {
    let _turn = alone();
    let rounds = if cfg!(miri) { 3 } else { 300 };
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            scope.spawn(move || {
                let mut held: Vec<CpuBuf<f32>> = Vec::new();
                for round in 0..rounds {
                    let mark = |index: usize| (1000 * thread + index) as f32;
                    let mut buf = CpuBuf::zeros([7, 900, 1100, 9000, 40_000][(thread + round) % 5]);
                    assert!(buf.iter().all(|&value| value == 0.0));
                    buf.fill(mark(round));
                    held.push(buf);
                    if held.len() == 4 {
                        // The oldest first, so that holes of all sizes arise.
                        let oldest = held.remove(0);
                        assert!(oldest.iter().all(|&value| value == mark(round - 3)));
                    }
                }
            });
        }
    });
    assert_eq!(memory::in_use(), 0);
}

/// What attention takes is what the meter says, with all of its scratch.
#[test]
fn the_meter_counts_attention() {
    // The meter counts for AVX-512 and for buffers of an arena.
    if EXACT || !Level::available().contains(&Level::Avx512) {
        return;
    }
    let _turn = alone();
    let full = AttentionSize::full;
    let causal = |size| AttentionSize { causal: true, ..size };
    let sizes = [
        full(2, 50, 48, 3),
        causal(full(1, 300, 64, 2)),
        AttentionSize {
            keys: 300,
            ..full(2, 7, 64, 4)
        },
        AttentionSize {
            key_heads: 1,
            ..causal(full(2, 200, 96, 3))
        },
    ];
    for size in sizes {
        let [q, dy] = [(); 2].map(|()| CpuBuf::<f32>::zeros(size.len()));
        let [k, v] = [(); 2].map(|()| CpuBuf::<f32>::zeros(size.key_len()));
        let measured = |run: &dyn Fn()| {
            let before = memory::in_use();
            memory::reset_peak();
            with_threads(NonZeroUsize::MIN, run);
            (memory::peak() - before) as u128
        };
        let meter = Meter::new(1);
        let [mq, mk] = [size.len(), size.key_len()].map(|len| meter.outside(len));
        let Ok(y) = meter.attention_forward(size, &mq, &mk, &mk);
        drop(y);
        let forward = || drop(Exec::<f32>::attention_forward(&CpuExec, size, &q, &k, &v).unwrap());
        assert_eq!(measured(&forward), meter.peak(), "forward {size:?}");
        meter.reset_peak();
        let Ok(gradients) = meter.attention_backward(size, &mq, &mk, &mk, &mq);
        drop(gradients);
        let backward = || drop(Exec::<f32>::attention_backward(&CpuExec, size, &q, &k, &v, &dy).unwrap());
        assert_eq!(measured(&backward), meter.peak(), "backward {size:?}");
    }
}
