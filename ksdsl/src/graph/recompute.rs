//! Segments of a training step that keep their inputs alone and run again in the backward pass (Chen et al. 2016, "Training
//! Deep Nets with Sublinear Memory Cost").
//!
//! A segment runs as the rest does, with a tape of its own that is dropped at its end. In the backward pass it runs once more
//! from its inputs, with the seeds that it drew and the parameters that it bound, and then backward: the operations and their
//! order are those of a step that keeps everything, so that all bits are the same.

use super::params::Params;
use super::step::Sink;
use super::walk::{Flow, Shared, Walk};
use crate::ir::{self, Network, Node, Uses, ValueId};
use ksdsl_engine::act::{Act, Context, GradCell};
use ksdsl_engine::halting::Halting;
use ksdsl_engine::{Exec, Param, Real, Recorder, Stored, Tape};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;

/// The steps of a network in their order, without the scopes around them.
pub(super) fn steps(network: &Network) -> Vec<&Node> {
    let mut stack: Vec<&Node> = network.nodes.iter().rev().collect();
    let mut steps = Vec::new();
    while let Some(node) = stack.pop() {
        match node {
            Node::Scope(scope) => stack.extend(scope.nodes.iter().rev()),
            node => steps.push(node),
        }
    }
    steps
}

/// Which steps of a network run again. A segment that is a loop stands for each of its iterations.
pub(super) type Segments = Vec<Range<usize>>;

/// What a walk knows of segments that run again.
pub(super) struct Again<E: Real, X: Exec<E>, T> {
    segments: Segments,
    kept: Vec<Kept<E, X, T>>,
    /// The next loop, whose iterations are segments.
    iterations: Option<usize>,
    bound: RefCell<Bound<E, X>>,
    /// Is told before each step, and at the end, the values of the activation if a segment can begin there without a change of
    /// what is fused.
    watch: Option<Box<dyn FnMut(Option<usize>)>>,
}

/// The parameters that a segment binds.
enum Bound<E: Real, X: Exec<E>> {
    /// There is no segment.
    Outside,
    /// Those that it has bound so far, with their places.
    Noted(Vec<(usize, Param<E, X>)>),
    /// Those that it binds again.
    Again(VecDeque<Param<E, X>>),
}

impl<E: Real, X: Exec<E>, T> Default for Again<E, X, T> {
    fn default() -> Self {
        Self {
            segments: Segments::new(),
            kept: Vec::new(),
            iterations: None,
            bound: RefCell::new(Bound::Outside),
            watch: None,
        }
    }
}

/// Activations by their names.
type Values<E, X> = Vec<(ValueId, Stored<E, X>)>;

/// What runs again.
enum Segment {
    Steps(Range<usize>),
    /// An iteration of the loop at this place.
    Iteration(usize),
}

/// A segment that has run, with what it needs to run again.
pub(super) struct Kept<E: Real, X: Exec<E>, T> {
    /// The tape up to it.
    before: T,
    segment: Segment,
    /// What its input carries, without a tape.
    context: Context<E, X, T>,
    input: Stored<E, X>,
    /// The values from outside that it uses.
    values: Values<E, X>,
    uses: Vec<Uses>,
    seeds: Vec<u64>,
    bound: VecDeque<Param<E, X>>,
    /// Where the gradient of its output gathers; none if that is a value from outside.
    output: Option<GradCell<X::Buf>>,
    /// The same for values that it gives names to.
    named: Vec<(ValueId, GradCell<X::Buf>)>,
}

/// Where gradients gather outside of a segment, by where they gather inside of it: apart, but for values from outside.
struct Cells<B> {
    from_outside: Vec<GradCell<B>>,
    pairs: Vec<[GradCell<B>; 2]>,
}

