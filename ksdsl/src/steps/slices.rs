//! Steps that run on one channel or one position after the other, so that a map has their output in place.

use super::{Arena, Binary, Buffer, BufferId, ConvSize, Kind, Program, Step, arena};
use std::cmp::Reverse;
use std::ops::Range;

/// What a slice of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// One channel at all positions.
    Channels,
    /// All channels at one position.
    Positions,
}

/// Steps in a row that run slice by slice. The first reads a slice of the map, what they compute of it is in a scratch
/// buffer of one slice, and the result is copied over the slice of the map, which no step after them reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slices {
    /// The steps.
    pub steps: Range<usize>,
    /// What a slice is.
    pub axis: Axis,
}

impl Axis {
    /// The size of a slice.
    pub fn slice(self, Buffer { positions, channels }: Buffer) -> Buffer {
        match self {
            Axis::Channels => Buffer { positions, channels: 1 },
            Axis::Positions => Buffer { positions: 1, channels },
        }
    }

    /// How many slices there are.
    pub fn count(self, Buffer { positions, channels }: Buffer) -> usize {
        match self {
            Axis::Channels => channels,
            Axis::Positions => positions,
        }
    }

    /// How far a slice is from the one before it, and a value from the one before it in a slice.
    pub fn distances(self, channels: usize) -> [usize; 2] {
        match self {
            Axis::Channels => [1, channels],
            Axis::Positions => [channels, 1],
        }
    }

    /// The sizes of a convolution of one slice.
    pub fn conv(self, mut size: ConvSize) -> ConvSize {
        match self {
            // Channels of the input remain: they are the distance of its positions, and of the taps of its kernel.
            Axis::Channels => size.output[2] = 1,
            Axis::Positions => {
                [size.input, size.output] = [size.input, size.output].map(|[_, _, channels]| [1, 1, channels])
            }
        }
        size
    }

    /// The axis along which a convolution can run in place.
    fn of(size: &ConvSize) -> Option<Self> {
        let is_point = size.kernel == [1, 1] && size.stride == [1, 1] && size.pad == [0, 0];
        match size.input == size.output {
            true if size.is_depthwise() => Some(Axis::Channels),
            true if is_point && size.output[..2] != [1, 1] => Some(Axis::Positions),
            _ => None,
        }
    }
}

/// Slices of the largest maps of a program, as few as make its arena smallest; afterwards they are in it.
pub(super) fn slices(program: &mut Program) {
    let all = found(program);
    let size = |slices: &Slices, program: &Program| program.buffers[program.steps[slices.steps.start].output].len();
    let mut sizes: Vec<usize> = all.iter().map(|slices| size(slices, program)).collect();
    sizes.sort_unstable_by_key(|size| Reverse(*size));
    sizes.dedup();
    let (mut least, mut best) = (arena(program).len, Vec::new());
    for from in sizes {
        program.slices = all
            .iter()
            .filter(|slices| size(slices, program) >= from)
            .cloned()
            .collect();
        let Arena { len, .. } = arena(program);
        if len < least {
            (least, best) = (len, program.slices.clone());
        }
    }
    program.slices = best;
}

fn found(program: &Program) -> Vec<Slices> {
    let uses = program.uses_of_buffers();
    let mut last = vec![0; program.buffers.len()];
    for (at, step) in program.steps.iter().enumerate() {
        step.inputs.iter().for_each(|id| last[*id] = at);
    }
    program
        .inputs
        .iter()
        .chain(&program.outputs)
        .for_each(|port| last[port.buffer] = usize::MAX);
    let (mut slices, mut at) = (Vec::new(), 0);
    while at < program.steps.len() {
        let of = of(program, at, (&uses, &last));
        at = of.as_ref().map_or(at + 1, |of| of.steps.end);
        slices.extend(of);
    }
    slices
}

/// The steps from this one on that run slice by slice: a convolution and what follows it alone, until nothing reads the map.
fn of(program: &Program, first: usize, (uses, last): (&[usize], &[usize])) -> Option<Slices> {
    let Kind::Conv { size, .. } = &program.steps[first].kind else {
        return None;
    };
    let axis = Axis::of(size)?;
    let (map, mut end) = (program.steps[first].inputs[0], first + 1);
    while last[map] >= end {
        let result = program.steps[end - 1].output;
        let next = program.steps.get(end)?;
        if uses[result] != 1 || !next.inputs.contains(&result) || !is_local(next, result) {
            return None;
        }
        end += 1;
    }
    Some(Slices {
        steps: first..end,
        axis,
    })
}

/// Whether a step makes of each slice of this input one of its output.
fn is_local(step: &Step, of: BufferId) -> bool {
    match step.kind {
        Kind::Affine { .. } | Kind::Function(_) | Kind::Prelu(_) => true,
        Kind::Binary(Binary::Add | Binary::Subtract | Binary::Multiply) => {
            step.inputs.iter().filter(|id| **id == of).count() == 1
        }
        _ => false,
    }
}
