//! Loops over operands: an expression evaluated for blocks of elements.

use super::CpuBuf;
use super::par::{ELEMENTS_PER_TASK, for_rows};
use crate::real::CpuReal;
use ksdsl_engine::loops::{Binary, Expr, Loops, Unary, View};

/// Elements of a block: those of an operation fit into the L1 cache.
const BLOCK: usize = 256;

/// What is computed: [`Exec::compute`](ksdsl_engine::Exec::compute).
pub(super) fn compute<E: CpuReal>(loops: &Loops, operands: &[&CpuBuf<E>]) -> CpuBuf<E> {
    let mut y = CpuBuf::scratch(loops.len());
    let plan = Plan::new(loops);
    let width = plan.width();
    let work = width * loops.addends().max(1);
    for_rows(&mut y, width, (ELEMENTS_PER_TASK / work).max(1), |first, part| {
        let mut task = Task::new(&plan, operands);
        for (row, part) in part.chunks_mut(width).enumerate() {
            task.row(first + row, part);
        }
    });
    y
}

/// Loops with the expression as a list of steps.
struct Plan<'l> {
    loops: &'l Loops,
    steps: Vec<Step>,
    /// The most values that wait at a time.
    depth: usize,
    /// Whether blocks run along the last summed loop rather than along the output's: where the first operand's
    /// neighbours are there. This must not depend on sizes, or an image's bits would depend on the batch.
    across: bool,
}

/// A step of an expression, on a stack of blocks.
enum Step {
    Operand(usize),
    Constant(f64),
    Unary(Unary),
    Binary(Binary),
    IfPositive,
}

impl<'l> Plan<'l> {
    fn new(loops: &'l Loops) -> Self {
        let mut steps = Vec::new();
        flatten(&loops.value, &mut steps);
        let depths = steps.iter().scan(0, |depth, step| {
            match step {
                Step::Operand(_) | Step::Constant(_) => *depth += 1,
                Step::Unary(_) => {}
                Step::Binary(_) => *depth -= 1,
                Step::IfPositive => *depth -= 2,
            }
            Some(*depth)
        });
        let steps_of_first = loops.views.first().map_or(&[][..], |view| &view.steps);
        let along = |at: usize| steps_of_first.get(at) == Some(&1);
        let (last, end) = (loops.output.len() - 1, loops.sizes().count() - 1);
        Self {
            depth: depths.max().unwrap_or(0),
            across: !loops.summed.is_empty() && along(end) && !along(last),
            loops,
            steps,
        }
    }

    /// Elements of a row: those of the output's last loop, or a part of them where there is no other.
    fn width(&self) -> usize {
        match self.loops.output[..] {
            [len] => len.clamp(1, ELEMENTS_PER_TASK),
            [.., inner] => inner.max(1),
            [] => 1,
        }
    }
}

fn flatten(value: &Expr, steps: &mut Vec<Step>) {
    match value {
        Expr::Operand(n) => steps.push(Step::Operand(*n)),
        Expr::Constant(value) => steps.push(Step::Constant(*value)),
        Expr::Unary(function, of) => {
            flatten(of, steps);
            steps.push(Step::Unary(*function));
        }
        Expr::Binary(function, of) => {
            of.iter().for_each(|of| flatten(of, steps));
            steps.push(Step::Binary(*function));
        }
        Expr::IfPositive(of) => {
            of.iter().for_each(|of| flatten(of, steps));
            steps.push(Step::IfPositive);
        }
    }
}

/// The place of a block: the index of each loop, where the block's own starts.
struct Task<'p, E: CpuReal> {
    plan: &'p Plan<'p>,
    operands: &'p [&'p CpuBuf<E>],
    index: Vec<usize>,
    stack: Vec<E>,
    sums: [f64; BLOCK],
}

