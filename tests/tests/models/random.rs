//! Random networks (`build/random.rs`): with shared kernels as without, in single precision at every level as
//! in double, and each image whatever is beside it in a batch.

use crate::folded::{Layout, paths};
use crate::gradients::{assert_all_close, assert_every_layer, perturbed, running_statistics_agree, sum};
use crate::net::{Net, Trained, images, nets, noise};
use crate::tensors::{self, Values, change, values};
use crate::visits::visits;
use ksdsl::spec::Spec;
use ksdsl::summary::Summary;
use ksdsl_runtime::cpu::{Level, WinogradChoice, with_unit_bytes, with_winograd};
use ksdsl_runtime::dfdx::nn::tensor_collection::TensorCollection;
use ksdsl_runtime::network::Generated;
use ksdsl_runtime::prelude::*;

const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/random.ksn"));

fn spec(net: &str) -> Spec {
    Spec::parse("random.ksn", TEXT).network(net)
}

/// Runs `f`; where it fails the network is shown.
fn showing<R>(net: &str, f: impl FnOnce() -> R) -> R {
    struct Show<'n>(&'n str);
    impl Drop for Show<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let family = format!("net {}(", self.0.trim_end_matches("_shared"));
                let text = TEXT.split_once(&family).map_or("", |(_, text)| text);
                eprintln!("{family}{}", text.split("\nnet ").next().unwrap_or(""));
            }
        }
    }
    let _show = Show(net);
    f()
}

/// A network with shared kernels and the same with a kernel for each visit, whose values are those that
/// `ksn unroll` makes: the outputs are equal, the gradient of a shared tensor is the sum over its visits.
fn shares<S: Net + Generated, F: Net + Generated>() {
    let (mut shared, mut free) = (perturbed::<S>(), F::seeded(3));
    let (network, _) = spec(S::NAME).compile_one().unwrap();
    let layout = Layout::of(&network);
    let (_folder, [from, to, _]) = paths();
    checkpoint::save(&shared, &from).unwrap();
    layout.unroll(&from, &to);
    checkpoint::load(&mut free, &to).unwrap();

    let (images, before) = (images::<S>(), values(&shared));
    assert_all_close("inference", &shared.infer(&images), &free.infer(&images), 1e-9);
    let (a, b) = (shared.train(&images), free.train(&images));
    assert_all_close("logits", &a.logits, &b.logits, 1e-9);
    if layout.has_private() {
        return;
    }
    let members = visits(&spec(S::NAME).summary().unwrap(), values(&free).keys());
    assert!(members.keys().eq(before.keys()), "the tensors differ");
    let of_free = tensors::gradients(&free, &b.gradients);
    for (key, gradient) in &tensors::gradients(&shared, &a.gradients) {
        assert_all_close(key, gradient, &sum(&of_free, &members[key]), 1e-7);
    }
    running_statistics_agree(&members, &before, (&values(&shared), &values(&free)));
}

/// A model in single precision.
trait Single: TensorCollection<f32, Cpu> + Sized {
    type Double: Net;

