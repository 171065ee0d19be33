//! Products against sums in `f64`, for every remainder of the tiles at every level.

use super::{
    Mat, Narrow, Packed, Rows, Start, Terms, add_transposed, gather_product, narrow_row_product, product,
    product_by_columns, product_of_transposed, product_packing, product_transposed, row_product,
};
use crate::simd::Level;
use crate::weight_type::WeightType;

/// Values in [-1, 1) that differ from place to place.
fn values(seed: u32, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The greatest difference to `want`, relative to its greatest value.
fn distance(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let most = want.iter().fold(1e-30_f64, |most, value| most.max(value.abs()));
    got.iter()
        .zip(want)
        .map(|(&got, want)| (f64::from(got) - want).abs())
        .fold(0.0, f64::max)
        / most
}

/// `start + sum over k of a(i, k) b(k, j)`.
fn reference(
    [rows, depth, cols]: [usize; 3],
    start: impl Fn(usize, usize) -> f32,
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f64> {
    let sum = |i: usize, j: usize| {
        let terms = (0..depth).map(|k| f64::from(a(i, k)) * f64::from(b(k, j)));
        f64::from(start(i, j)) + terms.sum::<f64>()
    };
    (0..rows)
        .flat_map(|i| (0..cols).map(move |j| (i, j)))
        .map(|(i, j)| sum(i, j))
        .collect()
}

/// Row and column remainders of all tiles, and depths around the blocks.
fn sizes() -> Vec<[usize; 3]> {
    let mut sizes = Vec::new();
    for rows in 1..=13 {
        for cols in [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 80, 129] {
            sizes.push([rows, 1 + (rows * cols) % 19, cols]);
        }
    }
    sizes.extend([
        [50, 300, 70],
        [7, 513, 40],
        [200, 3, 130],
        [97, 256, 64],
        [300, 520, 9],
        [129, 288, 256],
    ]);
    sizes
}

/// Runs `check` for all sizes at all levels of this machine.
fn everywhere(mut check: impl FnMut([usize; 3]) -> f64) {
    for level in Level::available() {
        let worst = level.with(|| sizes().into_iter().map(&mut check).fold(0.0, f64::max));
        println!("{level:?}: greatest relative error {worst:.1e}");
        assert!(worst <= 2e-6, "{level:?}: {worst:e}");
    }
}

#[test]
fn products_match_for_all_remainders() {
    everywhere(|[rows, depth, cols]| {
        let (a_stride, c_stride) = (depth + rows % 3, cols + rows % 4);
        let a = values(1, rows * a_stride);
        let b = values(2, depth * cols);
        let (bias, before) = (values(3, cols), values(4, rows * c_stride));
        let at = |i: usize, k: usize| a[i * a_stride + k];
        let mut worst = 0.0_f64;
        for transposed in [false, true] {
            let b_at = |k: usize, j: usize| if transposed { b[j * depth + k] } else { b[k * cols + j] };
            let packed = Packed::new(if transposed {
                Mat::new(&b, cols, depth, depth).transposed()
            } else {
                Mat::new(&b, depth, cols, cols)
            });
            for start in [Start::Zero, Start::Sum, Start::Bias(&bias[..])] {
                let mut c = before.clone();
                product(&mut c, c_stride, start, Mat::new(&a, rows, depth, a_stride), &packed);
                let first = |i: usize, j: usize| match start {
                    Start::Zero => 0.0,
                    Start::Sum => before[i * c_stride + j],
                    Start::Bias(bias) => bias[j],
                };
                let want = reference([rows, depth, cols], first, at, b_at);
                let got: Vec<_> = c.chunks(c_stride).flat_map(|row| row[..cols].to_vec()).collect();
                worst = worst.max(distance(&got, &want));
                let outside = c.chunks(c_stride).zip(before.chunks(c_stride));
                outside.for_each(|(c, before)| assert_eq!(c[cols..], before[cols..], "between the rows"));
            }
        }
        worst
    });
}

#[test]
fn transposed_products_match_for_all_remainders() {
    everywhere(|[rows, depth, cols]| {
        let (a_stride, b_stride, c_stride) = (rows + 190 * (depth % 2), cols + 150 * (depth % 3), cols + 5);
        let (a, b) = (values(5, depth * a_stride), values(6, depth * b_stride));
        let before = values(7, rows * c_stride);
        let mut c = before.clone();
        add_transposed(
            &mut c,
            c_stride,
            Mat::new(&a, depth, rows, a_stride),
            Mat::new(&b, depth, cols, b_stride),
        );
        let want = reference(
            [rows, depth, cols],
            |i, j| before[i * c_stride + j],
            |i, k| a[k * a_stride + i],
            |k, j| b[k * b_stride + j],
        );
        let got: Vec<_> = c.chunks(c_stride).flat_map(|row| row[..cols].to_vec()).collect();
        distance(&got, &want)
    });
}

/// Cut by columns or not: the same sums in the same order.
#[test]
fn products_that_are_cut_have_the_same_bits() {
    let more = [
        [33, 1, 17],
        [64, 1030, 200],
        [35, 513, 300],
        [1, 700, 150],
        [1, 130, 4200],
        [1, 128, 64],
    ];
    for level in Level::available() {
        for [rows, depth, cols] in sizes().into_iter().chain(more) {
            level.with(|| {
                let (a, b, bias) = (values(1, rows * depth), values(2, depth * cols), values(3, cols));
                let a = Mat::new(&a, rows, depth, depth);
                let transposed: Vec<f32> = (0..cols * depth).map(|at| b[at % depth * cols + at / depth]).collect();
                let (b, transposed) = (
                    Mat::new(&b, depth, cols, cols),
                    Mat::new(&transposed, cols, depth, depth),
                );
                let packed = Packed::new(b);
                for start in [Start::Zero, Start::Bias(&bias[..])] {
                    let mut want = vec![0.0; rows * cols];
                    product(&mut want, cols, start, a, &packed);
                    // What is not written stays a NaN.
                    let check = |multiply: &dyn Fn(&mut [f32])| {
                        let mut c = vec![f32::NAN; rows * cols];
                        multiply(&mut c);
                        let same = c.iter().zip(&want).all(|(c, want)| c.to_bits() == want.to_bits());
                        assert!(same, "{level:?}: {rows} x {depth} x {cols}");
                    };
                    if rows == 1 {
                        check(&|c| row_product(c, start, a, &packed));
                    }
                    for tasks in [1, 3, 8] {
                        check(&|c| product_by_columns(c, start, a, &packed, tasks));
                    }
                    for step in [16, 48, 256] {
                        check(&|c| product_packing(c, start, a, b, step));
                        check(&|c| product_transposed(c, start, a, transposed, step));
                    }
                }
            });
        }
    }
}

/// A first gradient is written over what was there.
#[test]
fn first_gradients_need_no_zeros() {
    for level in Level::available() {
        for [cols, rows, width] in [[7, 300, 40], [64, 5, 64], [3, 0, 9]] {
            level.with(|| {
                let (a, b) = (values(1, rows * cols), values(2, rows * width));
                let (a, b) = (Mat::new(&a, rows, cols, cols), Mat::new(&b, rows, width, width));
                let mut first = vec![f32::NAN; cols * width];
                product_of_transposed(&mut first, width, false, a, b);
                let mut sum = vec![0.0; cols * width];
                add_transposed(&mut sum, width, a, b);
                assert_eq!(first, sum);
            });
        }
    }
}

/// Rows and terms that lie anywhere.
#[test]
fn gathered_products_match() {
    everywhere(|[rows, depth, cols]| {
        let segments = [3, 0, 3 + 2 * depth];
        let starts: Vec<_> = (0..rows).map(|i| (rows - 1 - i) * 3).collect();
        let to: Vec<_> = (0..rows).map(|i| (i ^ 1) * cols).collect();
        let terms = Terms {
            segments: &segments,
            len: depth,
            step: 2,
        };
        let a = values(8, starts[0] + segments[2] + 2 * depth);
        let b = values(9, 3 * depth * cols);
        let packed = Packed::new(Mat::new(&b, 3 * depth, cols, cols));
        let mut c = vec![0.0; (rows + 1) * cols];
        let a_rows = (&a[..], rows, Rows::Listed(&starts), terms);
        gather_product(&mut c, Rows::Listed(&to), Start::Zero, a_rows, &packed);
        let want = reference(
            [rows, 3 * depth, cols],
            |_, _| 0.0,
            |i, k| a[starts[i] + segments[k / depth] + k % depth * 2],
            |k, j| b[k * cols + j],
        );
        let got: Vec<_> = to.iter().flat_map(|&to| c[to..to + cols].to_vec()).collect();
        distance(&got, &want)
    });
}

/// A factor of narrow values gives the bits of the same values in `f32`; others are not narrowed.
#[test]
fn narrow_factors_give_the_same_bits() {
    let sizes = [
        (1, 1),
        (7, 3),
        (40, 17),
        (130, 64),
        (257, 65),
        (300, 200),
        (129, 4160),
        (700, 4100),
    ];
    for (depth, cols) in sizes {
        let original = values(depth as u32, depth * cols);
        let [a, bias] = [values(3, depth), values(4, cols)];
        for to in [WeightType::Bf16, WeightType::Int8] {
            let mut weight = original.clone();
            to.round(&mut weight, cols);
            let transposed =
                |weight: &'_ [f32]| -> Option<Narrow> { Narrow::of(Mat::new(weight, cols, depth, depth).transposed()) };
            let a = Mat::new(&a, 1, depth, depth);
            for level in Level::available() {
                level.with(|| {
                    let packed = Packed::new(Mat::new(&weight, cols, depth, depth).transposed());
                    let narrow = transposed(&weight).unwrap_or_else(|| panic!("{to:?}, {depth} x {cols}"));
                    for start in [Start::Zero, Start::Bias(&bias[..]), Start::Sum] {
                        let [mut expected, mut found] = [values(5, cols), values(5, cols)];
                        row_product(&mut expected, start, a, &packed);
                        narrow_row_product(&mut found, start, a, &narrow);
                        let same = expected.iter().zip(&found).all(|(a, b)| a.to_bits() == b.to_bits());
                        assert!(same, "{to:?}, {depth} x {cols}, {level:?}, {start:?}");
                    }
                    // A single other value in the last place.
                    if depth > 1 {
                        let mut other = weight.clone();
                        other[depth * cols - 1] = 0.123_456_79;
                        assert!(transposed(&other).is_none(), "{to:?}, {depth} x {cols}");
                    }
                });
            }
        }
    }
}
