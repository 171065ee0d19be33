//! The singular value decomposition, by the one-sided Jacobi method (Hestenes 1958): pairs of vectors are rotated until all
//! are orthogonal. Every singular value is as accurate as its vectors, and the result is the same everywhere.

/// A matrix as `left^T * right`, the rows of both by falling singular values.
pub(crate) struct Factors {
    /// Rows of `left`, of the length of a column, each times its singular value.
    pub(crate) left: Vec<Vec<f64>>,
    /// Rows of `right`, of the length of a row, with norm 1.
    pub(crate) right: Vec<Vec<f64>>,
}

/// More sweeps over all pairs than any matrix takes.
const SWEEPS: usize = 60;
/// Cosines of angles that are right but for rounding.
const RIGHT: f64 = 1e-15;
/// Singular values below this share of the largest are rounding.
const NONE: f64 = 1e-14;

/// The largest singular values of a matrix with rows of this length, with their vectors: at most `rank`, none that are zero.
pub(crate) fn truncated(matrix: &[f64], columns: usize, rank: usize) -> Factors {
    let largest = matrix.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let none = Factors {
        left: Vec::new(),
        right: Vec::new(),
    };
    // What is no number has no decomposition; its mean is none either.
    if largest == 0.0 || matrix.iter().any(|value| !value.is_finite()) {
        return none;
    }
    let rows = matrix.len() / columns;
    // The vectors are the rows or the columns, of which there are fewer.
    let by_rows = rows <= columns;
    let (count, length) = if by_rows { (rows, columns) } else { (columns, rows) };
    let at = |vector: usize, place: usize| match by_rows {
        true => matrix[vector * columns + place],
        false => matrix[place * columns + vector],
    };
    // Divided by the largest, so that no square overflows or vanishes.
    let vector = |vector| (0..length).map(|place| at(vector, place) / largest).collect();
    let mut vectors: Vec<Vec<f64>> = (0..count).map(vector).collect();
    let unit = |at| (0..count).map(|place| f64::from(u8::from(place == at))).collect();
    let mut rotations: Vec<Vec<f64>> = (0..count).map(unit).collect();
    orthogonalise(&mut vectors, &mut rotations);
    let norms: Vec<f64> = vectors.iter().map(|vector| dot(vector, vector).sqrt()).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| norms[*b].total_cmp(&norms[*a]));
    let most = norms[order[0]];
    order.truncate(rank);
    order.retain(|at| norms[*at] > NONE * most);
    let times = |vector: &[f64], factor: f64| vector.iter().map(|value| value * factor).collect();
    let pair = |at: usize| {
        let (vector, rotation, norm) = (&vectors[at], &rotations[at], norms[at]);
        match by_rows {
            true => (times(rotation, norm * largest), times(vector, 1.0 / norm)),
            false => (times(vector, largest), rotation.clone()),
        }
    };
    let (left, right) = order.into_iter().map(pair).unzip();
    Factors { left, right }
}

/// Rotates the vectors in planes of two until all are orthogonal, and `rotations` with them.
fn orthogonalise(vectors: &mut [Vec<f64>], rotations: &mut [Vec<f64>]) {
    for _ in 0..SWEEPS {
        let mut is_done = true;
        for second in 1..vectors.len() {
            for first in 0..second {
                let Some(rotation) = rotation(&vectors[first], &vectors[second]) else {
                    continue;
                };
                is_done = false;
                rotate(vectors, (first, second), rotation);
                rotate(rotations, (first, second), rotation);
            }
        }
        if is_done {
            return;
        }
    }
}

/// Cosine and sine of the rotation that makes two vectors orthogonal; none if they are.
fn rotation(first: &[f64], second: &[f64]) -> Option<(f64, f64)> {
    let (along, a, b) = (dot(first, second), dot(first, first), dot(second, second));
    if along.abs() <= RIGHT * (a * b).sqrt() {
        return None;
    }
    let zeta = (b - a) / (2.0 * along);
    let tangent = zeta.signum() / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    Some((cosine, cosine * tangent))
}

fn rotate(vectors: &mut [Vec<f64>], (first, second): (usize, usize), (cosine, sine): (f64, f64)) {
    let (before, after) = vectors.split_at_mut(second);
    for (a, b) in before[first].iter_mut().zip(&mut after[0]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

/// In eight sums, which the compiler keeps in vectors.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, last_a), (b, last_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for at in 0..8 {
            sums[at] += a[at] * b[at];
        }
    }
    let rest: f64 = last_a.iter().zip(last_b).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}
