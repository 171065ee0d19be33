//! Where buffers are: those that are not needed at the same time share their memory.

use super::overlap::apart;
use super::{BufferId, Kind, Program, Step};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the input of this position.
    Input(usize),
    /// In the output of this position.
    Output(usize),
    /// In the arena, from this value on.
    Arena(usize),
}

/// The places of all buffers.
#[derive(Clone, Debug)]
pub struct Arena {
    /// Of each buffer; what is between steps that run slice by slice has the place of their scratch.
    pub places: Vec<Place>,
    /// Of each of [`Program::slices`], where its scratch is.
    pub scratch: Vec<Place>,
    /// Values of the arena.
    pub len: usize,
}

/// Buffers in one place, one after the other.
#[derive(Clone, Copy, Debug)]
struct Class {
    len: usize,
    /// The step that writes the first, and the last that reads one.
    first: usize,
    last: usize,
    fixed: Option<Place>,
    at: usize,
}

impl Class {
    fn place(&self) -> Place {
        self.fixed.unwrap_or(Place::Arena(self.at))
    }
}

/// Classes of which all pairs are compared.
const FEW: usize = 2048;

/// Places for the buffers of a program: steps that can write where they read do so, others begin as little before it as they
/// can, and each class of buffers gets the first gap among those that are needed at the same time, in the order of the steps
/// or in that of their sizes, forwards or backwards, whichever makes the arena smallest.
pub fn arena(program: &Program) -> Arena {
    let mut all = Classes::of(program);
    let mut order: Vec<usize> = (0..all.classes.len())
        .filter(|at| all.classes[*at].fixed.is_none())
        .collect();
    order.sort_by_key(|at| (all.classes[*at].first, *at));
    let mut len = all.place(&order);
    if order.len() <= FEW {
        let mut by_size = order.clone();
        by_size.sort_by_key(|at| (Reverse(all.classes[*at].len), all.classes[*at].first));
        let mut backwards = by_size.clone();
        backwards.sort_by_key(|at| (Reverse(all.classes[*at].len), Reverse(all.classes[*at].first)));
        order.reverse();
        for order in [by_size, backwards, order] {
            let classes = all.classes.clone();
            let other = all.place(&order);
            match other < len {
                true => len = other,
                false => all.classes = classes,
            }
        }
    }
    let place = |class: &usize| all.classes[*class].place();
    Arena {
        places: all.of_buffers.iter().map(place).collect(),
        scratch: all.scratch.iter().map(place).collect(),
        len,
    }
}

/// The classes of a program's buffers.
struct Classes<'p> {
    program: &'p Program,
    classes: Vec<Class>,
    /// The class of each buffer.
    of_buffers: Vec<usize>,
    /// The class of each scratch.
    scratch: Vec<usize>,
    /// How far before a class that a step reads for the last time another must begin that the step is the first to write.
    apart: HashMap<[usize; 2], usize>,
    /// The first step that writes each buffer, and the last that needs it.
    first: Vec<usize>,
    last: Vec<usize>,
}

const NONE: usize = usize::MAX;

impl<'p> Classes<'p> {
    fn of(program: &'p Program) -> Self {
        let count = program.buffers.len();
        let (mut last, mut first) = (vec![0; count], vec![NONE; count]);
        for (at, step) in program.steps.iter().enumerate() {
            step.inputs.iter().for_each(|id| last[*id] = at);
            first[step.output] = first[step.output].min(at);
            last[step.output] = last[step.output].max(at);
        }
        program
            .outputs
            .iter()
            .for_each(|port| last[port.buffer] = program.steps.len());
        let mut all = Classes {
            program,
            classes: Vec::new(),
            of_buffers: vec![NONE; count],
            scratch: Vec::new(),
            apart: HashMap::new(),
            first,
            last,
        };
        program.inputs.iter().for_each(|port| all.own(port.buffer));
        let mut slices = program.slices.iter().peekable();
        let mut at = 0;
        while at < program.steps.len() {
            match slices.next_if(|slices| slices.steps.start == at) {
                Some(slices) => at = all.slices(slices),
                None => {
                    all.step(at);
                    at += 1;
                }
            }
        }
        // What nothing writes.
        (0..count).for_each(|id| all.own(id));
        all
    }

