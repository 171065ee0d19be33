//! Measuring what a pass of a generated model uses.

use ksdsl_runtime::cpu::memory;

/// Bytes of a pass: in inference, of a prepared model with what it keeps, and of a training step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peaks {
    pub(crate) inference: u128,
    pub(crate) prepared: u128,
    pub(crate) training: u128,
}

impl Peaks {
    pub(crate) fn named(self) -> [(&'static str, u128); 3] {
        [
            ("inference", self.inference),
            ("prepared", self.prepared),
            ("training", self.training),
        ]
    }
}

/// The most bytes in use at one time while `f` runs, beyond those in use before.
pub(crate) fn peak_of(f: impl FnOnce()) -> u128 {
    let before = memory::in_use();
    memory::reset_peak();
    f();
    (memory::peak() - before) as u128
}

/// What `$model` needs for `$images` in inference, and prepared for it.
macro_rules! measured_inference {
    ($device:expr, $model:expr, $images:expr) => {{
        let inference = peak_of(|| drop($model.forward($images.clone())));
        let prepared = peak_of(|| {
            let prepared = Prepared::new(&$model);
            drop(prepared.forward(&$device, $images.clone()));
            // The kernels are there: what counts is every further call.
            ksdsl_runtime::cpu::memory::reset_peak();
            drop(prepared.forward(&$device, $images.clone()));
        });
        (inference, prepared)
    }};
}

/// Runs a network once in inference and for one step of training. `$at`: the indices of its input's sizes.
macro_rules! measured {
    ($builder:ty [$($at:literal),+], $batch:expr) => {{
        let device = Cpu::seed_from_u64(0);
        let mut model = device.build_module::<$builder, f32>();
        let images = device.sample_normal_like(&($batch, $(Const::<{ <$builder as Network>::INPUT[$at] }>),+));
        let (inference, prepared) = measured_inference!(device, model, images);
        let gradients = model.alloc_grads();
        let training = peak_of(|| drop(model.forward_mut(images.traced(gradients)).square().mean().backward()));
        Peaks { inference, prepared, training }
    }};
}

pub(crate) use {measured, measured_inference};
