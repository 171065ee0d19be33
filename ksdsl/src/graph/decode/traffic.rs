//! The bytes that a token reads: which weights come from memory, and which are still in a cache from an earlier visit.

use super::Plan;
use crate::graph::loops::most;
use crate::graph::params::Params;
use crate::graph::walk::size;
use crate::ir::{self, Join, Layer, LayerId, Loop, Network, Part, Shape, ValueId, View, Walk as _};
use crate::ops::conv::Conv;
use crate::ops::embedding::Embedding;
use ksdsl_cpu::WeightType;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

/// Bytes of a value in `f32`.
const FLOAT: u64 = 4;

/// What a token reads when a network generates token by token, one sequence at a time, with activations in `f32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of weights from memory.
    pub memory: u64,
    /// Bytes of weights from the cache.
    pub cache: u64,
    /// Bytes of keys and values, or of what else visits keep, of a sequence that is full.
    pub kept: u64,
}

/// The bytes for each token, after the first, on a machine with a cache of so many bytes, which replaces what was used
/// least recently, with kernels that were rounded to a type (`Model::round_weights`). None if the network does not run
/// token by token. Loops run as often as they can.
///
/// The order of visits decides: a weight is in the cache if it and all that was read since its last visit fit.
pub fn traffic(network: &Network, cache_bytes: u64, kernels: WeightType) -> Option<Traffic> {
    let counts = most(network);
    Plan::new(network, &counts).ok()?;
    let Ok(params) = Params::new(network, |_| Ok::<_, Infallible>(()));
    let mut reader = Reader {
        network,
        params: &params,
        kernels,
        cache: Cache {
            room: cache_bytes,
            ..Cache::default()
        },
        times: 0,
        sum: Traffic::default(),
    };
    // The first token finds nothing in the cache; counted is the second.
    for times in [0, 1] {
        reader.times = times;
        let Ok(_) = reader.nodes(&network.nodes, network.input());
    }
    Some(reader.sum)
}

/// Reads the weights of a network in the order of its visits.
struct Reader<'n> {
    network: &'n Network,
    params: &'n Params<()>,
    kernels: WeightType,
    cache: Cache,
    /// How often what is read now counts.
    times: u64,
    sum: Traffic,
}

impl Reader<'_> {
    fn layer_reads(&mut self, id: LayerId) {
        let network = self.network;
        let op = &network.layers[id].op;
        if let Some(embedding) = op.downcast::<Embedding>() {
            // One row.
            self.sum.memory += self.times * embedding.features * FLOAT;
            return;
        }
        let private = self.params.layer(id).private;
        let made = private.low_rank.into_iter().flatten().chain(private.coefficients);
        let mut others: Vec<usize> = self.params.of_layer(id).to_vec();
        if let Some((kernel, held, bytes)) = self.kernel(id) {
            self.read(held, bytes);
            // What a decoder has made a kernel of it does not read again.
            let read: Vec<usize> = made.chain([kernel]).collect();
            others.retain(|place| !read.contains(place));
        }
        for place in others {
            self.read(Held::Param(place), self.params.list()[place].len as u64 * FLOAT);
        }
    }

    /// The kernel of a convolution or a linear layer: its place, as what the visit reads it, and its bytes.
    fn kernel(&self, id: LayerId) -> Option<(usize, Held, u64)> {
        let (of, layer) = (self.params.layer(id), &self.network.layers[id]);
        let kernel = of.tensors.iter().find(|tensor| tensor.part == Part::Kernel);
        let place = kernel.filter(|_| of.is_weighted)?.place;
        let shape = layer.op.kernel_shape()?;
        let values: u64 = shape.iter().product();
        let conv: Option<&Conv> = layer.op.downcast();
        let standardized = conv.is_some_and(|conv| conv.standardize.is_some());
        let is_own = layer.rank.is_some() || self.params.layer(id).private.coefficients.is_some();
        // Only values that are those of the type are read in fewer bytes: not sums, and of integers only whole channels.
        let kernels = match (is_own || standardized, layer.view == View::default()) {
            (false, true) => self.kernels,
            (false, false) if self.kernels == WeightType::Bf16 => WeightType::Bf16,
            _ => WeightType::F32,
        };
        let bytes = match is_product(layer) {
            true => kernels.bytes(size(shape[0]), size(values / shape[0].max(1))),
            false => values * FLOAT,
        };
        let held = match (is_own, standardized || layer.view != View::default()) {
            (true, _) => Held::Own(id),
            (false, true) => Held::Made(place, layer.view, shape),
            (false, false) => Held::Param(place),
        };
        Some((place, held, bytes))
    }

    fn read(&mut self, held: Held, bytes: u64) {
        let sum = match self.cache.read(held, bytes) {
            true => &mut self.sum.cache,
            false => &mut self.sum.memory,
        };
        *sum += self.times * bytes;
    }
}

