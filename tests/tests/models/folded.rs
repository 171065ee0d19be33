//! Checkpoints of networks whose visits have something of their own, unrolled to the same network without
//! sharing and fused again: what `ksn unroll` and `ksn fuse` do, through files.

use crate::gradients::perturbed;
use crate::net::{Net, images};
use crate::nets::gradients::*;
use crate::tensors::{Values, change, values};
use ksdsl::checkpoint::entries;
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Made, Private, Shared, to_bytes};
use ksdsl_runtime::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// The tensors of a network's checkpoints.
pub(crate) struct Layout {
    expected: Vec<Expected>,
    shared: Vec<Shared>,
    private: Vec<Private>,
    made: Vec<Made>,
}

impl Layout {
    fn new(net: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("nets/gradients.ksn");
        let (network, _) = Spec::read(path).unwrap().network(net).compile_one().unwrap();
        Self::of(&network)
    }

    pub(crate) fn of(network: &Network) -> Self {
        let mut layout = Layout {
            expected: Vec::new(),
            shared: Vec::new(),
            private: Vec::new(),
            made: Vec::new(),
        };
        for entry in entries(network) {
            let key = || entry.key.clone();
            layout
                .private
                .extend(entry.kernel.clone().map(|kernel| Private { key: key(), kernel }));
            if !entry.visits.is_empty() {
                let visits = entry.visits.clone();
                let copies = entry.made.is_empty();
                layout.shared.push(Shared {
                    key: key(),
                    visits,
                    copies,
                });
            }
            layout.made.extend(entry.made.iter().map(|made| Made {
                kernel: made.kernel.clone(),
                shape: made.shape.clone(),
                stored: made.stored.clone(),
                transposed: made.transposed,
            }));
            let (shape, kind) = (entry.shape.clone(), None);
            layout.expected.push(Expected {
                key: key(),
                shape,
                kind,
            });
        }
        layout
    }

    /// Whether visits have something of their own.
    pub(crate) fn has_private(&self) -> bool {
        !self.private.is_empty()
    }

    pub(crate) fn unroll(&self, from: &Path, to: &Path) {
        let file = File::read(from).unwrap();
        let tensors = unroll(&file, &self.expected, &self.shared, &self.private, &self.made).unwrap();
        fs::write(to, to_bytes(&tensors, &[])).unwrap();
    }

    fn fuse(&self, from: &Path, to: &Path) {
        let file = File::read(from).unwrap();
        let tensors = fuse(&file, &self.expected, &self.shared, &self.private, Method::Mean).unwrap();
        fs::write(to, to_bytes(&tensors, &self.shared)).unwrap();
    }
}

