//! Scaled dot-product attention over the positions of NCHW maps: with the queries `q_i`, keys `k_j`
//! and values `v_j` of a head, each a vector of `depth` channels,
//! `p_ij = exp(s_ij) / sum over j of exp(s_ij)` with `s_ij = q_i k_j / sqrt(depth)`, and
//! `y_i = sum over j of p_ij v_j`. Head `h` has the channels from `h * depth` on.

use ksdsl_engine::Real;
use ksdsl_engine::size::AttentionSize;

/// Where the channels of a position lie for one head of one image.
struct Head {
    first: usize,
    tokens: usize,
    depth: usize,
}

impl Head {
    fn at(&self, channel: usize, token: usize) -> usize {
        self.first + channel * self.tokens + token
    }

    /// The scalar product of position `i` of `a` and position `j` of `b`.
    fn dot<E: Real>(&self, a: &[E], i: usize, b: &[E], j: usize) -> E {
        (0..self.depth).map(|c| a[self.at(c, i)] * b[self.at(c, j)]).sum()
    }

    fn scale<E: Real>(&self) -> E {
        E::one() / E::of(self.depth as f64).sqrt()
    }

    /// `p_ij` of all `j`.
    fn weights<E: Real>(&self, q: &[E], k: &[E], i: usize) -> Vec<E> {
        let scores: Vec<E> = (0..self.tokens).map(|j| self.dot(q, i, k, j) * self.scale()).collect();
        let greatest = scores.iter().copied().fold(E::neg_infinity(), E::max);
        let powers: Vec<E> = scores.iter().map(|&score| (score - greatest).exp()).collect();
        let sum: E = powers.iter().copied().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}

fn heads(size: AttentionSize) -> impl Iterator<Item = Head> {
    (0..size.batch * size.heads).map(move |index| Head {
        first: index * size.depth() * size.tokens,
        tokens: size.tokens,
        depth: size.depth(),
    })
}

/// The output.
pub fn forward<E: Real>(size: AttentionSize, q: &[E], k: &[E], v: &[E]) -> Vec<E> {
    let mut y = vec![E::zero(); size.len()];
    for head in heads(size) {
        for i in 0..size.tokens {
            let weights = head.weights(q, k, i);
            for c in 0..head.depth {
                y[head.at(c, i)] = (0..size.tokens).map(|j| weights[j] * v[head.at(c, j)]).sum();
            }
        }
    }
    y
}

/// The gradients with respect to queries, keys and values.
pub fn backward<E: Real>(size: AttentionSize, q: &[E], k: &[E], v: &[E], dy: &[E]) -> [Vec<E>; 3] {
    let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![E::zero(); size.len()]);
    for head in heads(size) {
        for i in 0..size.tokens {
            let p = head.weights(q, k, i);
            let dp: Vec<E> = (0..size.tokens).map(|j| head.dot(dy, i, v, j)).collect();
            let mean: E = (0..size.tokens).map(|j| p[j] * dp[j]).sum();
            for j in 0..size.tokens {
                // The derivative of p_ij with respect to s_im is p_ij ([j = m] - p_im).
                let ds = p[j] * (dp[j] - mean) * head.scale();
                for c in 0..head.depth {
                    dq[head.at(c, i)] += ds * k[head.at(c, j)];
                    dk[head.at(c, j)] += ds * q[head.at(c, i)];
                    dv[head.at(c, j)] += p[j] * dy[head.at(c, i)];
                }
            }
        }
    }
    [dq, dk, dv]
}
