//! Fusing by the mean with low-rank updates of the differences, against numpy.

use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Kind, Private, Shared, Tensor, to_bytes};
use std::borrow::Cow;

const LAYERS: [&str; 3] = ["s.0.c", "s.2.c", "s.5.c"];

/// What numpy gives, 9 digits of it:
/// ```python
/// w = np.array([[(7*i*i + 5*j + i*j*j) % 11 for j in range(12)] for i in range(3)], float)
/// for d in w - w.mean(0):
///     print(np.linalg.svd(d.reshape(3, 4))[1], np.linalg.svd(d.reshape(4, 3))[1])
/// ```
const WIDE: [[f64; 3]; 3] = [
    [6.3143932, 5.18850161, 0.93517709],
    [6.35289996, 4.38403748, 1.93757862],
    [7.08226408, 4.07253686, 3.77570907],
];
const TALL: [[f64; 3]; 3] = [
    [6.03622885, 5.46274693, 1.17856011],
    [6.23810729, 4.43121376, 2.18716607],
    [6.9413572, 5.02167888, 2.75686443],
];

fn weights(layer: usize) -> Vec<f64> {
    let weight = |j: usize| ((7 * layer * layer + 5 * j + layer * j * j) % 11) as f64;
    (0..12).map(weight).collect()
}

fn tensor(key: String, kind: Kind, shape: &[u64], values: &[f64]) -> Tensor<'static> {
    let data = match kind {
        Kind::F32 => values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    Tensor {
        key,
        kind,
        shape: shape.to_vec(),
        data: Cow::Owned(data),
    }
}

fn numbers(tensor: &Tensor<'_>) -> Vec<f64> {
    match tensor.kind {
        Kind::F32 => {
            let values = tensor.data.as_chunks().0.iter();
            values.map(|value| f32::from_le_bytes(*value).into()).collect()
        }
        _ => tensor
            .data
            .as_chunks()
            .0
            .iter()
            .map(|value| f64::from_le_bytes(*value))
            .collect(),
    }
}

fn expected(key: String, shape: &[u64]) -> Expected {
    let shape = shape.to_vec();
    Expected { key, shape, kind: None }
}

/// A kernel of this shape that three layers share, each with an update of this rank (none of rank 0).
fn network(shape: &[u64], rank: u64) -> (Vec<Expected>, Vec<Shared>, Vec<Private>) {
    let columns = shape[1..].iter().product();
    let mut all = vec![expected("shared.k.weight".to_owned(), shape)];
    let mut private = Vec::new();
    // B before A in the list, which may have any order.
    for layer in LAYERS.iter().filter(|_| rank > 0) {
        for (name, shape) in [("low_rank_b", [shape[0], rank]), ("low_rank_a", [rank, columns])] {
            let key = format!("{layer}.{name}");
            all.push(expected(key.clone(), &shape));
            let kernel = format!("{layer}.weight");
            private.push(Private { key, kernel });
        }
    }
    let shared = Shared {
        key: "shared.k.weight".to_owned(),
        visits: LAYERS.map(|layer| format!("{layer}.weight")).to_vec(),
        copies: true,
    };
    (all, vec![shared], private)
}

fn unshared(kind: Kind, shape: &[u64]) -> File {
    let layers = (0..3).map(|at| tensor(format!("{}.weight", LAYERS[at]), kind, shape, &weights(at)));
    File::parse(to_bytes(&layers.collect::<Vec<_>>(), &[])).unwrap()
}

/// What is fused, and the kernels of the layers that it gives.
fn fused(kind: Kind, shape: &[u64], rank: u64) -> (Vec<Tensor<'static>>, Vec<Vec<f64>>) {
    let (expected, shared, private) = network(shape, rank);
    let unshared = unshared(kind, shape);
    let tensors = fuse(&unshared, &expected, &shared, &private, Method::Svd).unwrap();
    assert_eq!(tensors.len(), expected.len());
    let fused = File::parse(to_bytes(&tensors, &shared)).unwrap();
    let unrolled = unroll(&fused, &expected, &shared, &private, &[]).unwrap();
    let owned = |tensor: &Tensor<'_>| Tensor {
        data: Cow::Owned(tensor.data.to_vec()),
        key: tensor.key.clone(),
        shape: tensor.shape.clone(),
        kind: tensor.kind,
    };
    (
        tensors.iter().map(owned).collect(),
        unrolled.iter().map(numbers).collect(),
    )
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

/// The shared kernel is the mean, and each layer's kernel is as far from its own as the singular values say that are left
/// out: for a linear layer and a convolution, with more columns than rows and with fewer.
#[test]
fn what_is_left_out_is_the_tail_of_the_singular_values() {
    for (shape, values) in [
        (&[3, 4][..], WIDE),
        (&[3, 2, 1, 2], WIDE),
        (&[4, 3], TALL),
        (&[4, 1, 3, 1], TALL),
    ] {
        for rank in 1..=2 {
            let (tensors, layers) = fused(Kind::F64, shape, rank);
            let mean: Vec<f64> = (0..12)
                .map(|at| (0..3).map(|layer| weights(layer)[at]).sum::<f64>() / 3.0)
                .collect();
            assert!(distance(&numbers(&tensors[0]), &mean) < 1e-14);
            for (at, layer) in layers.iter().enumerate() {
                let left = values[at][rank as usize..].iter().map(|value| value * value);
                let expected = left.sum::<f64>().sqrt();
                let found = distance(layer, &weights(at));
                assert!(
                    (found - expected).abs() < 1e-7,
                    "{shape:?}, rank {rank}: {found}, not {expected}"
                );
            }
        }
    }
}