impl<'p, E: CpuReal> Task<'p, E> {
    fn new(plan: &'p Plan<'p>, operands: &'p [&'p CpuBuf<E>]) -> Self {
        Self {
            plan,
            operands,
            index: vec![0; plan.loops.output.len() + plan.loops.summed.len()],
            stack: vec![E::zero(); plan.depth * BLOCK],
            sums: [0.0; BLOCK],
        }
    }

    /// Computes a row of the output.
    fn row(&mut self, row: usize, y: &mut [E]) {
        let output = &self.plan.loops.output;
        let last = output.len() - 1;
        let start = if last == 0 { row * self.plan.width() } else { 0 };
        let mut rest = row;
        for at in (0..last).rev() {
            self.index[at] = rest % output[at];
            rest /= output[at];
        }
        if self.plan.across {
            for (at, y) in y.iter_mut().enumerate() {
                self.index[last] = start + at;
                *y = self.sum_across();
            }
            return;
        }
        for (block, y) in y.chunks_mut(BLOCK).enumerate() {
            self.index[last] = start + block * BLOCK;
            match self.plan.loops.summed.is_empty() {
                true => {
                    self.evaluate(last, y.len());
                    y.copy_from_slice(&self.stack[..y.len()]);
                }
                false => self.sums_of(last, y),
            }
        }
    }

    /// The sums of a block of the output's last loop, in `f64`, in the order of the summed loops.
    fn sums_of(&mut self, last: usize, y: &mut [E]) {
        self.sums[..y.len()].fill(0.0);
        for addend in 0..self.plan.loops.addends() {
            self.set_summed(addend, self.plan.loops.summed.len());
            self.evaluate(last, y.len());
            let values = self.stack[..y.len()].iter();
            self.sums
                .iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value.wide());
        }
        y.iter_mut().zip(&self.sums).for_each(|(y, &sum)| *y = E::of(sum));
    }

    /// The sum of one element, in `f64`: eight sums along the last summed loop, then those.
    fn sum_across(&mut self) -> E {
        let summed = &self.plan.loops.summed;
        let (outer, along) = (summed.len() - 1, summed[summed.len() - 1]);
        let outside: usize = summed[..outer].iter().product();
        let axis = self.index.len() - 1;
        let mut sums = [0.0; 8];
        for addend in 0..outside {
            self.set_summed(addend, outer);
            for first in (0..along).step_by(BLOCK) {
                self.index[axis] = first;
                let len = BLOCK.min(along - first);
                self.evaluate(axis, len);
                for (at, value) in self.stack[..len].iter().enumerate() {
                    sums[at % 8] += value.wide();
                }
            }
        }
        E::of(sums.iter().sum())
    }

    /// Sets the indices of the first `count` summed loops.
    fn set_summed(&mut self, addend: usize, count: usize) {
        let first = self.plan.loops.output.len();
        let mut rest = addend;
        for at in (0..count).rev() {
            let size = self.plan.loops.summed[at];
            self.index[first + at] = rest % size;
            rest /= size;
        }
    }

    /// Leaves the expression's values for `len` indices of the loop `axis` at the start of the stack.
    fn evaluate(&mut self, axis: usize, len: usize) {
        let mut depth = 0;
        for step in &self.plan.steps {
            let (below, above) = self.stack.split_at_mut(depth * BLOCK);
            match step {
                Step::Operand(n) => {
                    let view = &self.plan.loops.views[*n];
                    load(
                        self.plan.loops,
                        view,
                        self.operands[*n],
                        &self.index,
                        axis,
                        &mut above[..len],
                    );
                    depth += 1;
                }
                Step::Constant(value) => {
                    above[..len].fill(E::of(*value));
                    depth += 1;
                }
                Step::Unary(function) => unary(*function, &mut below[(depth - 1) * BLOCK..][..len]),
                Step::Binary(function) => {
                    let (a, b) = below[(depth - 2) * BLOCK..].split_at_mut(BLOCK);
                    binary(*function, &mut a[..len], &b[..len]);
                    depth -= 1;
                }
                Step::IfPositive => {
                    let (choice, values) = below[(depth - 3) * BLOCK..].split_at_mut(BLOCK);
                    let (then, otherwise) = values.split_at(BLOCK);
                    for ((choice, &then), &otherwise) in choice[..len].iter_mut().zip(then).zip(otherwise) {
                        *choice = if *choice > E::zero() { then } else { otherwise };
                    }
                    depth -= 2;
                }
            }
        }
    }
}

/// Reads an operand for the indices of the loop `axis` from `index[axis]` on.
fn load<E: CpuReal>(loops: &Loops, view: &View, values: &[E], index: &[usize], axis: usize, to: &mut [E]) {
    let steps: usize = index.iter().zip(&view.steps).map(|(index, step)| index * step).sum();
    let mut offset = steps;
    let mut moving = None;
    for table in &view.tables {
        if table.loops.contains(&axis) {
            debug_assert!(moving.is_none(), "one table along a block");
            moving = Some(table);
        } else {
            offset += table.offsets[table_index(loops, &table.loops, index)];
        }
    }
    let step = view.steps[axis];
    if let Some(table) = moving {
        let mut index = index.to_vec();
        for (at, to) in to.iter_mut().enumerate() {
            *to = values[offset + at * step + table.offsets[table_index(loops, &table.loops, &index)]];
            index[axis] += 1;
        }
        return;
    }
    match step {
        0 => to.fill(values[offset]),
        1 => to.copy_from_slice(&values[offset..offset + to.len()]),
        _ => {
            let from = values[offset..].iter().step_by(step);
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
        }
    }
}

fn table_index(loops: &Loops, over: &[usize], index: &[usize]) -> usize {
    let size = |at: usize| match at.checked_sub(loops.output.len()) {
        None => loops.output[at],
        Some(at) => loops.summed[at],
    };
    over.iter().fold(0, |sum, &at| sum * size(at) + index[at])
}

fn unary<E: CpuReal>(function: Unary, values: &mut [E]) {
    let apply = |f: fn(E) -> E, values: &mut [E]| values.iter_mut().for_each(|value| *value = f(*value));
    match function {
        Unary::Exp => apply(E::exp, values),
        Unary::ExpM1 => apply(E::exp_m1, values),
        Unary::Ln1P => apply(E::ln_1p, values),
        Unary::Sqrt => apply(E::sqrt, values),
        Unary::Tanh => apply(E::tanh, values),
    }
}

fn binary<E: CpuReal>(function: Binary, a: &mut [E], b: &[E]) {
    let pairs = a.iter_mut().zip(b);
    match function {
        Binary::Add => pairs.for_each(|(a, &b)| *a += b),
        Binary::Subtract => pairs.for_each(|(a, &b)| *a -= b),
        Binary::Multiply => pairs.for_each(|(a, &b)| *a *= b),
        Binary::Divide => pairs.for_each(|(a, &b)| *a /= b),
    }
}
