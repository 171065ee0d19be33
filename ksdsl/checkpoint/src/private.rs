//! What layers have of their own for a kernel that they share: folded into the kernel of a layer that has it
//! for itself, and as it starts.

use crate::file::View;
use crate::kind::Kind;
use crate::problem::Problem;
use crate::resolve::Expected;
use crate::svd;
use ksdsl_files::keys::{COEFFICIENTS, LOW_RANK_A, LOW_RANK_B, SCALE};
use ksdsl_files::random::SplitMix64;
use std::borrow::Cow;
use std::collections::HashMap;

/// A tensor that a layer has of its own for a kernel that it shares. The last segment of its key says what it is, see
/// [`ksdsl_files::keys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Private {
    /// Its key: `s1.0.conv2.scale`.
    pub key: String,
    /// The key that the kernel would have if the layer had it for itself: `s1.0.conv2.weight`.
    pub kernel: String,
}

/// A kernel that a layer makes of a shared tensor, and then uses as others use a shared kernel: the combination of
/// those of a bank, if it has coefficients for them; of this the first rows and columns, perhaps exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The key that the kernel would have if the layer had it for itself: `decoder.weight`.
    pub kernel: String,
    /// The sizes of the kernel.
    pub shape: Vec<u64>,
    /// The sizes of one stored kernel.
    pub stored: Vec<u64>,
    /// Whether its rows are columns of the stored kernel.
    pub transposed: bool,
}

impl Made {
    /// The kernel, of the values that are stored and the layer's coefficients.
    fn of(&self, mut values: Vec<f64>, coefficients: Option<Vec<f64>>) -> Vec<f64> {
        if let Some(coefficients) = coefficients {
            let len = (values.len() / coefficients.len().max(1)).max(1);
            let kernels = || values.chunks(len).zip(&coefficients);
            values = (0..len)
                .map(|at| kernels().map(|(kernel, factor)| kernel[at] * factor).sum())
                .collect();
        }
        let sizes = |shape: &[u64]| match *shape {
            [rows, columns, ref taps @ ..] => [rows, columns, taps.iter().product()].map(|size| size as usize),
            _ => [1, 1, values.len()],
        };
        let ([rows, columns, taps], [_, all, _]) = (sizes(&self.shape), sizes(&self.stored));
        let mut kernel = Vec::with_capacity(rows * columns * taps);
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let at = match self.transposed {
                true => column * all + row,
                false => row * all + column,
            };
            kernel.extend(values.iter().skip(at * taps).take(taps));
        }
        kernel
    }
}

impl Private {
    fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(&self.key, |(_, name)| name)
    }
}

/// The own tensors of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own<'p, 'f> {
    scale: Option<(&'p str, View<'f>)>,
    a: Option<(&'p str, View<'f>)>,
    b: Option<(&'p str, View<'f>)>,
    coefficients: Option<(&'p str, View<'f>)>,
}

/// The own tensors by the kernels they are for; `find` has the tensors of a file.
pub(crate) fn by_kernel<'p, 'f>(
    private: &'p [Private],
    find: impl Fn(&str) -> Option<View<'f>>,
) -> HashMap<&'p str, Own<'p, 'f>> {
    let mut all: HashMap<&str, Own<'_, '_>> = HashMap::new();
    for tensor in private {
        let own = all.entry(&tensor.kernel).or_default();
        let slot = match tensor.name() {
            LOW_RANK_A => &mut own.a,
            LOW_RANK_B => &mut own.b,
            COEFFICIENTS => &mut own.coefficients,
            SCALE => &mut own.scale,
            _ => continue,
        };
        *slot = find(&tensor.key).map(|view| (tensor.key.as_str(), view));
    }
    all
}

/// The kernel that a layer with these tensors uses, `scale * (kernel + B A)`, rounded once to the kernel's
/// type. Where a factor is 1 and an addition is 0, that is the shared kernel, bit for bit.
pub(crate) fn fold<'f>(
    key: &str,
    kernel: View<'f>,
    own: Option<&Own<'_, 'f>>,
    made: Option<&Made>,
) -> Result<Cow<'f, [u8]>, Problem> {
    let own = own.copied().unwrap_or_default();
    let mut values = numbers(key, &kernel)?;
    let read = |part: Option<(&str, View<'f>)>| part.map(|(key, view)| numbers(key, &view)).transpose();
    if let Some(made) = made {
        values = made.of(values, read(own.coefficients)?);
    }
    let shape = made.map_or(kernel.shape, |made| &made.shape);
    let rows = shape.first().copied().unwrap_or(1).max(1) as usize;
    let columns = (values.len() / rows).max(1);
    if let (Some(a), Some(b)) = (read(own.a)?, read(own.b)?) {
        let rank = (b.len() / rows).max(1);
        for (row, b) in values.chunks_mut(columns).zip(b.chunks(rank)) {
            for (factor, a) in b.iter().zip(a.chunks(columns)) {
                // Zero times anything leaves the sum as it is, also a negative zero.
                let terms = row.iter_mut().zip(a).filter(|(_, a)| factor * **a != 0.0);
                terms.for_each(|(sum, a)| *sum += factor * a);
            }
        }
    }
    if let Some(scale) = read(own.scale)? {
        for (row, factor) in values.chunks_mut(columns).zip(scale) {
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }
    Ok(Cow::Owned(bytes(kernel.kind, &values)))
}

/// What an own tensor starts as, so that its layer uses the shared kernel as it is: factors of 1, B of 0. A is
/// uniform within `1 / sqrt(columns)`, as in a new network, drawn by SplitMix64 from the
/// FNV-1a hash of the key: the same in every run.
pub(crate) fn start(tensor: &Private, shape: &[u64], kind: Kind) -> Result<Vec<u8>, Problem> {
    if !matches!(kind, Kind::F32 | Kind::F64) {
        return Err(not_a_number(&tensor.kernel, kind));
    }
    let len: u64 = shape.iter().product();
    let values: Vec<f64> = match tensor.name() {
        LOW_RANK_A => {
            let bound = 1.0 / (shape.last().copied().unwrap_or(1).max(1) as f64).sqrt();
            uniform(hash(&tensor.key), bound).take(len as usize).collect()
        }
        LOW_RANK_B => vec![0.0; len as usize],
        _ => vec![1.0; len as usize],
    };
    Ok(bytes(kind, &values))
}

/// A tensor that a layer has of its own, with its sizes.
type Factor<'e> = (&'e Private, &'e [u64]);

/// The additions of low rank of a network, filled with what shared kernels lack of those that layers had.
#[derive(Debug, Default)]
pub(crate) struct Additions<'e> {
    /// A and B by the kernel they are added to.
    parts: HashMap<&'e str, [Option<Factor<'e>>; 2]>,
    /// By their keys.
    filled: HashMap<&'e str, Vec<u8>>,
}

