//! The walk over a network that makes its steps.

use super::limits::{MOST_STEPS, MOST_VALUES, check, limits, zeros_of};
use super::{Buffer, BufferId, Constant, ConstantId, Error, Kind, Move, Port, Program, Step, fold, slices};
use crate::checkpoint::{Entry, entries_and_places};
use crate::ir::{self, Join, LayerId, Loop, Network, Op, Shape, ValueId, Walk as _};
use crate::ops::{Lower, Unsupported, buffer};
use std::collections::HashMap;

/// How a network is written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How often loops run, by name; without one as often as they can.
    pub steps: Vec<(String, u64)>,
}

/// The steps of a network, which must have no errors. `weights` are the tensors of its checkpoints in their order; without
/// them all are zeros, which is enough for sizes.
///
/// # Errors
/// If the network has what steps cannot express, or is too large.
pub fn program(network: &Network, weights: Option<&[Vec<f32>]>, options: &Options) -> Result<Program, Error> {
    let mut program = lowered(network, weights, options)?;
    fold::fold(&mut program)?;
    limits(&program)?;
    slices::slices(&mut program);
    Ok(program)
}

/// The steps of a network with kernels as checkpoints have them, and with activations that are steps of their own. The
/// buffers are those of [`program`].
pub(crate) fn apart(network: &Network, weights: &[Vec<f32>], options: &Options) -> Result<Program, Error> {
    let mut program = lowered(network, Some(weights), options)?;
    fold::affine_maps(&mut program);
    Ok(program)
}

fn lowered(network: &Network, weights: Option<&[Vec<f32>]>, options: &Options) -> Result<Program, Error> {
    let counts = network.counts(&options.steps).map_err(Error::Steps)?;
    let (entries, places) = entries_and_places(network);
    let zeros;
    let weights = match weights {
        Some(weights) => weights,
        None => {
            zeros = zeros_of(&entries)?;
            zeros.as_slice()
        }
    };
    check(&entries, weights)?;
    let mut walk = Walk {
        network,
        places: &places,
        counts,
        values: vec![None; network.values.len()],
        to: Target {
            program: Program {
                name: network.name.clone(),
                inputs: Vec::new(),
                outputs: Vec::new(),
                buffers: Vec::new(),
                constants: Vec::new(),
                steps: Vec::new(),
                slices: Vec::new(),
            },
            weights,
            entries: &entries,
            known: HashMap::new(),
        },
    };
    let first = walk.inputs()?;
    let last = walk.nodes(&network.nodes, first)?;
    walk.outputs(last);
    Ok(walk.to.program)
}

/// A program in the making.
pub(crate) struct Target<'w> {
    program: Program,
    weights: &'w [Vec<f32>],
    entries: &'w [Entry],
    known: HashMap<String, ConstantId>,
}

impl Target<'_> {
    pub(crate) fn buffer(&mut self, size: Buffer) -> BufferId {
        self.program.buffers.push(size);
        self.program.buffers.len() - 1
    }

    pub(crate) fn size(&self, id: BufferId) -> Buffer {
        self.program.buffers[id]
    }

    pub(crate) fn step(&mut self, place: String, kind: Kind, inputs: &[BufferId], output: BufferId) {
        self.program.steps.push(Step {
            place,
            kind,
            inputs: inputs.to_vec(),
            output,
            act: None,
        });
    }

    /// The constant of this name, made if there is none.
    pub(crate) fn constant(&mut self, name: String, make: impl FnOnce() -> Vec<f32>) -> ConstantId {
        if let Some(id) = self.known.get(&name) {
            return *id;
        }
        let id = self.program.constants.len();
        self.known.insert(name.clone(), id);
        self.program.constants.push(Constant { name, data: make() });
        id
    }

    /// A tensor of checkpoints.
    pub(crate) fn stored(&mut self, place: usize) -> ConstantId {
        let (key, data) = (self.entries[place].key.clone(), &self.weights[place]);
        self.constant(key, || data.clone())
    }

    /// What is made of tensors of checkpoints.
    pub(crate) fn made<const N: usize>(
        &mut self,
        places: [usize; N],
        what: &str,
        make: impl FnOnce([&[f32]; N]) -> Vec<f32>,
    ) -> ConstantId {
        let key = places.first().map(|place| self.entries[*place].key.clone());
        let name = format!("{} {what}", key.unwrap_or_default());
        let weights = self.weights;
        self.constant(name, || make(places.map(|place| weights[place].as_slice())))
    }
}