impl<B> Cells<B> {
    /// The cell outside for one inside; none for that of a value from outside.
    fn of(&mut self, inside: &GradCell<B>) -> Option<GradCell<B>> {
        if self.from_outside.iter().any(|cell| cell.is(inside)) {
            return None;
        }
        let known = self.pairs.iter().find(|[cell, _]| cell.is(inside));
        if let Some([_, outside]) = known {
            return Some(outside.clone());
        }
        let outside = GradCell::new(true);
        self.pairs.push([inside.clone(), outside.clone()]);
        Some(outside)
    }
}

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Walk<'_, E, X, T> {
    /// With segments that run again.
    pub(super) fn with_segments(mut self, segments: &Segments) -> Self {
        self.again.segments.clone_from(segments);
        self
    }

    /// Tells `watch` before each step, and at the end, how many values the activation has if a segment can begin there.
    #[cfg(feature = "memory")]
    pub(super) fn watched(mut self, watch: impl FnMut(Option<usize>) + 'static) -> Self {
        self.again.watch = Some(Box::new(watch));
        self
    }

    /// All of a network, some of it in segments.
    pub(super) fn in_segments(&mut self, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        if self.again.segments.is_empty() && self.again.watch.is_none() {
            return self.all_nodes(x);
        }
        let steps = steps(self.network);
        let mut at = 0;
        for segment in std::mem::take(&mut self.again.segments) {
            x = self.plain(&steps[at..segment.start], x)?;
            at = segment.end;
            x = match steps[segment.clone()] {
                [Node::Loop(of)] => {
                    self.again.iterations = Some(segment.start);
                    ir::Walk::repeat(self, of, x)?
                }
                _ => self.segment(Segment::Steps(segment), x)?,
            };
        }
        x = self.plain(&steps[at..], x)?;
        self.tell(&x, true);
        Ok(x)
    }

    fn plain(&mut self, steps: &[&Node], mut x: Act<E, X, T>) -> Flow<E, X, T> {
        for step in steps {
            self.tell(&x, self.begins_apart(&x, Some(step)));
            x = ir::Walk::nodes(self, std::slice::from_ref(*step), x)?;
        }
        Ok(x)
    }

    fn tell(&mut self, x: &Act<E, X, T>, can_begin: bool) {
        if let Some(watch) = &mut self.again.watch {
            watch(can_begin.then(|| x.size.len()));
        }
    }

    /// The place of the loop that begins, if its iterations are segments.
    pub(super) fn iterations_apart(&mut self) -> Option<usize> {
        self.again.iterations.take()
    }

    /// An iteration of the loop at this place, as a segment.
    pub(super) fn iteration_apart(&mut self, at: usize, x: Act<E, X, T>) -> Flow<E, X, T> {
        self.segment(Segment::Iteration(at), x)
    }

    /// Runs a segment, and keeps what it needs to run again.
    fn segment(&mut self, segment: Segment, x: Act<E, X, T>) -> Flow<E, X, T> {
        let mut x = x.ready()?;
        let mut before = std::mem::take(&mut x.context.tape);
        let (context, input) = (x.context.branch(), Stored::of(&x));
        let values = self.taken(&segment)?;
        let uses = self.uses.clone();
        let known = self.values.iter().flatten().map(|value| value.grad().clone());
        let mut cells = Cells {
            from_outside: known.chain([x.grad.clone()]).collect(),
            pairs: Vec::new(),
        };
        self.again.bound.replace(Bound::Noted(Vec::new()));
        if let Some(training) = &mut self.training {
            training.drawn = Some(Vec::new());
        }
        let mut y = self.perform(&segment, x.into())?.ready()?;
        // What it has recorded goes.
        drop(std::mem::take(&mut y.context.tape));
        let mut bound = VecDeque::new();
        if let Bound::Noted(noted) = self.again.bound.replace(Bound::Outside) {
            for (place, param) in noted {
                self.deliver(place, &param, (&context.exec, &mut before));
                bound.push_back(param);
            }
        }
        let seeds = self.training.as_mut().and_then(|training| training.drawn.take());
        let output = cells.of(&y.grad);
        if let Some(cell) = &output {
            y.grad = cell.clone();
        }
        let mut named = Vec::new();
        for (id, slot) in self.values.iter_mut().enumerate() {
            let Some(cell) = slot.as_ref().and_then(|value| cells.of(value.grad())) else {
                continue;
            };
            if let Some(value) = slot.take() {
                let mut value = value.ready()?;
                value.grad = cell.clone();
                *slot = Some(value.into());
            }
            named.push((id, cell));
        }
        self.again.kept.push(Kept {
            before,
            segment,
            context,
            input,
            values,
            uses,
            seeds: seeds.unwrap_or_default(),
            bound,
            output,
            named,
        });
        Ok(y.into())
    }

    fn perform(&mut self, segment: &Segment, x: Act<E, X, T>) -> Flow<E, X, T> {
        let steps = steps(self.network);
        match segment {
            Segment::Steps(segment) => self.plain(&steps[segment.clone()], x),
            Segment::Iteration(at) => {
                let Node::Loop(of) = steps[*at] else {
                    unreachable!("the place is that of a loop")
                };
                let inside = self.uses_inside(of);
                let halting = Halting::new(&x.context.exec, false);
                self.iteration(of, &inside, &halting, x)
            }
        }
    }

    /// The values from outside that a segment uses.
    fn taken(&self, segment: &Segment) -> Result<Values<E, X>, X::Err> {
        let steps = steps(self.network);
        let mut uses = vec![Uses::default(); self.values.len()];
        match segment {
            Segment::Steps(segment) => {
                let steps = steps[segment.clone()].iter();
                steps.for_each(|step| Uses::count(std::slice::from_ref(*step), &mut uses));
            }
            Segment::Iteration(at) => Uses::count(std::slice::from_ref(steps[*at]), &mut uses),
        }
        let taken = self.values.iter().zip(&uses).enumerate();
        let taken = taken.filter(|(_, (_, uses))| uses.is_needed());
        let taken = taken.filter_map(|(id, (value, _))| Some((id, value.as_ref()?.again())));
        taken.map(|(id, value)| Ok((id, Stored::of(&value.ready()?)))).collect()
    }

    /// Whether a segment that begins with this step changes nothing of what is fused.
    pub(super) fn begins_apart(&self, x: &Act<E, X, T>, step: Option<&Node>) -> bool {
        x.is_ready() || step.is_some_and(|step| self.computes_input(step))
    }

    /// Whether a step computes its input before anything else.
    fn computes_input(&self, step: &Node) -> bool {
        match step {
            Node::Keep(_) | Node::Set(_) => true,
            Node::Layer(id) => self.params.layer(*id).is_weighted,
            Node::Join(join) => join.arms.iter().skip(1).any(|arm| arm.source().is_none()),
            Node::Scope(scope) => scope.nodes.first().is_some_and(|step| self.computes_input(step)),
            Node::Loop(_) | Node::From(_) => false,
        }
    }

    /// The parameter that a segment binds again.
    pub(super) fn bound_before(&self) -> Option<Param<E, X>> {
        match &mut *self.again.bound.borrow_mut() {
            Bound::Again(params) => params.pop_front(),
            Bound::Outside | Bound::Noted(_) => None,
        }
    }

    /// Notes what a segment binds; `false` outside of segments.
    pub(super) fn note(&self, place: usize, param: &Param<E, X>) -> bool {
        let mut bound = self.again.bound.borrow_mut();
        if let Bound::Noted(noted) = &mut *bound {
            noted.push((place, param.clone()));
        }
        !matches!(*bound, Bound::Outside)
    }

    /// The segments that have run.
    pub(super) fn kept(&mut self) -> Vec<Kept<E, X, T>> {
        std::mem::take(&mut self.again.kept)
    }
}

