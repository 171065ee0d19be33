//! A unit in the making.

use super::f32::conv_numbers;
use super::{Arg, Array, Call, Data, Row, Unit, int, word};
use crate::steps::{Axis, Buffer, BufferId, ConstantId, ConvSize, Place, Program, arena};
use std::collections::{BTreeMap, HashMap};

/// A unit in the making.
pub(super) struct Maker {
    pub(super) unit: Unit,
    names: HashMap<String, usize>,
    known: HashMap<(ConstantId, &'static str), usize>,
    structs: HashMap<(&'static str, String), usize>,
    slice: Option<Slice>,
}

/// What runs slice by slice, in the making.
struct Slice {
    axis: Axis,
    /// Channels of the map.
    channels: usize,
    /// What is in the scratch.
    between: Vec<BufferId>,
    scratch: Place,
    calls: Vec<Call>,
}

impl Maker {
    pub(super) fn new(program: &Program, element: &'static str, element_bytes: usize) -> Self {
        let ports = |ports: &[crate::steps::Port], what: &str| {
            let name = |port: &crate::steps::Port| match ports.len() {
                1 => what.to_owned(),
                _ => format!("{what}_{}", word(&port.name)),
            };
            let one = |port: &crate::steps::Port| (name(port), program.buffers[port.buffer].len());
            ports.iter().map(one).collect()
        };
        Maker {
            unit: Unit {
                name: word(&program.name),
                element,
                element_bytes,
                inputs: ports(&program.inputs, "input"),
                outputs: ports(&program.outputs, "output"),
                arrays: Vec::new(),
                sizes: Vec::new(),
                rows: Vec::new(),
                arena: arena(program),
                of_value: BTreeMap::new(),
                helpers: Vec::new(),
                header: Vec::new(),
                functions: Vec::new(),
            },
            names: HashMap::new(),
            known: HashMap::new(),
            structs: HashMap::new(),
            slice: None,
        }
    }

    /// The array for a constant, made once for each use of its kind.
    pub(super) fn array(&mut self, key: (ConstantId, &'static str), origin: &str, data: impl FnOnce() -> Data) -> Arg {
        if let Some(at) = self.known.get(&key) {
            return Arg::Array(Some(*at));
        }
        let base = format!("w_{}", word(origin));
        let number = self.names.entry(base.clone()).or_insert(0);
        *number += 1;
        let name = if *number == 1 {
            base
        } else {
            format!("{base}__{number}")
        };
        self.unit.arrays.push(Array {
            name,
            origin: origin.to_owned(),
            data: data(),
        });
        self.known.insert(key, self.unit.arrays.len() - 1);
        Arg::Array(Some(self.unit.arrays.len() - 1))
    }

    /// The struct of this kind with these numbers.
    pub(super) fn size(&mut self, kind: &'static str, numbers: &[usize]) -> Arg {
        let numbers: Vec<i64> = numbers.iter().map(|number| *number as i64).collect();
        self.integers(kind, &numbers)
    }

    /// The struct of this kind with these numbers.
    pub(super) fn integers(&mut self, kind: &'static str, numbers: &[i64]) -> Arg {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let content = numbers.join(", ");
        if let Some(at) = self.structs.get(&(kind, content.clone())) {
            return Arg::Struct(kind, *at);
        }
        let at = self.unit.sizes.len();
        let name = format!("{}_{at}", kind.trim_start_matches("ksn_"));
        self.unit.sizes.push((kind, name, content.clone()));
        self.structs.insert((kind, content), at);
        Arg::Struct(kind, at)
    }

    /// Makes the calls of each step of a program, by its position.
    pub(super) fn steps(&mut self, program: &Program, mut calls: impl FnMut(&mut Self, usize)) {
        let mut at = 0;
        for (number, slices) in program.slices.iter().enumerate() {
            (at..slices.steps.start).for_each(|at| calls(self, at));
            at = slices.steps.end;
            let steps = &program.steps[slices.steps.clone()];
            let Some([first, last]) = steps.first().zip(steps.last()).map(|(first, last)| [first, last]) else {
                continue;
            };
            let size = program.buffers[last.output];
            self.slice = Some(Slice {
                axis: slices.axis,
                channels: size.channels,
                between: steps.iter().map(|step| step.output).collect(),
                scratch: self.unit.arena.scratch[number],
                calls: Vec::new(),
            });
            slices.steps.clone().for_each(|at| calls(self, at));
            self.close(&first.place, last.output, size);
        }
        (at..program.steps.len()).for_each(|at| calls(self, at));
    }

    /// Ends what runs slice by slice: the slice of the output becomes what is in the scratch.
    fn close(&mut self, place: &str, output: BufferId, size: Buffer) {
        let Some(mut slice) = self.slice.take() else { return };
        let [next, distance] = slice.axis.distances(size.channels);
        let y = Arg::Slice(Box::new(self.buffer(output)), next);
        let len = slice.axis.slice(size).len();
        slice.calls.push(Call {
            kernel: "ksn_write",
            args: vec![Arg::Buffer(slice.scratch), y, int(0), int(len), int(distance)],
            place: place.to_owned(),
        });
        self.unit.rows.push(Row {
            calls: slice.calls,
            slices: slice.axis.count(size),
        });
    }

    pub(super) fn buffer(&self, id: BufferId) -> Arg {
        let whole = Arg::Buffer(self.unit.arena.places[id]);
        match &self.slice {
            None => whole,
            Some(slice) if slice.between.contains(&id) => Arg::Buffer(slice.scratch),
            Some(slice) => Arg::Slice(Box::new(whole), slice.axis.distances(slice.channels)[0]),
        }
    }

    /// How far the values of a buffer are from each other.
    pub(super) fn distance(&self, id: BufferId) -> Arg {
        let slice = self.slice.as_ref().filter(|slice| !slice.between.contains(&id));
        int(slice.map_or(1, |slice| slice.axis.distances(slice.channels)[1]))
    }

    /// The size of a buffer, or of its slice.
    pub(super) fn extent(&self, whole: Buffer) -> Buffer {
        self.slice.as_ref().map_or(whole, |slice| slice.axis.slice(whole))
    }

    /// The sizes of a convolution, or of one of a slice.
    pub(super) fn conv(&mut self, size: ConvSize) -> Arg {
        let size = self.slice.as_ref().map_or(size, |slice| slice.axis.conv(size));
        self.size("ksn_conv", &conv_numbers(&size))
    }

    /// What there is for each channel, as an argument.
    pub(super) fn of_channels(&self, array: Arg) -> Arg {
        match &self.slice {
            Some(slice) if slice.axis == Axis::Channels && array != Arg::Array(None) => Arg::Slice(Box::new(array), 1),
            _ => array,
        }
    }

    pub(super) fn call(&mut self, kernel: &'static str, place: &str, args: Vec<Arg>) {
        let call = Call {
            kernel,
            args,
            place: place.to_owned(),
        };
        match &mut self.slice {
            Some(slice) => slice.calls.push(call),
            None => self.unit.rows.push(Row {
                calls: vec![call],
                slices: 1,
            }),
        }
    }
}
