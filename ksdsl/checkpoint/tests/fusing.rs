//! Fusing and unrolling, against means by hand.

use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Kind, Private, Shared, Tensor, to_bytes};
use proptest::prelude::*;
use std::borrow::Cow;

fn single(key: &str, shape: &[u64], values: &[f32]) -> Tensor<'static> {
    Tensor {
        key: key.to_owned(),
        kind: Kind::F32,
        shape: shape.to_vec(),
        data: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    }
}

fn double(key: &str, shape: &[u64], values: &[f64]) -> Tensor<'static> {
    Tensor {
        key: key.to_owned(),
        kind: Kind::F64,
        shape: shape.to_vec(),
        data: Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    }
}

fn file(tensors: &[Tensor<'_>]) -> File {
    File::parse(to_bytes(tensors, &[])).unwrap()
}

/// A kernel of two output channels with three visits that are no neighbours, and a private bias.
fn network() -> (Vec<Expected>, Vec<Shared>) {
    let expected = [("shared.k.weight", vec![2, 2]), ("p.bias", vec![1])].map(|(key, shape)| Expected {
        key: key.to_owned(),
        shape,
        kind: None,
    });
    let visits = ["s.0.c.weight", "s.2.c.weight", "s.5.c.weight"].map(str::to_owned);
    let shared = Shared {
        key: "shared.k.weight".to_owned(),
        visits: visits.to_vec(),
        copies: true,
    };
    (expected.to_vec(), vec![shared])
}

fn unshared() -> File {
    file(&[
        single("s.0.c.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        single("s.2.c.weight", &[2, 2], &[2.0, 2.0, 5.0, -4.0]),
        single("s.5.c.weight", &[2, 2], &[6.0, 2.0, 1.0, 0.0]),
        single("p.bias", &[1], &[7.0]),
    ])
}

fn fused(file: &File, method: Method<'_>) -> Vec<f32> {
    let (expected, shared) = network();
    let tensors = fuse(file, &expected, &shared, &[], method).unwrap();
    assert_eq!(tensors[0].key, "shared.k.weight");
    assert_eq!(tensors[1], single("p.bias", &[1], &[7.0]));
    tensors[0]
        .data
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

#[test]
fn means_are_those_by_hand() {
    let unshared = unshared();
    assert_eq!(fused(&unshared, Method::First), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(fused(&unshared, Method::Mean), [3.0, 2.0, 3.0, 0.0]);
    // 1/8, 5/8 and 2/8: (1 + 10 + 12) / 8, 2, (3 + 25 + 2) / 8, (4 - 20) / 8.
    let weights = file(&[
        single("s.0.c", &[], &[0.5]),
        double("s.2.c", &[1], &[2.5]),
        single("s.5.c", &[1], &[1.0]),
    ]);
    assert_eq!(
        fused(&unshared, Method::Scalar(&weights)),
        [23.0 / 8.0, 2.0, 30.0 / 8.0, -2.0]
    );
    // Channel 0: only the last; channel 1: 1/4, 3/4, 0.
    let weights = file(&[
        single("s.0.c", &[2], &[0.0, 1.0]),
        single("s.2.c", &[2], &[0.0, 3.0]),
        single("s.5.c", &[2], &[1.0, 0.0]),
    ]);
    assert_eq!(fused(&unshared, Method::Channel(&weights)), [6.0, 2.0, 4.5, -2.0]);
}

#[test]
fn without_weights_means_are_plain() {
    let (unshared, none) = (unshared(), File::default());
    assert_eq!(fused(&unshared, Method::Scalar(&none)), fused(&unshared, Method::Mean));
    assert_eq!(fused(&unshared, Method::Channel(&none)), fused(&unshared, Method::Mean));
}

/// Equal values stay as they are, bit for bit: 0.1 + 0.1 + 0.1 is not 3 * 0.1, and of half floats there are no means.
#[test]
fn what_is_equal_in_all_copies_stays() {
    let (expected, shared) = network();
    let fused = |copy: &dyn Fn(&str, usize) -> Tensor<'static>| {
        let keys = ["s.0.c.weight", "s.2.c.weight", "s.5.c.weight"];
        let mut tensors: Vec<Tensor<'_>> = keys.iter().enumerate().map(|(at, key)| copy(key, at)).collect();
        tensors.push(single("p.bias", &[1], &[7.0]));
        fuse(&file(&tensors), &expected, &shared, &[], Method::Mean).unwrap()[0]
            .data
            .to_vec()
    };
    let lasts = [1.0, 2.0, 6.0];
    let mean = fused(&|key, at| double(key, &[2, 2], &[0.1, -0.0, 0.7, lasts[at]]));
    assert_eq!(mean, [0.1, -0.0, 0.7, 3.0_f64].map(f64::to_le_bytes).concat());
    let half = Tensor {
        kind: Kind::F16,
        data: Cow::Owned((0..8).collect()),
        ..single("", &[2, 2], &[])
    };
    assert_eq!(
        fused(&|key, _| Tensor {
            key: key.to_owned(),
            ..half.clone()
        }),
        half.data.to_vec()
    );
}

#[test]
fn weights_that_are_none_are_refused() {
    let (expected, shared) = network();
    let refused = |weights: &[Tensor<'_>], channel: bool| {
        let weights = file(weights);
        let method = if channel {
            Method::Channel(&weights)
        } else {
            Method::Scalar(&weights)
        };
        fuse(&unshared(), &expected, &shared, &[], method)
            .unwrap_err()
            .to_string()
    };
    let all = |value: f32| ["s.0.c", "s.2.c", "s.5.c"].map(|key| single(key, &[1], &[value]));
    assert!(refused(&all(0.0), false).contains("invalid weights for `shared.k.weight`"));
    assert!(refused(&all(f32::NAN), false).contains("invalid weights for `s.0.c`: a weight is not finite"));
    assert!(refused(&all(1.0), true).contains("1 weights, expected 2"));
    assert!(refused(&[single("s.1.c", &[1], &[1.0])], false).contains("invalid weights for `s.1.c`"));
}

#[test]
fn unrolling_gives_every_visit_its_copy() {
    let (expected, shared) = network();
    let kernel = single("shared.k.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]);
    let tied = file(&[kernel.clone(), single("p.bias", &[1], &[7.0])]);
    let unrolled = unroll(&tied, &expected, &shared, &[], &[]).unwrap();
    let keys: Vec<&str> = unrolled.iter().map(|tensor| tensor.key.as_str()).collect();
    assert_eq!(keys, ["s.0.c.weight", "s.2.c.weight", "s.5.c.weight", "p.bias"]);
    assert!(unrolled[..3].iter().all(|tensor| tensor.data == kernel.data));
}

#[test]
fn what_shares_already_cannot_be_fused() {
    let (expected, shared) = network();
    let tied = file(&[
        single("shared.k.weight", &[2, 2], &[0.0; 4]),
        single("p.bias", &[1], &[7.0]),
    ]);
    let problems = fuse(&tied, &expected, &shared, &[], Method::Mean)
        .unwrap_err()
        .to_string();
    assert!(problems.contains("`s.0.c.weight` is missing"), "{problems}");
    assert!(
        problems.contains("`shared.k.weight` is not a tensor of the network"),
        "{problems}"
    );
}

/// The network with factors for the first visit and an addition of rank 1 for the second.
fn with_own_parts() -> (Vec<Expected>, Vec<Shared>, Vec<Private>) {
    let (mut expected, shared) = network();
    let own = [
        ("s.0.c.scale", vec![2], "s.0.c.weight"),
        ("s.2.c.low_rank_a", vec![1, 2], "s.2.c.weight"),
        ("s.2.c.low_rank_b", vec![2, 1], "s.2.c.weight"),
    ];
    let private = own.map(|(key, shape, kernel)| {
        expected.push(Expected {
            key: key.to_owned(),
            shape,
            kind: None,
        });
        Private {
            key: key.to_owned(),
            kernel: kernel.to_owned(),
        }
    });
    (expected, shared, private.to_vec())
}

fn numbers(tensor: &Tensor<'_>) -> Vec<f32> {
    assert_eq!(tensor.kind, Kind::F32);
    let values = tensor.data.as_chunks().0.iter();
    values.map(|value| f32::from_le_bytes(*value)).collect()
}

#[test]
fn unrolling_folds_what_visits_have_of_their_own() {
    let (expected, shared, private) = with_own_parts();
    let kernel = [1.0, 2.0, 3.0, -0.0];
    let tied = file(&[
        single("shared.k.weight", &[2, 2], &kernel),
        single("p.bias", &[1], &[7.0]),
        single("s.0.c.scale", &[2], &[2.0, -1.0]),
        single("s.2.c.low_rank_a", &[1, 2], &[0.5, 4.0]),
        // A double factor does not change the type of the kernel.
        double("s.2.c.low_rank_b", &[2, 1], &[3.0, 0.0]),
    ]);
    let tensors = unroll(&tied, &expected, &shared, &private, &[]).unwrap();
    let found: Vec<(&str, Vec<f32>)> = tensors.iter().map(|t| (t.key.as_str(), numbers(t))).collect();
    let by_hand = [
        ("s.0.c.weight", vec![2.0, 4.0, -3.0, 0.0]),
        ("s.2.c.weight", vec![1.0 + 1.5, 2.0 + 12.0, 3.0, -0.0]),
        ("s.5.c.weight", kernel.to_vec()),
        ("p.bias", vec![7.0]),
    ];
    assert_eq!(found, by_hand);
    // Zero times A leaves even a negative zero as it is, and so does B times zero.
    assert!(found[1].1[3].is_sign_negative());
    let tied = file(&[
        single("shared.k.weight", &[2, 2], &[-0.0; 4]),
        single("p.bias", &[1], &[7.0]),
        single("s.0.c.scale", &[2], &[1.0, 1.0]),
        single("s.2.c.low_rank_a", &[1, 2], &[0.0, 0.5]),
        single("s.2.c.low_rank_b", &[2, 1], &[3.0, 2.0]),
    ]);
    let folded = numbers(&unroll(&tied, &expected, &shared, &private, &[]).unwrap()[1]);
    assert_eq!(folded, [0.0, 1.5, 0.0, 1.0]);
    assert!(folded[0].is_sign_negative() && folded[2].is_sign_negative());
}

#[test]
fn own_parts_that_are_no_numbers_are_refused() {
    let (expected, shared, private) = with_own_parts();
    let half = |key: &str, shape: &[u64]| Tensor {
        key: key.to_owned(),
        kind: Kind::F16,
        shape: shape.to_vec(),
        data: Cow::Owned(vec![0; 2 * shape.iter().product::<u64>() as usize]),
    };
    let tied = file(&[
        half("shared.k.weight", &[2, 2]),
        half("p.bias", &[1]),
        half("s.0.c.scale", &[2]),
        half("s.2.c.low_rank_a", &[1, 2]),
        half("s.2.c.low_rank_b", &[2, 1]),
    ]);
    let problems = unroll(&tied, &expected, &shared, &private, &[])
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains("`shared.k.weight` has the type F16, expected F32 or F64"),
        "{problems}"
    );
    let mut unshared: Vec<Tensor<'_>> = ["s.0.c.weight", "s.2.c.weight", "s.5.c.weight"]
        .map(|key| half(key, &[2, 2]))
        .to_vec();
    unshared.push(half("p.bias", &[1]));
    let problems = fuse(&file(&unshared), &expected, &shared, &private, Method::Mean).unwrap_err();
    assert!(problems.to_string().contains("F16, expected F32 or F64"), "{problems}");
}

/// Every layer uses the fused kernel as it is.
#[test]
fn own_parts_start_without_effect() {
    let (expected, shared, private) = with_own_parts();
    let unshared = unshared();
    let fused = |method| fuse(&unshared, &expected, &shared, &private, method).unwrap();
    let tensors = fused(Method::Mean);
    let get = |key: &str| numbers(tensors.iter().find(|tensor| tensor.key == key).unwrap());
    assert_eq!(tensors.len(), expected.len());
    assert_eq!(get("shared.k.weight"), [3.0, 2.0, 3.0, 0.0]);
    assert_eq!(get("s.0.c.scale"), [1.0, 1.0]);
    assert_eq!(get("s.2.c.low_rank_b"), [0.0, 0.0]);
    // Within 1 / sqrt(2), not zero (so that B gets a gradient), and the same in every run.
    let a = get("s.2.c.low_rank_a");
    assert!(
        a.iter().all(|a| a.abs() <= 0.5_f32.sqrt() && *a != 0.0) && a[0] != a[1],
        "{a:?}"
    );
    assert_eq!(fused(Method::Mean), tensors);

    let shared_file = File::parse(to_bytes(&tensors, &shared)).unwrap();
    let unrolled = unroll(&shared_file, &expected, &shared, &private, &[]).unwrap();
    for tensor in &unrolled[..3] {
        assert_eq!(numbers(tensor), [3.0, 2.0, 3.0, 0.0], "{}", tensor.key);
    }
    let unrolled = file(&unrolled);
    let again = fuse(&unrolled, &expected, &shared, &private, Method::Mean).unwrap();
    assert_eq!(again, tensors);
}

proptest! {
    /// Bit for bit, by every method, for numbers of every size and kind.
    #[test]
    fn fusing_what_was_unrolled_gives_it_back(bits: [u64; 4], weights: [u8; 3]) {
        let (expected, shared) = network();
        let values = bits.map(f64::from_bits);
        let tied = file(&[double("shared.k.weight", &[2, 2], &values), double("p.bias", &[1], &[0.1])]);
        let unrolled = file(&unroll(&tied, &expected, &shared, &[], &[]).unwrap());
        let weight = |key: &str, weight: u8| double(key, &[1], &[f64::from(weight) + 0.1]);
        let weights = file(&[
            weight("s.0.c", weights[0]), weight("s.2.c", weights[1]), weight("s.5.c", weights[2]),
        ]);
        for method in [Method::First, Method::Mean, Method::Scalar(&weights)] {
            let tensors = fuse(&unrolled, &expected, &shared, &[], method).unwrap();
            let again = File::parse(to_bytes(&tensors, &shared)).unwrap();
            for key in ["shared.k.weight", "p.bias"] {
                prop_assert_eq!(again.get(key), tied.get(key));
            }
        }
    }
}
