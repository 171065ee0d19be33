//! Sums, products, gates, joins, dropout and the change of layout.

use ksdsl_engine::Real;
use ksdsl_engine::size::MapSize;

/// `a + b`.
pub fn add<E: Real>(a: &[E], b: &[E]) -> Vec<E> {
    a.iter().zip(b).map(|(&a, &b)| a + b).collect()
}

/// `a * b`, element by element.
pub fn multiply<E: Real>(a: &[E], b: &[E]) -> Vec<E> {
    a.iter().zip(b).map(|(&a, &b)| a * b).collect()
}

/// `y[n, c, p] = x[n, c, p] * gate[n, c]`.
pub fn gate<E: Real>(size: MapSize, x: &[E], gate: &[E]) -> Vec<E> {
    let pixels = size.height * size.width;
    x.iter().enumerate().map(|(at, &x)| x * gate[at / pixels]).collect()
}

/// The gradients of [`gate`]: `dx = dy * gate` and `dgate[n, c] = sum over p of dy * x`.
pub fn gate_backward<E: Real>(size: MapSize, x: &[E], gate: &[E], dy: &[E]) -> (Vec<E>, Vec<E>) {
    let pixels = size.height * size.width;
    let mut dgate = vec![E::zero(); size.batch * size.channels];
    for (at, (&x, &dy)) in x.iter().zip(dy).enumerate() {
        dgate[at / pixels] += x * dy;
    }
    (self::gate(size, dy, gate), dgate)
}

/// Joins two NCHW maps of `left` and `right` channels, each of `pixels` pixels.
pub fn concat<E: Real>(batch: usize, pixels: usize, [left, right]: [usize; 2], a: &[E], b: &[E]) -> Vec<E> {
    let mut y = Vec::new();
    for n in 0..batch {
        y.extend_from_slice(&a[n * left * pixels..(n + 1) * left * pixels]);
        y.extend_from_slice(&b[n * right * pixels..(n + 1) * right * pixels]);
    }
    y
}

/// The opposite of [`concat()`].
pub fn split<E: Real>(batch: usize, pixels: usize, [left, right]: [usize; 2], x: &[E]) -> (Vec<E>, Vec<E>) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for n in 0..batch {
        let map = &x[n * (left + right) * pixels..(n + 1) * (left + right) * pixels];
        a.extend_from_slice(&map[..left * pixels]);
        b.extend_from_slice(&map[left * pixels..]);
    }
    (a, b)
}

/// Inverted dropout. The random number of element `i` is SplitMix64's for the counter `i + 1`,
/// from a start that depends on the seed alone; its upper 53 bits make a fraction of one, and the
/// element is dropped if that is less than `p`.
pub fn dropout<E: Real>(p: f64, seed: u64, x: &[E]) -> Vec<E> {
    let finish = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut state = finish(seed ^ 0x6a09_e667_f3bc_c909);
    let mut y = Vec::new();
    for &x in x {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let fraction = (finish(state) >> 11) as f64 / 2f64.powi(53);
        y.push(if fraction < p {
            E::zero()
        } else {
            x * E::of(1.0 / (1.0 - p))
        });
    }
    y
}

/// NCHW to NHWC.
pub fn to_nhwc<E: Real>(size: MapSize, x: &[E]) -> Vec<E> {
    let mut y = Vec::new();
    for n in 0..size.batch {
        for p in 0..size.height * size.width {
            for c in 0..size.channels {
                y.push(x[(n * size.channels + c) * size.height * size.width + p]);
            }
        }
    }
    y
}

/// NHWC to NCHW.
pub fn to_nchw<E: Real>(size: MapSize, x: &[E]) -> Vec<E> {
    let mut y = Vec::new();
    for n in 0..size.batch {
        for c in 0..size.channels {
            for p in 0..size.height * size.width {
                y.push(x[(n * size.height * size.width + p) * size.channels + c]);
            }
        }
    }
    y
}
