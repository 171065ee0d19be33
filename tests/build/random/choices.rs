//! What random networks are made of.

use ksdsl_files::random::SplitMix64;

pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        let mut generator = SplitMix64(self.0);
        let number = generator.draw();
        self.0 = generator.0;
        number
    }

    pub(super) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// Choices that all come before one of them comes again.
pub(super) struct Deck {
    all: &'static [&'static str],
    left: Vec<&'static str>,
}

impl Deck {
    pub(super) fn new(all: &'static [&'static str]) -> Self {
        Self { all, left: Vec::new() }
    }

    pub(super) fn draw(&mut self, rng: &mut Rng) -> &'static str {
        if self.left.is_empty() {
            self.left = self.all.to_vec();
        }
        self.left.swap_remove(rng.below(self.left.len()))
    }
}

pub(super) const OF_MAPS: &[&str] = &[
    "conv",
    "conv",
    "depthwise",
    "pointwise",
    "residual",
    "project",
    "project without norm",
    "shortcut",
    "concat",
    "add",
    "multiply",
    "squeeze_excite",
    "attention",
    "position_embedding",
    "batch_norm",
    "layer_norm",
    "group_norm",
    "rms_norm",
    "subtract",
    "attend",
    "window_attention",
    "roll",
    "upsample",
    "activation",
    "conv_transpose",
    "shuffle",
    "pixels",
    "slices",
    "pad",
    "softmax",
    "layer_scale",
    "instance_norm",
    "max_pool",
    "avg_pool",
    "adaptive_avg_pool",
    "positions",
    "flat",
    "dropout",
    "stochastic_depth",
    "when",
    "seq",
    "block",
];
pub(super) const OF_VECTORS: &[&str] = &[
    "linear",
    "residual",
    "multiply",
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "activation",
    "layer_scale",
    "dropout",
];
pub(super) const ACTIVATIONS: &[&str] = &[
    "relu",
    "gelu",
    "gelu_tanh",
    "silu",
    "sigmoid",
    "hard_swish",
    "leaky_relu(slope = 0.1)",
    "elu",
    "tanh",
    "softplus",
    "relu6",
    "mish",
    "selu",
    "hard_sigmoid",
    "prelu",
    "clamp(-0.5, 2)",
    "scale(-1); shift(1)",
];
/// Of at least four visits.
pub(super) const MAPPINGS: &[&str] = &[
    "",
    "into 2 groups",
    "into sequential(rate = 2)",
    "into strided(2)",
    "into cycle(2)",
    "into cycle_rev(2)",
    "into random(2, seed = 5)",
    "into bank(2)",
    "list",
];
pub(super) const PLACES: &[&str] = &[
    "",
    "",
    "at front(3)",
    "at middle(3)",
    "at back(0.75)",
    "at sandwich",
    "at uniform",
];
pub(super) const PRIVATE: &[&str] = &[
    "",
    "",
    "",
    "with private scale",
    "with private low_rank(1)",
    "with private scale, low_rank(2)",
];
pub(super) const CLAUSES: &[&str] = &[
    "isomorphic",
    "of one kind",
    "paths",
    "blocks",
    "kernel",
    "bias",
    "norms",
];
pub(super) const DOWN: &[&str] = &["conv", "max_pool", "avg_pool", "patch_embedding", "none"];
pub(super) const HEADS: &[&str] = &["global_avg_pool", "global_max_pool", "flatten"];
pub(super) const STEMS: &[&str] = &["conv", "patch_embedding", "none"];
pub(super) const CONVS: &[&str] = &[
    "kernel = 3, pad = 1",
    "kernel = 3, pad = 1, groups = 2",
    "kernel = 2 x 3, pad = same",
    "kernel = 5, pad = same, dilation = 2",
    "kernel = 3 x 1, pad = same, dilation = 2 x 1, groups = 2",
    "kernel = 1 x 5, pad = same",
];
pub(super) const DEPTHWISES: &[&str] = &["1", "3", "5", "9", "3 x 7", "7"];
/// They keep a map's size.
pub(super) const TRANSPOSED: &[&str] = &["kernel = 3, pad = 1", "kernel = 1", "kernel = 5 x 3, pad = 2 x 1"];