    fn of(double: &Self::Double) -> Self;
    /// Values in one image.
    const IMAGE: usize = <Self::Double as Net>::IMAGE;
    /// The logits of inference, and of the prepared model.
    fn infer(&self, images: &[f32]) -> [Vec<f32>; 2];
    /// Inference and a training pass of no images: of how many the logits are.
    fn empty(&mut self) -> [usize; 2];
    /// A training pass with the loss of [`Net::train`]: logits, gradients of the images and of the parameters.
    fn train(&mut self, images: &[f32]) -> (Vec<f32>, Vec<f32>, Values<f32>);
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// What a pass gives in double precision: `inference`, `logits` and the gradients.
fn outcome<N: Net>(model: &N, images: &[f64]) -> Values<f64> {
    let mut model = model.clone();
    let inference = model.infer(images);
    let Trained { logits, gradients, .. } = model.train(images);
    let mut outcome = tensors::gradients(&model, &gradients);
    outcome.extend([(" inference".to_owned(), inference), (" logits".to_owned(), logits)]);
    outcome
}

/// The kernels of every level compute what double precision does, which takes plain loops: within some times what
/// becomes of parameters and images that are rounded to single precision.
fn levels_agree<S: Single>() {
    let model = perturbed::<S::Double>();
    let images = images::<S::Double>();
    let want = outcome(&model, &images);
    let mut rounding = noise(8);
    let mut round = |value: f64| value * (1.0 + f64::from(f32::EPSILON) * rounding());
    let mut rounded = model.clone();
    change(&mut rounded, |_, values: &mut [f64]| {
        values.iter_mut().for_each(|value| *value = round(*value))
    });
    let images: Vec<f64> = images.iter().map(|&value| round(value)).collect();
    let other = outcome(&rounded, &images);
    let gradients = want.iter().filter(|(key, _)| !key.starts_with(' '));
    let steepest = gradients.fold(0.0_f64, |most, (_, gradient)| most.max(largest(gradient)));
    for level in Level::available() {
        let mut single = S::of(&model);
        let images = narrow(&images);
        let ([inference, _], (logits, _, mut got)) = level.with(|| (single.infer(&images), single.train(&images)));
        got.extend([(" inference".to_owned(), inference), (" logits".to_owned(), logits)]);
        assert!(got.keys().eq(want.keys()), "the tensors differ");
        for (key, want) in &want {
            let size = if key.starts_with(' ') { largest(want) } else { steepest };
            let bound = 2e-5 * size + 30.0 * distance(&other[key], want);
            let error = distance(&wide(&got[key]), want);
            assert!(
                error <= bound,
                "{level:?}, {key}: {error:e} off, of {size:e}, bound {bound:e}"
            );
        }
    }
}

/// A batch of no images has no logits and moves no running statistics. (dfdx panics where it reads or sums nothing, so
/// there is no loss.)
fn empty_batches_change_nothing<S: Single>() {
    let mut model = S::of(&perturbed::<S::Double>());
    let before = values(&model);
    assert_eq!(model.empty(), [0; 2]);
    assert_eq!(values(&model), before);
}

/// Images of a batch, of which one is compared.
const BATCH: usize = 5;

/// What becomes of an image is the same bits whatever its neighbours hold: in inference, also prepared and in
/// slices, and in training where no batch norm looks at all of them; alone too, where the algorithm is the same.
fn neighbours_do_not_matter<S: Single>() {
    let model = perturbed::<S::Double>();
    let mut noise = noise(9);
    let images: Vec<f32> = (0..BATCH * S::IMAGE).map(|_| noise() as f32).collect();
    let summary = spec(<S::Double as Net>::NAME).summary().unwrap();
    let trains = !summary.layers.iter().any(|layer| layer.op == "batch_norm");
    let run = |images: &[f32]| {
        let mut results = S::of(&model).infer(images).to_vec();
        results.extend(with_unit_bytes(1, || S::of(&model).infer(images)));
        if trains {
            let (logits, gradient, _) = S::of(&model).train(images);
            results.extend([logits, gradient]);
        }
        results
    };
    for level in Level::available() {
        level.with(|| {
            let want = run(&images);
            assert!(want.iter().flatten().all(|value| value.is_finite()));
            for (item, neighbour) in [
                (0, f32::NAN),
                (2, f32::INFINITY),
                (4, 1e8),
                (1, f32::NAN),
                (3, f32::MIN),
            ] {
                let mut images = images.clone();
                let others = images.chunks_mut(S::IMAGE).enumerate().filter(|(at, _)| *at != item);
                others.for_each(|(_, image)| image.fill(neighbour));
                for (way, (got, want)) in run(&images).iter().zip(&want).enumerate() {
                    let same = bits(got, item) == bits(want, item);
                    assert!(same, "{level:?}, image {item} beside {neighbour}, result {way}");
                }
            }
            with_winograd(WinogradChoice::Never, || {
                let model = S::of(&model);
                let [want, _] = model.infer(&images);
                for (item, image) in images.chunks(S::IMAGE).enumerate() {
                    let [got, _] = model.infer(image);
                    let want = &want[item * got.len()..][..got.len()];
                    let (got, want) = (wide(&got), wide(want));
                    assert!(
                        distance(&got, &want) <= 1e-5 * largest(&want),
                        "{level:?}, image {item} alone"
                    );
                }
            });
        });
    }
}

/// The bits of an image's part.
fn bits(values: &[f32], item: usize) -> Vec<u32> {
    let part = values.len() / BATCH;
    values[item * part..][..part]
        .iter()
        .map(|value| value.to_bits())
        .collect()
}

macro_rules! random_nets {
    ($($name:ident: $shared:ident $free:ident [$($size:literal),+];)*) => {
        $(nets! {
            random::$shared [$($size),+];
            random::$free [$($size),+];
        }

        impl Single for crate::nets::random::$shared::Model<f32, Cpu> {
            type Double = crate::nets::random::$shared::Model<f64, Cpu>;

            fn of(double: &Self::Double) -> Self {
                double.to_dtype::<f32>()
            }

            fn infer(&self, images: &[f32]) -> [Vec<f32>; 2] {
                let device = Cpu::default();
                let shape = (images.len() / Self::IMAGE, $(Const::<$size>),+);
                let x = device.tensor_from_vec(images.to_vec(), shape);
                let prepared = Prepared::new(self).forward(&device, x.clone());
                [self.forward(x).as_vec(), prepared.as_vec()]
            }

            fn empty(&mut self) -> [usize; 2] {
                let x = Cpu::default().tensor_from_vec(Vec::new(), (0, $(Const::<$size>),+));
                [self.forward(x.clone()).shape().0, self.forward_mut(x.leaky_trace()).shape().0]
            }

            fn train(&mut self, images: &[f32]) -> (Vec<f32>, Vec<f32>, Values<f32>) {
                let device = Cpu::seed_from_u64(crate::net::SEED);
                let shape = (images.len() / Self::IMAGE, $(Const::<$size>),+);
                let x = device.tensor_from_vec(images.to_vec(), shape);
                let y = self.forward_mut(x.clone().leaky_trace());
                let logits = y.as_vec();
                let target = device.tensor_from_vec(narrow(&crate::net::target(logits.len())), *y.shape());
                let gradients = (y - target).square().mean::<Rank0, _>().backward();
                (logits, gradients.get(&x).as_vec(), tensors::gradients(self, &gradients))
            }
        }

        mod $name {
            use crate::nets::random::{$free as free, $shared as shared};
            use ksdsl_runtime::prelude::Cpu;

            #[test]
            fn shares() {
                super::showing(stringify!($shared), super::shares::<shared::Model<f64, Cpu>, free::Model<f64, Cpu>>);
            }

            #[test]
            fn empty() {
                super::showing(stringify!($shared), super::empty_batches_change_nothing::<shared::Model<f32, Cpu>>);
            }

            #[test]
            fn levels() {
                super::showing(stringify!($shared), super::levels_agree::<shared::Model<f32, Cpu>>);
            }

            #[test]
            fn neighbours() {
                super::showing(stringify!($shared), super::neighbours_do_not_matter::<shared::Model<f32, Cpu>>);
            }
        })*

        /// The networks with sharing.
        const NETWORKS: &[&str] = &[$(stringify!($shared)),*];
    };
}

include!(concat!(env!("OUT_DIR"), "/random_nets.rs"));

/// The usual networks have every layer, every kind of clause and mapping, and some train without batch norm.
#[test]
fn random_networks_cover_the_language() {
    if option_env!("KSDSL_RANDOM_SEED").is_some() || option_env!("KSDSL_RANDOM_NETS").is_some() {
        return;
    }
    let summaries: Vec<Summary> = NETWORKS.iter().map(|net| spec(net).summary().unwrap()).collect();
    // They are of maps and vectors only.
    let of_sequences = [
        "embedding",
        "to_tokens",
        "class_token",
        "token",
        "rotary",
        "sinusoidal_positions",
        "to_signal",
        "gather",
        "matmul",
    ];
    assert_every_layer(&summaries, TEXT, &of_sequences);
    let words = [
        "blocks in",
        "with norms",
        "isomorphic in",
        "kernel of",
        "bias of",
        ".**.",
        "private scale",
        "low_rank",
        "sequential",
        "strided",
        "cycle(",
        "cycle_rev",
        "random(",
        "bank(",
        ", _,",
        "groups",
        "front",
        "middle",
        "back",
        "sandwich",
        "residual(project",
        "shortcut",
        "concat",
        "add {",
        "multiply",
        "when i",
        "seq {",
        "block unit",
        "dilation = 2",
        "groups = 2",
    ];
    for word in words {
        assert!(TEXT.contains(word), "no network has `{word}`");
    }
    let normed = |summary: &&Summary| summary.layers.iter().any(|layer| layer.op == "batch_norm");
    assert!(summaries.iter().filter(|summary| !normed(summary)).count() >= 2);
}