struct Walk<'a> {
    network: &'a Network,
    places: &'a [Vec<usize>],
    counts: Vec<u64>,
    values: Vec<Option<BufferId>>,
    to: Target<'a>,
}

impl Walk<'_> {
    /// The inputs, position by position; the first of them.
    fn inputs(&mut self) -> Result<BufferId, Error> {
        let mut all = Vec::new();
        for port in &self.network.inputs {
            let name = port.name.clone().unwrap_or_else(|| "input".to_owned());
            if matches!(port.shape, Shape::Ids { .. }) {
                return Err(Error::Ids { name });
            }
            self.fits(port.shape, &name)?;
            let id = self.to.buffer(buffer(port.shape));
            self.to.program.inputs.push(Port {
                name,
                shape: port.shape,
                buffer: id,
            });
            all.push(self.turned(id, port.shape, true));
        }
        for (id, value) in self.network.more_inputs().into_iter().zip(&all[1..]) {
            self.values[id] = Some(*value);
        }
        Ok(all[0])
    }

    /// The outputs, channel by channel, each in a buffer of its own.
    fn outputs(&mut self, last: BufferId) {
        let named = self.network.output_values();
        let found: Vec<BufferId> = match named.is_empty() {
            true => vec![last],
            false => named.iter().filter_map(|id| self.values[*id]).collect(),
        };
        for (port, mut id) in self.network.outputs.iter().zip(found) {
            let taken = |ports: &[Port]| ports.iter().any(|port| port.buffer == id);
            if taken(&self.to.program.inputs) || taken(&self.to.program.outputs) {
                id = self.copy(id, "output");
            }
            let id = self.turned(id, port.shape, false);
            self.to.program.outputs.push(Port {
                name: port.name.clone().unwrap_or_else(|| "output".to_owned()),
                shape: port.shape,
                buffer: id,
            });
        }
    }

    fn copy(&mut self, id: BufferId, place: &str) -> BufferId {
        let size = self.to.size(id);
        let part = Move {
            count: [1, 1, size.len()],
            from: [0, 0, 0, 1],
            to: [0, 0, 0, 1],
        };
        let copy = self.to.buffer(size);
        self.to.step(place.to_owned(), Kind::Move(part), &[id], copy);
        copy
    }

    /// Maps channel by channel as maps position by position, or the other way round.
    fn turned(&mut self, id: BufferId, shape: Shape, is_input: bool) -> BufferId {
        let size @ Buffer { positions, channels } = self.to.size(id);
        if !shape.is_channels_first() || positions == 1 || channels == 1 {
            return id;
        }
        let (inner, outer) = match is_input {
            true => ([1, positions], [channels, 1]),
            false => ([channels, 1], [1, positions]),
        };
        let part = Move {
            count: [1, positions, channels],
            from: [0, 0, inner[0], inner[1]],
            to: [0, 0, outer[0], outer[1]],
        };
        let turned = self.to.buffer(size);
        let place = if is_input { "input" } else { "output" };
        self.to.step(place.to_owned(), Kind::Move(part), &[id], turned);
        turned
    }

    fn fits(&self, shape: Shape, place: &str) -> Result<(), Error> {
        let values = shape.elements();
        match values > MOST_VALUES as u64 {
            true => Err(Error::TooLarge {
                what: format!("`{place}` has {values} values, of at most {MOST_VALUES}"),
            }),
            false => Ok(()),
        }
    }

    fn operation(
        &mut self,
        op: &Op,
        layer: Option<LayerId>,
        inputs: Vec<(BufferId, Shape)>,
        output: Shape,
    ) -> Result<BufferId, Error> {
        let of = layer.map(|id| &self.network.layers[id]);
        let place = of.map_or_else(|| op.word().to_owned(), |layer| layer.path.to_string());
        self.fits(output, &place)?;
        if self.to.program.steps.len() > MOST_STEPS {
            let what = format!("more than {MOST_STEPS} steps");
            return Err(Error::TooLarge { what });
        }
        let failed = |unsupported: Unsupported| Error::Unsupported {
            place: place.clone(),
            word: op.word(),
            what: unsupported.what,
            offset: of.map(|layer| layer.span.start as usize),
        };
        let tensors = match layer {
            Some(id) => self.tensors(id).map_err(failed)?,
            None => (Vec::new(), None),
        };
        let mut to = Lower::new(&mut self.to, place.clone(), inputs, output, tensors);
        op.lower(&mut to).map_err(failed)
    }

    /// The places of a layer's tensors by their names, and that of its own factors.
    #[allow(clippy::type_complexity)]
    fn tensors(&self, id: LayerId) -> Result<(Vec<(&'static str, usize)>, Option<usize>), Unsupported> {
        let layer = &self.network.layers[id];
        let made = [
            (layer.view.transposed, "it uses its shared kernel transposed"),
            (layer.view.slice, "it uses a part of its shared kernel"),
            (
                layer.rank.is_some(),
                "it has an addition of its own to its shared kernel",
            ),
            (
                layer.combined.is_some(),
                "its kernel is a combination of the kernels of a bank",
            ),
        ];
        if let Some((_, what)) = made.iter().find(|(is, _)| *is) {
            return Err(Unsupported::with(*what));
        }
        let tensors = layer.op.tensors();
        let names = tensors.iter().map(|tensor| tensor.name);
        let places = &self.places[id];
        let scale = layer.scaled.then(|| places[tensors.len()]);
        Ok((names.zip(places.iter().copied()).collect(), scale))
    }
}