impl<'e> Additions<'e> {
    pub(crate) fn new(expected: &'e [Expected], private: &'e [Private]) -> Self {
        let shapes = expected
            .iter()
            .map(|tensor| (tensor.key.as_str(), tensor.shape.as_slice()));
        let shapes: HashMap<&str, &[u64]> = shapes.collect();
        let mut additions = Self::default();
        for tensor in private {
            let at = match tensor.name() {
                LOW_RANK_A => 0,
                LOW_RANK_B => 1,
                _ => continue,
            };
            let shape = shapes.get(tensor.key.as_str()).copied();
            additions.parts.entry(&tensor.kernel).or_default()[at] = shape.map(|shape| (tensor, shape));
        }
        additions
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The values of a tensor that has been filled.
    pub(crate) fn take(&mut self, key: &str) -> Option<Vec<u8>> {
        self.filled.remove(key)
    }

    /// Fills the addition of a layer, if it has one: of the matrix, a row for each output channel, that the layer's kernel
    /// `own` differs from the shared one by, B A has the largest singular values, which is the nearest matrix of the rank
    /// (Eckart & Young 1936). As in Bae et al. 2024, B is U S and A is V^T. Rank that is not needed is as at the start of
    /// training: B is 0, A is not, so that B has gradients.
    pub(crate) fn fill(&mut self, kernel: &str, own: &View<'_>, shared: &[u8]) -> Result<(), Problem> {
        let Some([Some((a, [rank, columns])), Some((b, [rows, _]))]) = self.parts.get(kernel) else {
            return Ok(());
        };
        let (rank, columns, rows) = (*rank as usize, *columns as usize, *rows as usize);
        let shared = View { data: shared, ..*own };
        let mut difference = numbers(kernel, own)?;
        difference
            .iter_mut()
            .zip(numbers(kernel, &shared)?)
            .for_each(|(own, shared)| *own -= shared);
        let factors = svd::truncated(&difference, columns.max(1), rank);
        let mut values_of_a = numbers(
            kernel,
            &View {
                data: &start(a, &[rank as u64, columns as u64], Kind::F64)?,
                kind: Kind::F64,
                shape: &[],
            },
        )?;
        let mut values_of_b = vec![0.0; rows * rank];
        let rows_of_a = values_of_a.chunks_exact_mut(columns.max(1));
        for (at, ((row, right), left)) in rows_of_a.zip(&factors.right).zip(&factors.left).enumerate() {
            row.copy_from_slice(right);
            let column = values_of_b.iter_mut().skip(at).step_by(rank);
            column.zip(left).for_each(|(value, left)| *value = *left);
        }
        self.filled.insert(&a.key, bytes(own.kind, &values_of_a));
        self.filled.insert(&b.key, bytes(own.kind, &values_of_b));
        Ok(())
    }
}

fn hash(key: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    key.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

fn uniform(seed: u64, bound: f64) -> impl Iterator<Item = f64> {
    let mut generator = SplitMix64(seed);
    std::iter::repeat_with(move || bound * (2.0 * generator.fraction() - 1.0))
}

fn numbers(key: &str, view: &View<'_>) -> Result<Vec<f64>, Problem> {
    match view.kind {
        Kind::F32 => {
            let values = view.data.as_chunks().0.iter();
            Ok(values.map(|value| f32::from_le_bytes(*value).into()).collect())
        }
        Kind::F64 => {
            let values = view.data.as_chunks().0.iter();
            Ok(values.map(|value| f64::from_le_bytes(*value)).collect())
        }
        other => Err(not_a_number(key, other)),
    }
}

fn bytes(kind: Kind, values: &[f64]) -> Vec<u8> {
    match kind {
        Kind::F32 => values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

fn not_a_number(key: &str, found: Kind) -> Problem {
    Problem::Kind {
        key: key.to_owned(),
        found,
        expected: "F32 or F64, which kernels that layers make of others require".to_owned(),
    }
}
