//! Generated models of any input shape behind one trait, in double precision.

use ksdsl_files::random::SplitMix64;
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::prelude::*;

/// Images in every batch of these tests.
pub(crate) const BATCH: usize = 3;

/// The seed of the device that a pass runs on: dropout zeroes the same values in every pass.
pub(crate) const SEED: u64 = 11;

/// What a training pass gives.
pub(crate) struct Trained {
    /// The logits of all images.
    pub(crate) logits: Vec<f64>,
    /// The mean squared distance of the logits to [`target`].
    pub(crate) loss: f64,
    /// The gradients of the loss.
    pub(crate) gradients: Gradients<f64, Cpu>,
}

/// A model with its name and input.
pub(crate) trait Net: TensorCollection<f64, Cpu> + Clone {
    /// The network's name.
    const NAME: &'static str;
    /// Values in one image.
    const IMAGE: usize;

    /// Builds it with the initial values of this seed.
    fn seeded(seed: u64) -> Self;
    /// The logits of inference.
    fn infer(&self, images: &[f64]) -> Vec<f64>;
    /// A training pass and its backward pass.
    fn train(&mut self, images: &[f64]) -> Trained;
    /// The loss of a training pass.
    fn loss(&mut self, images: &[f64]) -> f64;
}

/// Values between -1 and 1 that look random and are always the same.
pub(crate) fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut generator = SplitMix64(seed);
    move || 2.0 * generator.fraction() - 1.0
}

/// Images for a net.
pub(crate) fn images<N: Net>() -> Vec<f64> {
    let mut noise = noise(5);
    (0..BATCH * N::IMAGE).map(|_| 1.5 * noise()).collect()
}

/// What the logits are to become.
pub(crate) fn target(count: usize) -> Vec<f64> {
    let mut noise = noise(6);
    (0..count).map(|_| noise()).collect()
}

/// `file::name [sizes of an image];` for each network.
macro_rules! nets {
    ($($file:ident::$name:ident [$($size:literal),+];)+) => {$(
        impl $crate::net::Net for $crate::nets::$file::$name::Model<f64, Cpu> {
            const NAME: &'static str = stringify!($name);
            const IMAGE: usize = 1 $(* $size)+;

            fn seeded(seed: u64) -> Self {
                Cpu::seed_from_u64(seed).build_module::<$crate::nets::$file::$name::Builder, f64>()
            }

            fn infer(&self, images: &[f64]) -> Vec<f64> {
                let shape = (images.len() / Self::IMAGE, $(Const::<$size>),+);
                let x = Cpu::seed_from_u64($crate::net::SEED).tensor_from_vec(images.to_vec(), shape);
                self.forward(x).as_vec()
            }

            fn train(&mut self, images: &[f64]) -> $crate::net::Trained {
                let device = Cpu::seed_from_u64($crate::net::SEED);
                let shape = (images.len() / Self::IMAGE, $(Const::<$size>),+);
                let x = device.tensor_from_vec(images.to_vec(), shape);
                let y = self.forward_mut(x.leaky_trace());
                let logits = y.as_vec();
                let target = device.tensor_from_vec($crate::net::target(logits.len()), *y.shape());
                let loss = (y - target).square().mean();
                $crate::net::Trained { logits, loss: loss.array(), gradients: loss.backward() }
            }

            fn loss(&mut self, images: &[f64]) -> f64 {
                let shape = (images.len() / Self::IMAGE, $(Const::<$size>),+);
                let x = Cpu::seed_from_u64($crate::net::SEED).tensor_from_vec(images.to_vec(), shape);
                let logits = self.forward_mut(x.leaky_trace()).as_vec();
                let squares = logits.iter().zip($crate::net::target(logits.len())).map(|(y, t)| (y - t).powi(2));
                squares.sum::<f64>() / logits.len() as f64
            }
        }
    )+};
}

pub(crate) use nets;

nets! {
    gradients::identities_shared [3, 6, 5];
    gradients::identities_free [3, 6, 5];
    gradients::projections_shared [3, 8, 8];
    gradients::projections_free [3, 8, 8];
    gradients::preactivation_shared [4, 6, 6];
    gradients::preactivation_free [4, 6, 6];
    gradients::excitation_shared [4, 6, 6];
    gradients::excitation_free [4, 6, 6];
    gradients::mixer_shared [3, 8, 8];
    gradients::mixer_free [3, 8, 8];
    gradients::grouped_shared [4, 6, 6];
    gradients::grouped_free [4, 6, 6];
    gradients::geometry_shared [4, 9, 10];
    gradients::geometry_free [4, 9, 10];
    gradients::inception_shared [4, 6, 6];
    gradients::inception_free [4, 6, 6];
    gradients::gates_shared [4, 5, 5];
    gradients::gates_free [4, 5, 5];
    gradients::perceptron_shared [6];
    gradients::perceptron_free [6];
    gradients::across_shared [6, 8, 8];
    gradients::across_free [6, 8, 8];
    gradients::split_shared [4, 5, 5];
    gradients::split_free [4, 5, 5];
    gradients::parts_shared [4, 5, 5];
    gradients::parts_free [4, 5, 5];
    gradients::crossed_shared [4, 5, 5];
    gradients::crossed_free [4, 5, 5];
    gradients::norms_shared [4, 5, 5];
    gradients::norms_free [4, 5, 5];
    gradients::windows_shared [2, 11, 12];
    gradients::windows_free [2, 11, 12];
    gradients::sums_shared [4, 6, 6];
    gradients::sums_free [4, 6, 6];
    gradients::nested_shared [3, 5, 5];
    gradients::nested_free [3, 5, 5];
    gradients::mapped_shared [4, 5, 5];
    gradients::mapped_free [4, 5, 5];
    gradients::whole_blocks_shared [3, 5, 5];
    gradients::whole_blocks_free [3, 5, 5];
    gradients::transformer_shared [2, 4, 6];
    gradients::transformer_free [2, 4, 6];
    gradients::loops_shared [4, 5, 4];
    gradients::loops_free [4, 5, 4];
    gradients::values_shared [4, 6, 6];
    gradients::values_free [4, 6, 6];
    gradients::sequences_shared [2, 4, 6];
    gradients::sequences_free [2, 4, 6];
    gradients::shapes_shared [4, 5, 4];
    gradients::shapes_free [4, 5, 4];
    gradients::windowed_shared [2, 4, 6];
    gradients::windowed_free [2, 4, 6];
    gradients::sounding_shared [2, 2, 5];
    gradients::sounding_free [2, 2, 5];
    gradients::standard_shared [4, 6, 5];
    gradients::standard_free [4, 6, 5];
    gradients::scaled_shared [4, 5, 5];
    gradients::scaled_free [4, 5, 5];
    gradients::transposed_shared [3, 6, 6];
    gradients::transposed_free [3, 6, 6];
    gradients::banks_shared [4, 6, 6];
    gradients::banks_free [4, 6, 6];
    gradients::widths_shared [4, 6, 6];
    gradients::widths_free [4, 6, 6];
    gradients::ranked_shared [4, 6, 6];
    gradients::ranked_free [4, 6, 6];
    tied::tied_shared [3, 6, 6];
    tied::tied_free [3, 6, 6];
}