    /// A class of its own for a buffer, if it has none.
    fn own(&mut self, id: BufferId) {
        if self.of_buffers[id] != NONE {
            return;
        }
        let input = self.program.inputs.iter().position(|port| port.buffer == id);
        self.classes.push(Class {
            len: self.program.buffers[id].len(),
            first: self.first[id].min(self.program.steps.len()),
            last: self.last[id],
            fixed: input.map(Place::Input).or(self.output(id)),
            at: 0,
        });
        self.of_buffers[id] = self.classes.len() - 1;
    }

    fn output(&self, id: BufferId) -> Option<Place> {
        let output = self.program.outputs.iter().position(|port| port.buffer == id);
        output.map(Place::Output)
    }

    /// Where the buffers of this class are a further one is after them.
    fn join(&mut self, id: BufferId, class: usize) {
        self.of_buffers[id] = class;
        (self.classes[class].last, self.classes[class].fixed) = (self.last[id], self.output(id));
    }

    fn step(&mut self, at: usize) {
        let step = &self.program.steps[at];
        if self.of_buffers[step.output] != NONE {
            return;
        }
        match self.reused(step, at) {
            Some(class) => self.join(step.output, class),
            None => {
                self.own(step.output);
                let [x, y] =
                    [step.inputs.first(), Some(&step.output)].map(|id| id.map_or(NONE, |id| self.of_buffers[*id]));
                if x != NONE
                    && self.classes[x].last == at
                    && let Some(distance) = apart(&step.kind)
                {
                    self.apart.insert([x, y], distance);
                }
            }
        }
    }

    /// The class of an input that a step can write over: the one that has been there longest, so that equal blocks in a row
    /// have equal places.
    fn reused(&self, step: &Step, at: usize) -> Option<usize> {
        if !step.kind.is_in_place() {
            return None;
        }
        let any = matches!(step.kind, Kind::Binary(_));
        let inputs = if any { step.inputs.as_slice() } else { &step.inputs[..1] };
        let size = |id: BufferId| self.program.buffers[id].len();
        let free = inputs.iter().filter(|x| {
            let class = &self.classes[self.of_buffers[**x]];
            size(**x) == size(step.output) && class.fixed.is_none() && class.last == at
        });
        free.map(|x| self.of_buffers[*x])
            .min_by_key(|class| self.classes[*class].first)
    }

    /// Of steps that run slice by slice, a scratch of one slice, and their output where their map is; the step after them.
    fn slices(&mut self, slices: &super::Slices) -> usize {
        let steps = &self.program.steps[slices.steps.clone()];
        let [first, last] = [slices.steps.start, slices.steps.end - 1];
        let map = self.program.buffers[steps[0].inputs[0]];
        self.classes.push(Class {
            len: slices.axis.slice(map).len(),
            first,
            last,
            fixed: None,
            at: 0,
        });
        let scratch = self.classes.len() - 1;
        self.scratch.push(scratch);
        let between = &steps[..last - first];
        between.iter().for_each(|step| self.of_buffers[step.output] = scratch);
        self.join(steps[last - first].output, self.of_buffers[steps[0].inputs[0]]);
        last + 1
    }

    /// Places classes in this order; the length of the arena.
    fn place(&mut self, order: &[usize]) -> usize {
        let mut placed: Vec<usize> = Vec::new();
        let mut len = 0;
        let is_sorted = order.is_sorted_by_key(|at| self.classes[*at].first);
        for &id in order {
            let class = self.classes[id];
            // In the order of the steps, what has ended is needed with none that follows.
            if is_sorted {
                placed.retain(|other| self.classes[*other].last >= class.first);
            }
            let mut taken: Vec<[usize; 2]> = placed.iter().filter_map(|other| self.taken(id, *other)).collect();
            taken.sort_unstable();
            let mut at = 0;
            for [from, to] in taken {
                if at + class.len <= from {
                    break;
                }
                at = at.max(to);
            }
            self.classes[id].at = at;
            len = len.max(at + class.len);
            placed.push(id);
        }
        len
    }

    /// What a class that has a place takes of the arena for another: all of it, or less where one may begin in the other.
    fn taken(&self, id: usize, other: usize) -> Option<[usize; 2]> {
        let (class, taken) = (&self.classes[id], &self.classes[other]);
        if taken.first > class.last || class.first > taken.last {
            return None;
        }
        let (mut from, mut to) = (taken.at, taken.at + taken.len);
        if let Some(distance) = self.apart.get(&[id, other]) {
            to = to.min(taken.at + distance);
        }
        if let Some(distance) = self.apart.get(&[other, id]) {
            from += class.len.saturating_sub(*distance);
        }
        Some([from, to])
    }
}
