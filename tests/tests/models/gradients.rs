//! The gradient of a shared kernel is the sum over its visits, and every gradient is that of finite
//! differences.

use crate::net::{Net, images, noise};
use crate::nets::gradients::*;
use crate::tensors::{self, Values, change, values};
use crate::visits::{summary, unrolled, visits};
use ksdsl::ops;
use ksdsl::summary::Summary;
use ksdsl_runtime::prelude::*;
use std::collections::BTreeMap;

/// A batch norm's running statistics move by this much of the way, unless the network says otherwise.
const MOMENTUM: f64 = 0.1;

/// Runs both checks on a network, `$name_shared`, and the same without sharing, `$name_free`.
macro_rules! specs {
    ($($name:ident: $shared:ident $free:ident;)+) => {
        mod sums {
            $(#[test]
            fn $name() {
                super::gradients_add_up::<super::$shared::Model<f64, super::Cpu>, super::$free::Model<f64, super::Cpu>>();
            })+
        }

        mod differences {
            $(#[test]
            fn $name() {
                super::finite_differences_agree::<super::$shared::Model<f64, super::Cpu>>();
                super::finite_differences_agree::<super::$free::Model<f64, super::Cpu>>();
            })+
        }

        /// The networks of the checks.
        const NETWORKS: &[&str] = &[$(stringify!($shared)),+];
    };
}

specs! {
    identities: identities_shared identities_free;
    projections: projections_shared projections_free;
    preactivation: preactivation_shared preactivation_free;
    excitation: excitation_shared excitation_free;
    mixer: mixer_shared mixer_free;
    grouped: grouped_shared grouped_free;
    geometry: geometry_shared geometry_free;
    inception: inception_shared inception_free;
    gates: gates_shared gates_free;
    perceptron: perceptron_shared perceptron_free;
    across: across_shared across_free;
    split: split_shared split_free;
    parts: parts_shared parts_free;
    crossed: crossed_shared crossed_free;
    norms: norms_shared norms_free;
    windows: windows_shared windows_free;
    sums: sums_shared sums_free;
    nested: nested_shared nested_free;
    mapped: mapped_shared mapped_free;
    whole_blocks: whole_blocks_shared whole_blocks_free;
    transformer: transformer_shared transformer_free;
    loops: loops_shared loops_free;
    values: values_shared values_free;
    sequences: sequences_shared sequences_free;
    shapes: shapes_shared shapes_free;
    sounding: sounding_shared sounding_free;
    windowed: windowed_shared windowed_free;
    standard: standard_shared standard_free;
}

/// A model whose scales, shifts and running statistics are no longer what they start as.
pub(crate) fn perturbed<N: Net>() -> N {
    let mut model = N::seeded(1);
    let mut noise = noise(2);
    change(&mut model, |key, values: &mut [f64]| {
        for value in values {
            *value = match key.rsplit('.').next() {
                Some("running_var") => 1.0 + 0.5 * noise(),
                _ => *value + 0.2 * noise(),
            };
        }
    });
    model
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-3)
}

pub(crate) fn assert_all_close(what: &str, a: &[f64], b: &[f64], relative: f64) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (at, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(close(*a, *b, relative), "{what}[{at}]: {a} against {b}");
    }
}

/// The shared network and the unshared one with the same values compute the same; the gradient of a
/// shared tensor is the sum of the gradients of those it stands for.
fn gradients_add_up<S: Net, F: Net>() {
    let summary = summary("gradients", S::NAME);
    let (mut shared, mut free) = (perturbed::<S>(), F::seeded(3));
    let before = values(&shared);
    let equal = unrolled(&summary, &before, &values(&free));
    tensors::write(&mut free, &equal);
    let members = visits(&summary, equal.keys());
    assert!(members.keys().eq(before.keys()), "the tensors differ");
    assert!(summary.groups.iter().all(|group| group.visits.len() > 1));

    let images = images::<S>();
    assert_all_close("inference", &shared.infer(&images), &free.infer(&images), 1e-12);
    let (a, b) = (shared.train(&images), free.train(&images));
    assert_all_close("logits", &a.logits, &b.logits, 1e-12);
    let of_shared = tensors::gradients(&shared, &a.gradients);
    let of_free = tensors::gradients(&free, &b.gradients);
    let mut several = 0;
    for (key, gradient) in &of_shared {
        assert_all_close(key, gradient, &sum(&of_free, &members[key]), 1e-9);
        several += usize::from(members[key].len() > 1);
    }
    assert!(several > 0, "nothing is shared");
    running_statistics_agree(&members, &before, (&values(&shared), &values(&free)));
}

/// The element-wise sum of the tensors of these keys.
pub(crate) fn sum(values: &Values<f64>, keys: &[String]) -> Vec<f64> {
    let mut total = vec![0.0; values[&keys[0]].len()];
    for key in keys {
        for (total, value) in total.iter_mut().zip(&values[key]) {
            *total += value;
        }
    }
    total
}

