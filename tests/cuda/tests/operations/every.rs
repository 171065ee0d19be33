//! Every operation of a exec, on the same inputs as the CPU's in `f64`.

use crate::run::{Run, outcome};
use crate::support::{Outcome, assert_agree, down, gpu, up};
use ksdsl_cpu::CpuExec;
use ksdsl_cuda::Error;
use ksdsl_cuda_tests::{EMULATED, Order, counts, set_order};
use ksdsl_engine::Real;
use ksdsl_engine::exec::{ConvTail, Exec};
use ksdsl_engine::size::{Algorithm, ConvSize, MapSize, RowSize, Window};
use ksdsl_engine::update::Updates;
use ksdsl_oracle::outputs_along;
use ksdsl_runtime::cuda::{self, Precision};

#[test]
fn operations_agree_in_f32() {
    let gpu = gpu(0);
    let want = outcome::<f64, _>(&CpuExec, 1, |run| run.all(60));
    let got = outcome::<f32, _>(&gpu.exec, 1, |run| run.all(60));
    let worst = assert_agree(&got, &want, 1e-30, 1e-4);
    println!("f32: {} value sets, greatest relative error {worst:.1e}", got.len());
}

#[test]
fn operations_agree_in_f64() {
    let gpu = gpu(0);
    let want = outcome::<f64, _>(&CpuExec, 2, |run| run.all(60));
    let got = outcome::<f64, _>(&gpu.exec, 2, |run| run.all(60));
    let worst = assert_agree(&got, &want, 1e-30, 1e-11);
    println!("f64: {} value sets, greatest relative error {worst:.1e}", got.len());
}

/// Maps large enough for several blocks, parts and runs of images.
fn large<E: Real, X: Updates<E>>(run: &mut Run<'_, E, X>) {
    for (groups, kernel, stride) in [
        (1, 3, 1),
        (1, 3, 2),
        (2, 3, 1),
        (24, 5, 1),
        (24, 9, 1),
        (1, 1, 1),
        (24, 4, 1),
    ] {
        let input = MapSize {
            batch: 5,
            height: 30,
            width: 27,
            channels: 24,
        };
        let window = Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [kernel / 2; 2],
            dilation: [1; 2],
        };
        let output = MapSize {
            height: outputs_along(&window, 0, 30).unwrap(),
            width: outputs_along(&window, 1, 27).unwrap(),
            ..input
        };
        run.conv(ConvSize {
            input,
            output,
            window,
            groups,
            algorithm: Algorithm::Auto,
            unit: None,
        });
    }
}

#[test]
fn large_convolutions_agree() {
    let gpu = gpu(0);
    let want = outcome::<f64, _>(&CpuExec, 3, large);
    let got = outcome::<f32, _>(&gpu.exec, 3, large);
    assert_agree(&got, &want, 1e-30, 1e-4);
}

/// The unrolled rows of one image are more than are unrolled at once: 9 * 64 * 150 * 150 * 4 bytes
/// are 52 MB, so that each image is a run of its own.
#[test]
fn convolutions_in_several_runs_agree() {
    fn work<E: Real, X: Updates<E>>(run: &mut Run<'_, E, X>) {
        let input = MapSize {
            batch: 2,
            height: 150,
            width: 150,
            channels: 64,
        };
        let window = Window {
            kernel: [3; 2],
            stride: [1; 2],
            pad: [1; 2],
            dilation: [1; 2],
        };
        let output = MapSize { channels: 3, ..input };
        run.conv(ConvSize {
            input,
            output,
            window,
            groups: 1,
            algorithm: Algorithm::Auto,
            unit: None,
        });
    }
    let gpu = gpu(0);
    let want = outcome::<f64, _>(&CpuExec, 4, work);
    let got = outcome::<f32, _>(&gpu.exec, 4, work);
    assert_agree(&got, &want, 1e-30, 1e-4);
}

/// Bits do not depend on the order in which blocks and threads run, nor on the run.
#[test]
fn bits_do_not_depend_on_the_order() {
    let gpu = gpu(0);
    let mut seen: Option<Outcome> = None;
    for order in [Order::Forward, Order::Reverse, Order::Mixed] {
        set_order(order);
        let got = outcome::<f32, _>(&gpu.exec, 5, |run| run.all(20));
        set_order(Order::Forward);
        match &seen {
            None => seen = Some(got),
            Some(seen) => {
                for ((name, a), (_, b)) in seen.iter().zip(&got) {
                    let equal = a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(equal, "{name}: {order:?} gives other bits");
                }
            }
        }
    }
}