/// Whether a layer is a product of the features of a position with its kernel.
fn is_product(layer: &Layer) -> bool {
    let conv: Option<&Conv> = layer.op.downcast();
    conv.is_none_or(|conv| conv.kernel == [1, 1] && conv.groups == 1)
}

/// What a decoder holds and reads as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Held {
    /// A parameter, by its place.
    Param(usize),
    /// What visits of these sizes make of the kernel at a place.
    Made(usize, View, Vec<u64>),
    /// What a visit makes with tensors of its own.
    Own(LayerId),
}

/// A cache of whole tensors.
#[derive(Default)]
struct Cache {
    room: u64,
    used: u64,
    /// What is held by the time of its last use, and the times.
    held: BTreeMap<u64, (Held, u64)>,
    times: HashMap<Held, u64>,
    now: u64,
}

impl Cache {
    /// Whether a tensor is held; it is afterwards, in place of those that were used least recently, if it fits.
    fn read(&mut self, tensor: Held, bytes: u64) -> bool {
        self.now += 1;
        let last = self.times.insert(tensor.clone(), self.now);
        let found = last.and_then(|time| self.held.remove(&time));
        if found.is_none() {
            self.used += bytes;
        }
        self.held.insert(self.now, (tensor, bytes));
        while self.used > self.room {
            let Some((_, (tensor, bytes))) = self.held.pop_first() else {
                break;
            };
            self.times.remove(&tensor);
            self.used -= bytes;
        }
        found.is_some()
    }
}

impl ir::Walk for Reader<'_> {
    type Value = Shape;
    type Error = Infallible;

    fn layer(&mut self, id: LayerId, _: Shape) -> Result<Shape, Infallible> {
        self.layer_reads(id);
        Ok(self.network.layers[id].output)
    }

    fn fork(&mut self, x: Shape) -> Result<[Shape; 2], Infallible> {
        Ok([x; 2])
    }

    fn keep(&mut self, _: ValueId, _: Shape) {}

    fn from(&mut self, id: ValueId, _: Option<Shape>) -> Result<Shape, Infallible> {
        Ok(self.network.values[id].shape)
    }

    /// From the second iteration on all find the same in the cache.
    fn repeat(&mut self, of: &Loop, x: Shape) -> Result<Shape, Infallible> {
        let times = self.times;
        let mut y = self.nodes(&of.scope.nodes, x)?;
        if of.most > 1 {
            self.times = times * (of.most - 1);
            y = self.nodes(&of.scope.nodes, y)?;
            self.times = times;
        }
        Ok(y)
    }

    fn join(&mut self, join: &Join, _: Shape, others: Vec<Shape>) -> Result<Shape, Infallible> {
        if let Some(id) = join.layer {
            self.layer_reads(id);
            // Keys and values, which are the second and the third input.
            let kept: u64 = others.iter().take(2).map(|shape| shape.elements()).sum();
            self.sum.kept += self.times * kept * FLOAT;
        }
        Ok(join.output)
    }
}