/// Private running statistics are equal. Shared ones move once for each visit `v`, in the order of
/// the pass: `r <- (1 - m) r + m b_v`, where the unshared network shows the batch's statistic `b_v`
/// as `(r_v - (1 - m) r_0) / m`.
pub(crate) fn running_statistics_agree(
    members: &BTreeMap<String, Vec<String>>,
    before: &Values<f64>,
    (shared, free): (&Values<f64>, &Values<f64>),
) {
    for (key, after) in shared.iter().filter(|(key, _)| key.contains(".running_")) {
        let start = &before[key];
        let expected = match members[key].as_slice() {
            [only] => free[only].clone(),
            visits => visits.iter().fold(start.clone(), |running, visit| {
                let moved = running.iter().zip(start).zip(&free[visit]);
                moved
                    .map(|((r, start), of_visit)| (1.0 - MOMENTUM) * (r - start) + of_visit)
                    .collect()
            }),
        };
        assert_all_close(key, after, &expected, 1e-9);
        assert!(after.iter().zip(start).any(|(a, b)| a != b), "{key} did not move");
    }
}

/// Elements of each tensor that are stepped away from.
const SAMPLES: usize = 4;

/// Half the width of a difference: the third derivative adds about its square, rounding about 1e-16
/// over it, and the smaller it is the fewer maxima and corners change sides.
const H: f64 = 1e-6;

/// `(f(w + h) - f(w - h)) / 2h` for a sample of the elements of every tensor.
pub(crate) fn finite_differences_agree<N: Net>() {
    let mut model = perturbed::<N>();
    let images = images::<N>();
    let trained = model.train(&images);
    assert!(close(trained.loss, model.loss(&images), 1e-12), "{}", N::NAME);
    let mut moved = 0.0_f64;
    for (key, gradient) in tensors::gradients(&model, &trained.gradients) {
        let step = gradient.len().div_ceil(SAMPLES).max(1);
        // Another start in each tensor, so that all corners of kernels are met.
        let first = key.len() % step;
        for at in (first..gradient.len()).step_by(step) {
            let difference = difference(&mut model, &images, &key, at);
            let error = (difference - gradient[at]).abs();
            let bound = 1e-6 * difference.abs().max(gradient[at].abs()) + 2e-9;
            assert!(
                error <= bound,
                "{} {key}[{at}]: {} against {difference}",
                N::NAME,
                gradient[at]
            );
            moved = moved.max(difference.abs());
        }
    }
    assert!(moved > 1e-2, "the loss of {} hardly depends on its parameters", N::NAME);
}

fn difference<N: Net>(model: &mut N, images: &[f64], key: &str, at: usize) -> f64 {
    let mut step = |by: f64| {
        change(model, |name, values: &mut [f64]| {
            if name == key {
                values[at] += by;
            }
        });
        model.loss(images)
    };
    let above = step(H);
    let below = step(-2.0 * H);
    step(H);
    (above - below) / (2.0 * H)
}

#[test]
fn every_layer_is_checked() {
    let summaries: Vec<Summary> = NETWORKS.iter().map(|name| summary("gradients", name)).collect();
    // `tests/graph/tokens.rs` has token ids, `tests/graph/lengths.rs` places.
    assert_every_layer(
        &summaries,
        include_str!("../../nets/gradients.ksn"),
        &["embedding", "gather"],
    );
}

/// Every layer of the language but those that are checked elsewhere is in one of these networks, which are from this
/// text.
pub(crate) fn assert_every_layer(summaries: &[Summary], text: &str, elsewhere: &[&str]) {
    let layers = || summaries.iter().flat_map(|summary| &summary.layers);
    for layer in ops::layers().filter(|layer| !elsewhere.contains(&layer.name)) {
        let met = match layer.name {
            // Not an operation of its own, but a gate of pooling, linear layers and activations.
            "squeeze_excite" => layers().any(|of| of.path.contains("squeeze_excite.")),
            // Pointwise convolutions around an `attend`, and a convolution.
            "attention" => layers().any(|of| of.op == "attend"),
            "window_attention" => layers().any(|of| of.path.contains("window_attention")),
            "patch_embedding" => layers().any(|of| of.path.contains("patch_embedding")),
            // A group norm and an average pooling of their own names.
            "instance_norm" | "subsample" => layers().any(|of| of.path.contains(layer.name)),
            // Join paths, and leave no layer behind.
            "add" | "multiply" | "concat" | "subtract" => text.contains(&format!("{} {{", layer.name)),
            // Leaves no layer behind.
            "identity" => text.contains("path { identity }"),
            name => layers().any(|of| of.op == name),
        };
        assert!(met, "no network has `{}`", layer.name);
    }
}

#[test]
fn every_way_of_sharing_is_checked() {
    let summaries: Vec<Summary> = NETWORKS.iter().map(|name| summary("gradients", name)).collect();
    let groups = || summaries.iter().flat_map(|summary| &summary.groups);
    for parts in [&["kernel"][..], &["bias"], &["kernel", "bias"], &["norm"]] {
        assert!(groups().any(|group| group.parts == parts), "{parts:?}");
        let split = groups().any(|group| group.parts == parts && group.name.ends_with(".0"));
        assert!(split || parts == ["bias"], "{parts:?} into groups");
    }
}