/// TF32 has 11 bits and bfloat16 8: errors of products are some units of their last places, and only
/// of products.
#[test]
fn precision_is_as_asked_for() {
    fn work<E: Real, X: Updates<E>>(run: &mut Run<'_, E, X>) {
        let input = MapSize {
            batch: 2,
            height: 9,
            width: 9,
            channels: 32,
        };
        let window = Window {
            kernel: [3; 2],
            stride: [1; 2],
            pad: [1; 2],
            dilation: [1; 2],
        };
        run.conv(ConvSize {
            input,
            output: input,
            window,
            groups: 1,
            algorithm: Algorithm::Auto,
            unit: None,
        });
    }
    let gpu = gpu(0);
    assert_eq!(cuda::precision(&gpu.device).unwrap(), Precision::Full);
    let want = outcome::<f64, _>(&CpuExec, 6, work);
    for (precision, low, high) in [
        (Precision::Full, 0.0, 1e-5),
        (Precision::Tf32, 1e-5, 4e-3),
        (Precision::Bf16, 2e-4, 3e-2),
    ] {
        cuda::set_precision(&gpu.device, precision).unwrap();
        let got = outcome::<f32, _>(&gpu.exec, 6, work);
        cuda::set_precision(&gpu.device, Precision::Full).unwrap();
        let worst = assert_agree(&got, &want, 1e-30, high);
        println!("{precision:?}: {worst:.1e}");
        // GPUs before compute capability 8.0 have no such units.
        assert!(
            !EMULATED || worst >= low,
            "{precision:?} is more exact than it should be: {worst:e}"
        );
    }
}

/// More blocks of channels than a grid counts along y, as for the gradient of a large position embedding.
#[test]
fn sums_of_very_many_channels_agree() {
    let gpu = gpu(0);
    let exec = &gpu.exec;
    let size = RowSize {
        rows: 2,
        channels: 2_100_001,
    };
    let values: Vec<f64> = (0..2 * size.channels).map(|i| (i % 7) as f64).collect();
    let dy = up::<f32, _>(exec, &values);
    let mut sums = up::<f32, _>(exec, &vec![0.5; size.channels]);
    Exec::<f32>::bias_backward(exec, size, &dy, &mut sums).unwrap();
    let got = down::<f32, _>(exec, sums, size.channels);
    let wrong = (0..size.channels).find(|&c| got[c] != 0.5 + values[c] + values[size.channels + c]);
    assert_eq!(wrong, None);
}

/// A kernel is packed for its first visit and not for the second; gradients of visits add up in one
/// buffer, without memory of their own.
#[test]
fn a_visit_more_copies_nothing() {
    let gpu = gpu(0);
    let exec = &gpu.exec;
    let map = MapSize {
        batch: 2,
        height: 6,
        width: 6,
        channels: 4,
    };
    let window = Window {
        kernel: [3; 2],
        stride: [1; 2],
        pad: [1; 2],
        dilation: [1; 2],
    };
    let size = ConvSize {
        input: map,
        output: map,
        window,
        groups: 1,
        algorithm: Algorithm::Auto,
        unit: None,
    };
    let x = up::<f32, _>(exec, &vec![0.5; map.len()]);
    let kernel = Exec::<f32>::kernel(exec, up::<f32, _>(exec, &vec![0.25; 144]));
    let mut gradient = Exec::<f32>::gradient(exec, 144).unwrap();
    let mut visit = || {
        let before = counts();
        let y = Exec::<f32>::conv_forward(exec, size, &x, &kernel, None, ConvTail::default()).unwrap();
        Exec::<f32>::conv_backward_weight(exec, size, &x, &y, &mut gradient).unwrap();
        drop(y);
        let (before, after) = (before?, counts()?);
        Some((
            after.launches - before.launches,
            after.products - before.products,
            after.bytes - before.bytes,
        ))
    };
    // The first packs the kernel and makes the gradient's buffer, 144 values each. A visit is three kernels: the
    // product, the parts of the gradient, and their sum.
    let first = visit();
    assert!(first.is_none_or(|counted| counted == (4, 0, 2 * 144 * 4)), "{first:?}");
    for _ in 0..2 {
        let more = visit();
        assert!(more.is_none_or(|counted| counted == (3, 0, 0)), "{more:?}");
    }
}

/// An id that names no row is an error, and nothing is added.
#[test]
fn wrong_ids_are_errors() {
    let gpu = gpu(0);
    let size = RowSize { rows: 4, channels: 2 };
    let table = up::<f32, _>(&gpu.exec, &[1.0; 8]);
    for id in [4.0, -1.0, 0.5, f64::NAN] {
        let ids = up::<f32, _>(&gpu.exec, &[3.0, id]);
        let wrong = |error: Error| matches!(error, Error::WrongId(wrong) if wrong.position == 1 && wrong.rows == 4);
        let failed = Exec::<f32>::gather_rows(&gpu.exec, size, &table, &ids).unwrap_err();
        assert!(wrong(failed), "{id}");
        let (dy, mut sums) = (up::<f32, _>(&gpu.exec, &[1.0; 4]), table.clone());
        let failed = Exec::<f32>::scatter_add_rows(&gpu.exec, size, &dy, &ids, &mut sums).unwrap_err();
        assert!(wrong(failed), "{id}");
        assert_eq!(down::<f32, _>(&gpu.exec, sums, 8), [1.0; 8]);
    }
}
