//! A layer of a network: what it computes, which kernels it uses, and what it has of its own.

use super::{GroupId, Init, Op, Part, Path, Real, Shape};
use crate::source::Span;
use ksdsl_files::keys::{COEFFICIENTS, LOW_RANK_A, LOW_RANK_B, SCALE};

/// The kernel of a group that serves a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Visit {
    /// The group.
    pub group: GroupId,
    /// Which of the group's kernels.
    pub kernel: u32,
}

/// One layer, in the order of the forward pass.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its path.
    pub path: Path,
    /// What it computes.
    pub op: Op,
    /// Its input shape.
    pub input: Shape,
    /// Its output shape.
    pub output: Shape,
    /// Where it was written.
    pub span: Span,
    /// The group its kernel (or norm) belongs to, if shared.
    pub kernel: Option<Visit>,
    /// The group its bias belongs to, if shared.
    pub bias: Option<Visit>,
    /// Whether it has a factor of its own for every output channel of its shared kernel.
    pub scaled: bool,
    /// The rank of its own addition to its shared kernel, if it has one.
    pub rank: Option<u64>,
    /// The number of kernels of the bank that its kernel is its own combination of, if it is one.
    pub combined: Option<u64>,
    /// Which part of its shared kernel it uses.
    pub view: View,
    /// How often it runs at most, in loops.
    pub iterations: Option<u64>,
}

/// The part of a shared kernel that a visit uses; by default all of it, as it is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct View {
    /// Rows and columns change places.
    pub transposed: bool,
    /// The first rows and columns, as many as the visit has.
    pub slice: bool,
}

/// A tensor that a visit has of its own for a shared kernel. All of them are trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateTensor {
    /// Its name in the layer.
    pub name: &'static str,
    /// Its sizes.
    pub shape: Vec<u64>,
    /// Its initial value.
    pub init: Init,
}

/// What a visit has of its own for a shared kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PrivateTensors<T = PrivateTensor> {
    /// The factors A and B of an addition of low rank, which is zero at the start: A starts as PyTorch's weights do, B
    /// as zero.
    pub low_rank: Option<[T; 2]>,
    /// Factors for the output channels.
    pub scale: Option<T>,
    /// Factors for the kernels of a bank.
    pub coefficients: Option<T>,
}

impl<T> PrivateTensors<T> {
    /// All of them, in the order checkpoints list them.
    pub fn into_list(self) -> impl Iterator<Item = T> {
        self.low_rank
            .into_iter()
            .flatten()
            .chain(self.scale)
            .chain(self.coefficients)
    }

    /// What a function makes of each of them, in this order.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> PrivateTensors<U> {
        PrivateTensors {
            low_rank: self.low_rank.map(|factors| factors.map(&mut f)),
            scale: self.scale.map(&mut f),
            coefficients: self.coefficients.map(f),
        }
    }
}

impl<T> Default for PrivateTensors<T> {
    fn default() -> Self {
        PrivateTensors {
            low_rank: None,
            scale: None,
            coefficients: None,
        }
    }
}

impl Layer {
    /// The kernel of a group that holds this part of it, if that is shared.
    pub fn visit(&self, part: Part) -> Option<Visit> {
        match part {
            Part::Kernel | Part::Norm => self.kernel,
            Part::Bias => self.bias,
        }
    }

    /// The number of private factors of its kernel: one per output channel, or none.
    pub fn scales(&self) -> u64 {
        if self.scaled { self.output.channels() } else { 0 }
    }

    /// Its own addition to the kernel as `[out, rank, in / groups * height * width]`, the sizes of the
    /// product `B A` (Hu et al. 2021, arXiv 2106.09685, section 4.1).
    pub fn low_rank(&self) -> Option<[u64; 3]> {
        let [rows, columns] = self.op.kernel_matrix()?;
        Some([rows, self.rank?, columns])
    }

    /// What it has of its own for a shared kernel.
    pub fn private_tensors(&self) -> PrivateTensors {
        let tensor = |name, shape: &[u64], init| PrivateTensor {
            name,
            shape: shape.to_vec(),
            init,
        };
        PrivateTensors {
            low_rank: self.low_rank().map(|[rows, rank, columns]| {
                let bound = 1.0 / (columns as f64).sqrt();
                [
                    tensor(LOW_RANK_A, &[rank, columns], Init::Uniform(Real(bound))),
                    tensor(LOW_RANK_B, &[rows, rank], Init::Constant(Real(0.0))),
                ]
            }),
            scale: self
                .scaled
                .then(|| tensor(SCALE, &[self.scales()], Init::Constant(Real(1.0)))),
            // Rows of length 1 and orthogonal to each other on average, so that a combination has the variance of a
            // kernel. The rows of Savarese & Maire's code are those of an orthogonal matrix.
            coefficients: self.combined.map(|kernels| {
                let deviation = 1.0 / (kernels as f64).sqrt();
                tensor(COEFFICIENTS, &[kernels], Init::Normal(Real(deviation)))
            }),
        }
    }

    /// Multiply-adds per image: those of its operation, and those of its own addition to the kernel or combination of
    /// kernels, which a pass needs once, whatever its batch. In
    /// loops, of all iterations up to the maximum.
    pub fn macs(&self) -> u128 {
        let addition = self
            .low_rank()
            .map_or(0, |sizes| sizes.into_iter().map(u128::from).product());
        let elements = || {
            self.op
                .kernel_matrix()
                .map_or(0, |[rows, columns]| u128::from(rows) * u128::from(columns))
        };
        let combination = self.combined.map_or(0, |kernels| u128::from(kernels) * elements());
        let once = self.op.macs(self.output) + addition + combination;
        once.saturating_mul(self.iterations.unwrap_or(1).into())
    }
}
