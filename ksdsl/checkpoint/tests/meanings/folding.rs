//! Fusing and folding values, by hand.

use super::*;

fn single_values(tensor: &Tensor<'_>) -> Vec<f32> {
    assert_eq!(tensor.kind, Kind::F32, "{}", tensor.key);
    tensor
        .data
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

/// Three output channels of two values; weights of one value and of one for each channel, in both widths.
#[test]
fn means_weigh_by_layer_and_by_channel() {
    let network = [expected("shared.k.weight", &[3, 2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight"])];
    let copies = [
        singles("a.weight", &[3, 2], &[0.0, 8.0, 0.0, 8.0, 0.0, 8.0]),
        singles("b.weight", &[3, 2], &[8.0, 0.0, 8.0, 0.0, 8.0, 0.0]),
    ];
    let copies = file(&copies, &[]);
    let fused = |method: Method<'_>| {
        fuse(&copies, &network, &sharing, &[], method)
            .map(|tensors| single_values(&tensors[0]))
            .map_err(|p| p.to_string())
    };
    assert_eq!(fused(Method::Mean).unwrap(), [4.0; 6]);
    let a_three = file(&[doubles("a", &[1], &[3.0])], &[]);
    // A layer without weights has weights of 1: (3 * 0 + 8) / 4 and 3 * 8 / 4.
    assert_eq!(fused(Method::Scalar(&a_three)).unwrap(), [2.0, 6.0, 2.0, 6.0, 2.0, 6.0]);
    let channels = file(&[singles("a", &[3], &[3.0, 1.0, 0.0])], &[]);
    assert_eq!(
        fused(Method::Channel(&channels)).unwrap(),
        [2.0, 6.0, 4.0, 4.0, 8.0, 0.0]
    );
    for (method, message) in [
        (
            Method::Scalar(&channels),
            "invalid weights for `a`: 3 weights, expected 1",
        ),
        (
            Method::Channel(&a_three),
            "invalid weights for `a`: 1 weights, expected 3",
        ),
    ] {
        let problem = fused(method).unwrap_err();
        assert_eq!(problem, format!("the weights do not match the network:\n- {message}"));
    }
    let refused = |weights: &[Tensor<'_>]| fused(Method::Channel(&file(weights, &[]))).unwrap_err();
    let zero = [
        singles("a", &[3], &[1.0, 0.0, 1.0]),
        singles("b", &[3], &[1.0, 0.0, 1.0]),
    ];
    let no_sum = "invalid weights for `shared.k.weight`: the sum of its layers' weights is not positive";
    assert!(refused(&zero).ends_with(no_sum));
    assert!(refused(&[singles("a", &[3], &[-2.0, 1.0, 1.0])]).ends_with(no_sum));
    assert!(refused(&[singles("a", &[3], &[1.0, f32::INFINITY, 1.0])]).contains("a weight is not finite"));
    let bytes = [tensor("a", Kind::I32, &[3], vec![0; 12])];
    assert!(refused(&bytes).contains("invalid weights for `a`: weights of type I32, expected F32 or F64"));
    assert!(
        refused(&[singles("c", &[3], &[1.0; 3])])
            .contains("invalid weights for `c`: no layer of this name shares a kernel")
    );
}

/// Means of doubles are doubles, and exact; copies of two types have none.
#[test]
fn means_keep_the_type() {
    let network = [expected("shared.k.weight", &[2], None)];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight"])];
    let small = 2.0_f64.powi(-50);
    let copies = file(
        &[
            doubles("a.weight", &[2], &[1.0, 5.0]),
            doubles("b.weight", &[2], &[1.0 + 2.0 * small, 7.0]),
        ],
        &[],
    );
    let fused = fuse(&copies, &network, &sharing, &[], Method::Mean).unwrap();
    assert_eq!(fused, [doubles("shared.k.weight", &[2], &[1.0 + small, 6.0])]);
    let mixed = file(
        &[
            singles("a.weight", &[2], &[1.0, 5.0]),
            doubles("b.weight", &[2], &[1.0, 7.0]),
        ],
        &[],
    );
    let problem = fuse(&mixed, &network, &sharing, &[], Method::Mean)
        .unwrap_err()
        .to_string();
    assert!(
        problem.ends_with("- `b.weight` has the type F64, expected F32, the type of `a.weight`"),
        "{problem}"
    );
    let half = |value: u8| vec![value; 4];
    let halves = [
        tensor("a.weight", Kind::F16, &[2], half(0)),
        tensor("b.weight", Kind::F16, &[2], half(1)),
    ];
    let halves = file(&halves, &[]);
    let problem = fuse(&halves, &network, &sharing, &[], Method::Mean)
        .unwrap_err()
        .to_string();
    assert!(
        problem.ends_with("- `a.weight` has the type F16, expected F32 or F64, which can be averaged"),
        "{problem}"
    );
    // The first needs no mean, nor do equal ones.
    let first = fuse(&halves, &network, &sharing, &[], Method::First).unwrap();
    assert_eq!(first[0].data, half(0));
}

/// A scale alone, an addition alone, and both, for a kernel of 2 rows of 3 columns, by hand.
#[test]
fn own_parts_are_folded_row_by_row() {
    let network = [
        expected("shared.k.weight", &[2, 3, 1, 1], None),
        expected("a.scale", &[2], None),
        expected("b.low_rank_a", &[2, 3], None),
        expected("b.low_rank_b", &[2, 2], None),
        expected("c.scale", &[2], None),
        expected("c.low_rank_a", &[1, 3], None),
        expected("c.low_rank_b", &[2, 1], None),
    ];
    let sharing = [shared("shared.k.weight", &["a.weight", "b.weight", "c.weight"])];
    let private: Vec<Private> = network[1..]
        .iter()
        .map(|tensor| Private {
            key: tensor.key.clone(),
            kernel: format!("{}.weight", &tensor.key[..1]),
        })
        .collect();
    let tensors = [
        singles("shared.k.weight", &[2, 3, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        singles("a.scale", &[2], &[2.0, -1.0]),
        singles("b.low_rank_a", &[2, 3], &[1.0, 0.0, 2.0, 0.0, 1.0, 1.0]),
        singles("b.low_rank_b", &[2, 2], &[10.0, 1.0, 0.0, 100.0]),
        singles("c.scale", &[2], &[0.5, 3.0]),
        singles("c.low_rank_a", &[1, 3], &[1.0, 2.0, 3.0]),
        singles("c.low_rank_b", &[2, 1], &[1.0, -1.0]),
    ];
    let file = file(&tensors, &sharing);
    let unrolled = unroll(&file, &network, &sharing, &private, &[]).unwrap();
    let found: Vec<(&str, Vec<f32>)> = unrolled.iter().map(|t| (t.key.as_str(), single_values(t))).collect();
    let by_hand = [
        ("a.weight", vec![2.0, 4.0, 6.0, -4.0, -5.0, -6.0]),
        // B A is [10, 1, 21; 0, 100, 100].
        ("b.weight", vec![11.0, 3.0, 24.0, 4.0, 105.0, 106.0]),
        // 0.5 (K + [1, 2, 3]) and 3 (K - [1, 2, 3]).
        ("c.weight", vec![1.0, 2.0, 3.0, 9.0, 9.0, 9.0]),
    ];
    assert_eq!(found, by_hand);
    assert!(unrolled.iter().all(|tensor| tensor.shape == [2, 3, 1, 1]));
}

/// In Python, for the hash FNV-1a of the key and SplitMix64:
/// ```python
/// seed = 0xcbf29ce484222325
/// for byte in b"s.2.c.low_rank_a":
///     seed = (seed ^ byte) * 0x100000001b3 & 2**64 - 1
/// for _ in range(4):
///     seed = seed + 0x9e3779b97f4a7c15 & 2**64 - 1
///     z = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9 & 2**64 - 1
///     z = (z ^ z >> 27) * 0x94d049bb133111eb & 2**64 - 1
///     print(2**-0.5 * (2 * ((z ^ z >> 31) >> 11) / 2**53 - 1) )
/// ```
#[test]
fn additions_start_the_same_for_ever() {
    let network = [
        expected("shared.k.weight", &[2, 2], None),
        expected("s.2.c.scale", &[2], None),
        expected("s.2.c.low_rank_a", &[2, 2], None),
        expected("s.2.c.low_rank_b", &[2, 2], None),
    ];
    let sharing = [shared("shared.k.weight", &["s.1.c.weight", "s.2.c.weight"])];
    let private: Vec<Private> = network[1..]
        .iter()
        .map(|tensor| Private {
            key: tensor.key.clone(),
            kernel: "s.2.c.weight".to_owned(),
        })
        .collect();
    let kernels = ["s.1.c.weight", "s.2.c.weight"].map(|key| doubles(key, &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    let file = file(&kernels, &[]);
    let tensors = fuse(&file, &network, &sharing, &private, Method::Mean).unwrap();
    let values = [
        0.03954880236111944,
        -0.38674488452108435,
        -0.5783960006326556,
        -0.40899652804600517,
    ];
    let [kernel, scale, a, b] = tensors.as_slice() else {
        panic!("{} tensors", tensors.len())
    };
    assert_eq!(*kernel, doubles("shared.k.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]));
    assert_eq!(*scale, doubles("s.2.c.scale", &[2], &[1.0, 1.0]));
    assert_eq!(
        (a.key.as_str(), a.kind, &a.shape[..]),
        ("s.2.c.low_rank_a", Kind::F64, &[2, 2][..])
    );
    let found = a.data.as_chunks().0.iter().map(|value| f64::from_le_bytes(*value));
    for (found, value) in found.zip(values) {
        assert!((found - value).abs() < 1e-15, "{found}, not {value}");
    }
    assert_eq!(*b, doubles("s.2.c.low_rank_b", &[2, 2], &[0.0; 4]));
}
