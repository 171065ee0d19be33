//! The bytes that a token reads: which weights come from memory, and which are still in a cache from an earlier visit.

use super::Plan;
use crate::graph::loops::most;
use crate::graph::params::Params;
use crate::ir::{self, Join, LayerId, Loop, Network, Shape, ValueId, Walk as _};
use crate::ops::embedding::Embedding;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

/// Bytes of a weight in `f32`.
const FLOAT: u64 = 4;

/// What a token reads when a network generates token by token, one sequence at a time, in `f32`.
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
/// least recently. None if the network does not run token by token. Loops run as often as they can.
///
/// The order of visits decides: a weight is in the cache if it and all that was read since its last visit fit.
pub fn traffic(network: &Network, cache_bytes: u64) -> Option<Traffic> {
    let counts = most(network);
    Plan::new(network, &counts).ok()?;
    let Ok(params) = Params::new(network, |_| Ok::<_, Infallible>(()));
    let mut reader = Reader {
        network,
        params: &params,
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
        for place in self.params.of_layer(id) {
            self.read(*place, self.params.list()[*place].len as u64 * FLOAT);
        }
    }

    fn read(&mut self, place: usize, bytes: u64) {
        let sum = match self.cache.read(place, bytes) {
            true => &mut self.sum.cache,
            false => &mut self.sum.memory,
        };
        *sum += self.times * bytes;
    }
}

/// A cache of whole tensors.
#[derive(Default)]
struct Cache {
    room: u64,
    used: u64,
    /// What is held by the time of its last use, and the times.
    held: BTreeMap<u64, (usize, u64)>,
    times: HashMap<usize, u64>,
    now: u64,
}

impl Cache {
    /// Whether a tensor is held; it is afterwards, in place of those that were used least recently, if it fits.
    fn read(&mut self, place: usize, bytes: u64) -> bool {
        self.now += 1;
        let last = self.times.insert(place, self.now);
        let found = last.and_then(|time| self.held.remove(&time));
        if found.is_none() {
            self.used += bytes;
        }
        self.held.insert(self.now, (place, bytes));
        while self.used > self.room {
            let Some((_, (place, bytes))) = self.held.pop_first() else {
                break;
            };
            self.times.remove(&place);
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