/// A rank of all rows gives the layers' kernels, to rounding; more is filled as at the start of training.
#[test]
fn enough_rank_gives_the_kernels_back() {
    for (kind, most) in [(Kind::F32, 3e-6), (Kind::F64, 1e-13)] {
        for (shape, rank) in [(&[3, 2, 1, 2][..], 3), (&[4, 3], 3), (&[3, 4], 7)] {
            let (tensors, layers) = fused(kind, shape, rank);
            for (at, layer) in layers.iter().enumerate() {
                let found = distance(layer, &weights(at));
                assert!(found < most, "{kind}, {shape:?}: {found}");
            }
            assert!(tensors.iter().all(|tensor| tensor.kind == kind));
        }
    }
    let (tensors, _) = fused(Kind::F64, &[3, 4], 7);
    let (a, b) = (numbers(&tensors[2]), numbers(&tensors[1]));
    assert!(tensors[2].key.ends_with("low_rank_a") && tensors[1].key.ends_with("low_rank_b"));
    assert!(a[12..].iter().all(|value| *value != 0.0), "{a:?}");
    assert!(b.chunks(7).all(|row| row[3..] == [0.0; 4]), "{b:?}");
    // A layer that is the mean needs no update, and has one that can be trained.
    let (expected, shared, private) = network(&[3, 4], 1);
    let same = LAYERS.map(|layer| tensor(format!("{layer}.weight"), Kind::F32, &[3, 4], &weights(1)));
    let same = File::parse(to_bytes(&same, &[])).unwrap();
    let by = |method| fuse(&same, &expected, &shared, &private, method).unwrap();
    assert_eq!(by(Method::Svd), by(Method::Mean));
}

/// Rows of A are orthonormal and the columns of B orthogonal, of falling length: the singular values.
#[test]
fn the_factors_are_those_of_the_decomposition() {
    let (tensors, _) = fused(Kind::F64, &[3, 2, 1, 2], 2);
    for (at, values) in WIDE.iter().enumerate() {
        let (b, a) = (numbers(&tensors[1 + 2 * at]), numbers(&tensors[2 + 2 * at]));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (first, second) = a.split_at(4);
        let products = [dot(first, first), dot(second, second), dot(first, second)];
        assert!(distance(&products, &[1.0, 1.0, 0.0]) < 1e-14, "{products:?}");
        let column = |at: usize| b.iter().skip(at).step_by(2).copied().collect::<Vec<_>>();
        let lengths = [0, 1].map(|at| dot(&column(at), &column(at)).sqrt());
        assert!(distance(&lengths, &values[..2]) < 1e-7, "{lengths:?}");
        assert!(dot(&column(0), &column(1)).abs() < 1e-13);
    }
}

/// Squares of huge and tiny values are no numbers; their quotients are.
#[test]
fn no_size_is_too_large_or_too_small() {
    let (expected, shared, private) = network(&[2, 2], 1);
    for size in [1e-200, 1e200] {
        let kernels = [[1.0, 2.0, 2.0, 4.0], [0.0; 4], [-1.0, -2.0, -2.0, -4.0]].map(|layer| layer.map(|x| x * size));
        let layers = [0, 1, 2].map(|at| tensor(format!("{}.weight", LAYERS[at]), Kind::F64, &[2, 2], &kernels[at]));
        let file = File::parse(to_bytes(&layers, &[])).unwrap();
        let tensors = fuse(&file, &expected, &shared, &private, Method::Svd).unwrap();
        let fused = File::parse(to_bytes(&tensors, &shared)).unwrap();
        for (layer, kernel) in unroll(&fused, &expected, &shared, &private, &[])
            .unwrap()
            .iter()
            .zip(kernels)
        {
            let off = numbers(layer)
                .iter()
                .zip(kernel)
                .map(|(a, b)| (a - b).abs() / size)
                .fold(0.0, f64::max);
            assert!(off < 1e-14, "{off}");
        }
    }
}

/// A layer that diverged leaves the updates of all that share with it at their start, and takes no time.
#[test]
fn what_is_no_number_has_no_update() {
    let (expected, shared, private) = network(&[3, 4], 2);
    for broken in [f64::NAN, f64::INFINITY] {
        let layers = [0, 1, 2].map(|at| {
            let mut values = weights(at);
            if at == 1 {
                values[5] = broken;
            }
            tensor(format!("{}.weight", LAYERS[at]), Kind::F64, &[3, 4], &values)
        });
        let file = File::parse(to_bytes(&layers, &[])).unwrap();
        let tensors = fuse(&file, &expected, &shared, &private, Method::Svd).unwrap();
        assert!(!numbers(&tensors[0])[5].is_finite());
        assert!(tensors[1..].iter().step_by(2).all(|b| numbers(b) == [0.0; 6]));
    }
}

#[test]
fn a_network_without_updates_is_refused_with_the_clause() {
    let (expected, shared, private) = network(&[3, 4], 0);
    let file = unshared(Kind::F32, &[3, 4]);
    let problems = fuse(&file, &expected, &shared, &private, Method::Svd).unwrap_err();
    let problems = problems.to_string();
    assert!(
        problems.contains("`shared.k.weight`") && problems.contains("`with private low_rank(4)`"),
        "{problems}"
    );
    let halves = (0..3).map(|at| Tensor {
        data: Cow::Owned(vec![at as u8; 24]),
        ..tensor(format!("{}.weight", LAYERS[at]), Kind::F16, &[3, 4], &[])
    });
    let halves = File::parse(to_bytes(&halves.collect::<Vec<_>>(), &[])).unwrap();
    let (expected, shared, private) = network(&[3, 4], 1);
    let problems = fuse(&halves, &expected, &shared, &private, Method::Svd).unwrap_err();
    assert!(problems.to_string().contains("F16, expected F32 or F64"), "{problems}");
}
