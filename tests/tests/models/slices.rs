//! Inference in slices of the batch.

use crate::nets::slices::sliced;
use ksdsl_runtime::cpu::{Level, with_threads, with_unit_bytes};
use ksdsl_runtime::network::Infer;
use ksdsl_runtime::pass::Pass;
use ksdsl_runtime::prelude::*;
use std::num::NonZeroUsize;

/// So many that slices of several units, and a unit that is not full, occur.
const BATCH: usize = 15;
type Images<B> = Tensor<(B, Const<3>, Const<18>, Const<14>), f32, Cpu>;

fn model_and_images() -> (sliced::Model<f32, Cpu>, Images<usize>) {
    let device = Cpu::seed_from_u64(7);
    let mut model = device.build_module::<sliced::Builder, f32>();
    let x: Images<usize> = device.sample_normal_like(&(BATCH, Const, Const, Const));
    // So that running statistics are not those of a new model.
    drop(model.forward_mut(x.clone().leaky_trace()));
    (model, x)
}

/// Runs `f` where a unit is this many images of the network.
fn with_unit<R>(images: usize, f: impl FnOnce() -> R) -> R {
    let image = <sliced::Builder as Network>::LARGEST_ACTIVATION * size_of::<f32>();
    with_unit_bytes(images * image, f)
}

#[test]
fn the_largest_activation_is_known() {
    assert_eq!(<sliced::Builder as Network>::LARGEST_ACTIVATION, 256 * 18 * 14);
}

/// The same values as all at once, and the same bits whatever the number of threads is, from which the
/// length of a slice follows.
#[test]
fn slices_compute_what_the_batch_does() {
    let (model, x) = model_and_images();
    for level in Level::available() {
        level.with(|| {
            let whole = with_unit_bytes(usize::MAX, || model.forward(x.clone())).as_vec();
            let largest = whole.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            for unit in [1, 2, 4, BATCH - 1] {
                let run = |threads: usize| {
                    let threads = NonZeroUsize::new(threads).unwrap();
                    with_threads(threads, || with_unit(unit, || model.forward(x.clone()))).as_vec()
                };
                let one = run(1);
                assert_eq!(one.len(), whole.len());
                for (one, whole) in one.iter().zip(&whole) {
                    let error = (one - whole).abs();
                    assert!(error <= 1e-5 * largest, "{level:?}, units of {unit}: {one} and {whole}");
                }
                for threads in [2, 3, 4, 16] {
                    assert_eq!(run(threads), one, "{level:?}, units of {unit}, {threads} threads");
                }
            }
        });
    }
}

/// As prepared, at every call, and with a batch size that is a type.
#[test]
fn slices_of_prepared_models_are_the_same() {
    let (model, x) = model_and_images();
    let (device, prepared) = (Cpu::default(), Prepared::new(&model));
    with_unit(2, || {
        let want = model.forward(x.clone()).as_vec();
        let fixed: Images<Const<BATCH>> = x.clone().realize();
        for _ in 0..2 {
            assert_eq!(prepared.forward(&device, x.clone()).as_vec(), want);
            assert_eq!(prepared.forward(&device, fixed.clone()).as_vec(), want);
        }
    });
}

/// A training pass normalises by the whole batch, also without a tape.
#[test]
fn training_passes_take_the_whole_batch() {
    let (model, x) = model_and_images();
    let device = Cpu::default();
    let run = || model.infer(&mut Pass::training(&device), x.clone()).unwrap().as_vec();
    let whole = run();
    assert_ne!(whole, model.forward(x.clone()).as_vec());
    assert_eq!(with_unit(2, run), whole);
}