/// What a backward pass takes besides what the forward pass has left.
pub(super) struct Backward<'a, E: Real, X: Exec<E>> {
    pub(super) network: &'a Network,
    pub(super) params: &'a Params<X::Buf>,
    pub(super) exec: &'a X,
    pub(super) images: usize,
    /// How often loops run.
    pub(super) counts: &'a [usize],
    pub(super) sink: Sink<X, X::Buf, X::Err>,
    /// The parameters that layers share.
    pub(super) shared: Shared<E, X>,
}

impl<E: Real, X: Exec<E>> Backward<'_, E, X> {
    /// Runs the tape of a pass, and those of its segments.
    pub(super) fn run(&self, tape: Recorder<E, X>, kept: Vec<Kept<E, X, Recorder<E, X>>>) -> Result<(), X::Err> {
        tape.run(self.exec)?;
        for mut kept in kept.into_iter().rev() {
            let before = std::mem::take(&mut kept.before);
            self.segment(kept)?;
            before.run(self.exec)?;
        }
        Ok(())
    }

    /// Runs a segment again, and then backward.
    fn segment(&self, kept: Kept<E, X, Recorder<E, X>>) -> Result<(), X::Err> {
        let Kept {
            segment,
            context,
            input,
            values,
            uses,
            seeds,
            bound,
            output,
            named,
            ..
        } = kept;
        let mut seeds = seeds.into_iter();
        let mut seeds = || seeds.next().unwrap_or_default();
        let walk = Walk::training(self.network, self.params, self.images, &mut seeds, self.sink.clone());
        let mut walk = walk.with_loops(self.counts, false);
        walk.shared.clone_from(&self.shared);
        walk.uses = uses;
        for (id, value) in values {
            walk.values[id] = Some(value.act(context.branch())?);
        }
        walk.again.bound = RefCell::new(Bound::Again(bound));
        let mut y = walk.perform(&segment, input.act(context)?)?.ready()?;
        let tape = std::mem::take(&mut y.context.tape);
        if let Some(cell) = output {
            cell.give(&y.grad);
        }
        drop(y);
        for (id, cell) in named {
            if let Some(value) = &walk.values[id] {
                cell.give(value.grad());
            }
        }
        drop(walk);
        tape.run(self.exec)
    }
}
