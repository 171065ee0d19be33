//! Loops, as generated code runs them.

use super::recompute::Again;
use super::walk::{Flow, Walk};
use crate::ir::{self, Loop, Uses, Walk as _};
use ksdsl_engine::act::Act;
use ksdsl_engine::halting::Halting;
use ksdsl_engine::{Exec, NoTape, Real, Tape};

impl<E: Real, X: Exec<E>, T: Tape<E, X>> Walk<'_, E, X, T> {
    /// The iterations of a loop.
    pub(super) fn run_time_loop(&mut self, of: &Loop, mut x: Act<E, X, T>) -> Flow<E, X, T> {
        let count = self.counts[of.count];
        let (inside, outer) = (self.uses_inside(of), x.begin_loop());
        let outside = std::mem::replace(&mut self.uses, inside.clone());
        let mut first = 0;
        if let (Some(last), true) = (of.gradients, T::RECORDS) {
            first = count.saturating_sub(super::walk::size(last));
        }
        if first > 0 {
            x = self.untaped(of, first, &inside, x)?;
        }
        let halts = of.exit.is_some() && self.training.is_none() && self.exits;
        let mut halting = Halting::new(&x.context.exec, halts);
        let apart = self.iterations_apart();
        self.enter_loop();
        for step in first..count {
            self.enter_iteration(step);
            x = match apart.filter(|_| self.begins_apart(&x, of.scope.nodes.first())) {
                Some(at) => self.iteration_apart(at, x)?,
                None => self.iteration(of, &inside, &halting, x)?,
            };
            if let (Some(logits), true) = (self.exit(of), step + 1 < count)
                && halting.stop(logits)?
            {
                self.ended_early(of, &x.context.exec)?;
                break;
            }
        }
        self.leave_loop();
        x.end_loop(outer);
        self.uses = outside;
        self.end(of);
        Ok(x)
    }

    /// How the body uses each value, and once more those that an iteration leaves.
    pub(super) fn uses_inside(&self, of: &Loop) -> Vec<Uses> {
        let mut uses = vec![Uses::default(); self.values.len()];
        Uses::count(&of.scope.nodes, &mut uses);
        let left = of.scope.takes.iter().chain(&of.exit);
        left.for_each(|id| uses[*id].once_more());
        uses
    }

    /// One iteration, which leaves the values that it takes and its exit.
    pub(super) fn iteration(
        &mut self,
        of: &Loop,
        uses: &[Uses],
        halting: &Halting<X, X::Buf>,
        x: Act<E, X, T>,
    ) -> Flow<E, X, T> {
        self.uses.clone_from_slice(uses);
        let (x, old_x) = halting.hold(x)?;
        let mut old = Vec::new();
        for &id in &of.scope.sets {
            let Some(value) = self.values[id].take() else { continue };
            let (now, held) = halting.hold(value)?;
            self.values[id] = Some(now);
            old.push((id, held));
        }
        old.extend(of.exit.map(|id| (id, self.values[id].take())));
        let x = self.nodes(&of.scope.nodes, x)?;
        let x = halting.select(x, old_x)?;
        for (id, old) in old {
            if let Some(new) = self.values[id].take() {
                self.values[id] = Some(halting.select(new, old)?);
            }
        }
        Ok(x)
    }

    /// The exit that an iteration has left.
    fn exit(&self, of: &Loop) -> Option<&Act<E, X, T>> {
        of.exit.and_then(|id| self.values[id].as_ref())
    }

    /// Iterations that record nothing.
    fn untaped(&mut self, of: &Loop, count: usize, uses: &[Uses], x: Act<E, X, T>) -> Flow<E, X, T> {
        let (mut now, tape) = x.detach::<NoTape>()?;
        let mut walk = Walk::<E, X, NoTape> {
            network: self.network,
            params: self.params,
            batch: self.batch,
            counts: self.counts.clone(),
            exits: self.exits,
            training: self.training.take(),
            decoding: None,
            shared: std::mem::take(&mut self.shared),
            values: self.values.iter().map(|_| None).collect(),
            uses: uses.to_vec(),
            fused: vec![false; self.network.layers.len()],
            again: Again::default(),
        };
        for &id in &of.scope.takes {
            if let Some(value) = &self.values[id] {
                walk.values[id] = Some(value.again().detach()?.0);
            }
        }
        let halting = Halting::new(&now.context.exec, false);
        for _ in 0..count {
            now = walk.iteration(of, uses, &halting, now)?;
        }
        self.training = walk.training.take();
        self.shared = std::mem::take(&mut walk.shared);
        for &id in &of.scope.sets {
            if let Some(value) = walk.values[id].take() {
                self.values[id] = Some(value.detach()?.0);
            }
        }
        let (mut x, _) = now.detach::<T>()?;
        x.context.tape = tape;
        Ok(x)
    }

    /// After a loop its exit is known, and what it has set is something else.
    fn end(&mut self, of: &Loop) {
        for &id in &of.scope.takes {
            self.uses[id].used();
        }
        for &id in of.scope.sets.iter().chain(&of.exit) {
            self.uses[id].next_value();
        }
        for &id in of.scope.takes.iter().chain(&of.exit) {
            if !self.uses[id].is_needed() {
                self.values[id] = None;
            }
        }
    }
}

/// The most iterations of each loop.
pub(super) fn most(network: &ir::Network) -> Vec<usize> {
    network
        .loops
        .iter()
        .map(|count| super::walk::size(count.most))
        .collect()
}