impl ir::Walk for Walk<'_> {
    type Value = BufferId;
    type Error = Error;

    fn layer(&mut self, id: LayerId, x: BufferId) -> Result<BufferId, Error> {
        let layer = &self.network.layers[id];
        self.operation(&layer.op, Some(id), vec![(x, layer.input)], layer.output)
    }

    fn fork(&mut self, x: BufferId) -> Result<[BufferId; 2], Error> {
        Ok([x, x])
    }

    fn keep(&mut self, id: ValueId, x: BufferId) {
        self.values[id] = Some(x);
    }

    fn from(&mut self, id: ValueId, x: Option<BufferId>) -> Result<BufferId, Error> {
        let value = self.values[id].or(x);
        Ok(value.unwrap_or_else(|| unreachable!("a name stands for a value before it is used")))
    }

    /// A loop is written out; equal iterations are found again when the program becomes text.
    fn repeat(&mut self, of: &Loop, mut x: BufferId) -> Result<BufferId, Error> {
        let count = self.counts[of.count];
        if of.exit.is_some() && count > 1 {
            let name = self.network.loops[of.count].name.clone();
            return Err(Error::Exit { name });
        }
        for _ in 0..count {
            if self.to.program.steps.len() > MOST_STEPS {
                let what = format!("more than {MOST_STEPS} steps");
                return Err(Error::TooLarge { what });
            }
            x = self.nodes(&of.scope.nodes, x)?;
        }
        Ok(x)
    }

    fn join(&mut self, join: &Join, first: BufferId, others: Vec<BufferId>) -> Result<BufferId, Error> {
        let values = std::iter::once(first).chain(others);
        let inputs = values.zip(join.arms.iter().map(|arm| arm.output)).collect();
        self.operation(&join.op, join.layer, inputs, join.output)
    }
}
