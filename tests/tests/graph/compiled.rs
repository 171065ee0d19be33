//! Generated models of any input shape and element type behind one trait.

use ksdsl_runtime::Scalar;
use ksdsl_tests::tensors::Values;

/// The seed of the device that a training pass takes the seeds of its dropout from.
pub(crate) const SEED: u64 = 11;

/// What a training pass gives.
pub(crate) struct Trained<E> {
    pub(crate) output: Vec<E>,
    /// The gradient with respect to the input.
    pub(crate) input: Vec<E>,
    pub(crate) gradients: Values<E>,
}

/// A model with its name and input.
pub(crate) trait Compiled<E: Scalar>: Sized {
    /// Values in one image.
    const IMAGE: usize;

    fn name() -> &'static str;
    fn specification() -> &'static str;
    /// A model whose running statistics and biases are not those of a new one.
    fn build() -> Self;
    fn values(&self) -> Values<E>;
    fn infer(&self, images: &[E]) -> Vec<E>;
    /// A training pass, and a backward pass from the gradient [`weights`].
    fn train(&mut self, images: &[E]) -> Trained<E>;
    /// The seeds of dropout that [`Compiled::train`] takes.
    fn seeds() -> impl FnMut() -> u64;
}

/// Values between -1 and 1.
fn noise<E: Scalar>(seed: f64, len: usize) -> Vec<E> {
    (0..len)
        .map(|i| E::of(((i as f64 + seed) * (i as f64 * 0.7 + seed)).sin()))
        .collect()
}

/// A batch of so many values.
pub(crate) fn images<E: Scalar>(len: usize) -> Vec<E> {
    noise(0.3, len)
}

/// The gradient of an output of so many values.
pub(crate) fn weights<E: Scalar>(len: usize) -> Vec<E> {
    noise(0.8, len)
}

/// Changes values so that no two tensors are alike, as after training; variances stay positive.
pub(crate) fn trained<E: Scalar>(key: &str, values: &mut [E]) {
    let positive = key.ends_with("running_var");
    let more = noise::<E>(key.len() as f64 + 0.1, values.len());
    for (value, more) in values.iter_mut().zip(more) {
        let more = if positive { more.abs() } else { more };
        *value += more * E::of(0.1);
    }
}

/// `E: file::name [the places of the sizes of an image]` for each network.
macro_rules! compiled {
    ($($E:ty: $file:ident::$name:ident $at:tt;)+) => {$(
        $crate::compiled::compiled_one! { $E, $file::$name, $at }
    )+};
}

macro_rules! compiled_one {
    ($E:ty, $file:ident::$name:ident, [$($at:literal),+]) => {
        impl Compiled<$E> for $file::$name::Model<$E, Cpu> {
            const IMAGE: usize = 1 $(* <$file::$name::Builder as Network>::INPUT[$at])+;

            fn name() -> &'static str {
                stringify!($name)
            }

            fn specification() -> &'static str {
                <$file::$name::Builder as Network>::SPECIFICATION
            }

            fn build() -> Self {
                let mut model = Cpu::seed_from_u64(3).build_module::<$file::$name::Builder, $E>();
                tensors::change(&mut model, $crate::compiled::trained);
                model
            }

            fn values(&self) -> Values<$E> {
                tensors::values(self)
            }

            fn infer(&self, images: &[$E]) -> Vec<$E> {
                let shape = (
                    images.len() / Self::IMAGE,
                    $(Const::<{ <$file::$name::Builder as Network>::INPUT[$at] }>),+
                );
                self.forward(Cpu::default().tensor_from_vec(images.to_vec(), shape)).as_vec()
            }

            fn train(&mut self, images: &[$E]) -> Trained<$E> {
                let device = Cpu::seed_from_u64(SEED);
                let shape = (
                    images.len() / Self::IMAGE,
                    $(Const::<{ <$file::$name::Builder as Network>::INPUT[$at] }>),+
                );
                let x = device.tensor_from_vec(images.to_vec(), shape);
                let y = self.forward_mut(x.leaky_trace());
                let output = y.as_vec();
                let weights = device.tensor_from_vec(weights::<$E>(output.len()), *y.shape());
                let gradients = (y * weights).sum::<Rank0, _>().backward();
                Trained {
                    output,
                    input: gradients.get(&x).as_vec(),
                    gradients: tensors::gradients(self, &gradients),
                }
            }

            fn seeds() -> impl FnMut() -> u64 {
                let device = Cpu::seed_from_u64(SEED);
                move || device.random_u64()
            }
        }
    };
}

pub(crate) use {compiled, compiled_one};