/// A folder with three paths in it.
pub(crate) fn paths() -> (tempfile::TempDir, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["shared", "unrolled", "again"].map(|name| folder.path().join(name));
    (folder, paths)
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

macro_rules! folded {
    ($($double:ident $single:ident: $shared:ident $free:ident [$($size:literal),+];)+) => {$(
        /// In double precision the unrolled network computes the same to 1e-12.
        #[test]
        fn $double() {
            let (_folder, [shared, unrolled, _]) = paths();
            let model = perturbed::<$shared::Model<f64, Cpu>>();
            checkpoint::save(&model, &shared).unwrap();
            Layout::new(stringify!($shared)).unroll(&shared, &unrolled);
            let mut free = $free::Model::<f64, Cpu>::seeded(3);
            checkpoint::load(&mut free, &unrolled).unwrap();
            let images = images::<$shared::Model<f64, Cpu>>();
            let (want, got) = (model.infer(&images), free.infer(&images));
            assert!(largest_difference(&got, &want) <= 1e-12 * largest(&want), "{got:?} for {want:?}");
        }

        /// In single precision up to its rounding.
        #[test]
        fn $single() {
            let (_folder, [shared, unrolled, _]) = paths();
            let device = Cpu::seed_from_u64(4);
            let mut model = device.build_module::<$shared::Builder, f32>();
            let mut noise = crate::net::noise(5);
            change(&mut model, |key, values| {
                let own = [".scale", ".low_rank_b", ".coefficients"].iter().any(|name| key.ends_with(name));
                values.iter_mut().filter(|_| own).for_each(|value| *value += 0.3 * noise() as f32);
            });
            checkpoint::save(&model, &shared).unwrap();
            Layout::new(stringify!($shared)).unroll(&shared, &unrolled);
            let mut free = device.build_module::<$free::Builder, f32>();
            checkpoint::load(&mut free, &unrolled).unwrap();
            let x = device.sample_normal_like(&(3, $(Const::<$size>),+));
            let logits = |values: Vec<f32>| -> Vec<f64> { values.into_iter().map(f64::from).collect() };
            let (want, got) = (logits(model.forward(x.clone()).as_vec()), logits(free.forward(x).as_vec()));
            assert!(largest_difference(&got, &want) <= 1e-5 * largest(&want), "{got:?} for {want:?}");
        }
    )+};
}

folded! {
    factors_become_kernels factors_become_kernels_in_f32: scaled_shared scaled_free [4, 5, 5];
    additions_become_kernels additions_become_kernels_in_f32: ranked_shared ranked_free [4, 6, 6];
    transposes_become_kernels transposes_become_kernels_in_f32: transposed_shared transposed_free [3, 6, 6];
    combinations_become_kernels combinations_become_kernels_in_f32: banks_shared banks_free [4, 6, 6];
    slices_become_kernels slices_become_kernels_in_f32: widths_shared widths_free [4, 6, 6];
}

/// A new network, and one that `fuse` made: factors are 1 and additions 0, so unrolling copies the shared
/// kernels bit for bit, and fusing gives back all but the factor A, which has no effect yet.
#[test]
fn fusing_gives_back_what_was_unrolled() {
    let (_folder, [shared, unrolled, again]) = paths();
    let model = ranked_shared::Model::<f64, Cpu>::seeded(6);
    checkpoint::save(&model, &shared).unwrap();
    let layout = Layout::new("ranked_shared");
    layout.unroll(&shared, &unrolled);
    layout.fuse(&unrolled, &again);
    let mut fused = ranked_shared::Model::<f64, Cpu>::seeded(7);
    checkpoint::load(&mut fused, &again).unwrap();
    let without_a = |model| -> Values<f64> {
        let mut values = values(model);
        values.retain(|key, _| !key.ends_with(".low_rank_a"));
        values
    };
    assert_eq!(without_a(&fused), without_a(&model));
    let images = images::<ranked_shared::Model<f64, Cpu>>();
    assert_eq!(fused.infer(&images), model.infer(&images));
    // Without any A, all of it.
    layout.unroll(&again, &unrolled);
    layout.fuse(&unrolled, &shared);
    assert_eq!(fs::read(&shared).unwrap(), fs::read(&again).unwrap());
}

/// With factors alone that are 1, and biases of the visits' own, all comes back bit for bit.
#[test]
fn factors_of_one_come_back() {
    let (_folder, [shared, unrolled, again]) = paths();
    checkpoint::save(&scaled_shared::Model::<f64, Cpu>::seeded(6), &shared).unwrap();
    let layout = Layout::new("scaled_shared");
    layout.unroll(&shared, &unrolled);
    layout.fuse(&unrolled, &again);
    assert_eq!(fs::read(&again).unwrap(), fs::read(&shared).unwrap());
}

/// Checkpoints hold what visits have of their own under the layers' keys, and come back.
#[test]
fn own_parts_go_through_checkpoints() {
    let (_folder, [shared, ..]) = paths();
    let model = perturbed::<ranked_shared::Model<f64, Cpu>>();
    checkpoint::save(&model, &shared).unwrap();
    let file = File::read(&shared).unwrap();
    let shape = |key: &str| file.get(key).unwrap().shape.to_vec();
    assert_eq!(shape("one.2.conv.low_rank_a"), [2, 36]);
    assert_eq!(shape("one.2.conv.low_rank_b"), [4, 2]);
    assert_eq!(shape("two.1.conv.low_rank_a"), [1, 18]);
    assert_eq!(shape("four.0.depthwise.low_rank_b"), [4, 1]);
    assert_eq!(shape("one.0.conv.scale"), [4]);
    let mut loaded = ranked_shared::Model::<f64, Cpu>::seeded(8);
    checkpoint::load(&mut loaded, &shared).unwrap();
    assert_eq!(values(&loaded), values(&model));
}
