//! Scaled dot-product attention over the positions of NCHW maps: with the queries `q_i`, keys `k_j`
//! and values `v_j` of a head, each a vector of `depth` channels,
//! `p_ij = exp(s_ij) / sum over j of exp(s_ij)` with `s_ij = q_i k_j / sqrt(depth)`, and
//! `y_i = sum over j of p_ij v_j`. Head `h` has the channels from `h * depth` on. In causal attention the sums go over
//! `j <= i`. Where there are fewer heads of keys and values, each is repeated for as many heads of queries in a row.

use ksdsl_engine::Real;
use ksdsl_engine::size::AttentionSize;

/// Where the channels of a position lie for one head of one image.
#[derive(Clone, Copy)]
struct Head {
    first: usize,
    tokens: usize,
    depth: usize,
}

impl Head {
    fn at(self, channel: usize, token: usize) -> usize {
        self.first + channel * self.tokens + token
    }

    /// The vector of a position.
    fn vector<E: Real>(self, map: &[E], token: usize) -> Vec<E> {
        (0..self.depth).map(|c| map[self.at(c, token)]).collect()
    }
}

/// A head of one image, and its head of keys and values.
struct Pair {
    queries: Head,
    keys: Head,
    causal: bool,
}

impl Pair {
    fn all(size: AttentionSize) -> impl Iterator<Item = Self> {
        let depth = size.channels / size.heads;
        let repeats = size.heads / size.key_heads;
        let images = (0..size.batch).flat_map(move |image| (0..size.heads).map(move |head| (image, head)));
        images.map(move |(image, head)| Self {
            queries: Head {
                first: (image * size.heads + head) * depth * size.queries,
                tokens: size.queries,
                depth,
            },
            keys: Head {
                first: (image * size.key_heads + head / repeats) * depth * size.keys,
                tokens: size.keys,
                depth,
            },
            causal: size.causal,
        })
    }

    fn scale<E: Real>(&self) -> E {
        E::one() / E::of(self.queries.depth as f64).sqrt()
    }

    /// The keys that query `i` sees.
    fn seen(&self, i: usize) -> impl Iterator<Item = usize> + use<> {
        let causal = self.causal;
        (0..self.keys.tokens).filter(move |j| !causal || *j <= i)
    }

    /// `p_ij` of all `j` that are seen.
    fn weights<E: Real>(&self, q: &[E], k: &[E], i: usize) -> Vec<E> {
        let query = self.queries.vector(q, i);
        let score = |j| dot(&query, &self.keys.vector(k, j)) * self.scale();
        let scores: Vec<E> = self.seen(i).map(score).collect();
        let greatest = scores.iter().copied().fold(E::neg_infinity(), E::max);
        let powers: Vec<E> = scores.iter().map(|&score| (score - greatest).exp()).collect();
        let sum: E = powers.iter().copied().sum();
        powers.into_iter().map(|power| power / sum).collect()
    }
}

fn dot<E: Real>(a: &[E], b: &[E]) -> E {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// The output.
pub fn forward<E: Real>(size: AttentionSize, q: &[E], k: &[E], v: &[E]) -> Vec<E> {
    let mut y = vec![E::zero(); size.batch * size.queries * size.channels];
    for pair in Pair::all(size) {
        for i in 0..size.queries {
            let weights = pair.weights(q, k, i);
            for c in 0..pair.queries.depth {
                let terms = pair.seen(i).map(|j| weights[j] * v[pair.keys.at(c, j)]);
                y[pair.queries.at(c, i)] = terms.sum();
            }
        }
    }
    y
}

/// The gradients with respect to queries, keys and values.
pub fn backward<E: Real>(size: AttentionSize, q: &[E], k: &[E], v: &[E], dy: &[E]) -> [Vec<E>; 3] {
    let mut dq = vec![E::zero(); q.len()];
    let [mut dk, mut dv] = [k, v].map(|map| vec![E::zero(); map.len()]);
    for pair in Pair::all(size) {
        for i in 0..size.queries {
            let p = pair.weights(q, k, i);
            let above = pair.queries.vector(dy, i);
            let dp: Vec<E> = pair.seen(i).map(|j| dot(&above, &pair.keys.vector(v, j))).collect();
            let mean = dot(&p, &dp);
            for j in pair.seen(i) {
                // The derivative of p_ij with respect to s_im is p_ij ([j = m] - p_im).
                let ds = p[j] * (dp[j] - mean) * pair.scale();
                for c in 0..pair.queries.depth {
                    let (query, key) = (pair.queries.at(c, i), pair.keys.at(c, j));
                    dq[query] += ds * k[key];
                    dk[key] += ds * q[query];
                    dv[key] += p[j] * dy[query];
                }
            }
        }
    }
    [dq, dk, dv]
}
