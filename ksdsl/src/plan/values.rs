//! Values with names in one struct's forward pass.

use super::{Arm, LocalId, Step, Use};
use crate::ir::{Kept, ValueId};

/// The values of one body, by position.
pub(super) struct Locals(Vec<ValueId>);

impl Locals {
    /// Those that come from outside.
    pub(super) fn new(takes: &[ValueId]) -> Self {
        Locals(takes.to_vec())
    }

    /// One more.
    pub(super) fn add(&mut self, id: ValueId) -> LocalId {
        self.0.push(id);
        self.0.len() - 1
    }

    /// The position of a value that is in scope, which all are that a step names.
    pub(super) fn get(&self, id: ValueId) -> LocalId {
        let position = self.0.iter().rposition(|known| *known == id);
        position.unwrap_or_else(|| unreachable!("a value is in scope where it is used"))
    }

    /// A use of it, for all that is known yet not the last.
    pub(super) fn use_of(&self, id: ValueId) -> Use {
        Use {
            value: self.get(id),
            last: false,
        }
    }

    /// Uses of several.
    pub(super) fn uses(&self, ids: &[ValueId]) -> Vec<Use> {
        ids.iter().map(|id| self.use_of(*id)).collect()
    }

    /// What they are.
    pub(super) fn names(&self, all: &[Kept]) -> Vec<Kept> {
        self.0.iter().map(|id| all[*id].clone()).collect()
    }
}

/// Marks the last use of each value, in the order in which generated code computes. What goes back outside is used
/// once more at the end.
pub(super) fn mark_last(steps: &mut [Step], values: &Locals, sets: &[LocalId]) {
    let mut used: Vec<bool> = (0..values.0.len()).map(|value| sets.contains(&value)).collect();
    backwards(steps, &mut used);
}

fn backwards(steps: &mut [Step], used: &mut [bool]) {
    let mark = |of: &mut Use, used: &mut [bool]| of.last = !std::mem::replace(&mut used[of.value], true);
    for step in steps.iter_mut().rev() {
        match step {
            Step::Layer { arms, .. } => backwards_in(arms, used),
            Step::Module(_, uses) | Step::Repeat(_, uses) => uses.iter_mut().for_each(|of| mark(of, used)),
            Step::Loop(of) => {
                of.exit.iter().for_each(|exit| used[*exit] = false);
                of.uses.iter_mut().for_each(|of| mark(of, used));
            }
            Step::From(of) => mark(of, used),
            // What the name stood for before is used no more.
            Step::Keep(value) | Step::Set(value) => used[*value] = false,
        }
    }
}

fn backwards_in(arms: &mut [Arm], used: &mut [bool]) {
    arms.iter_mut().rev().for_each(|arm| backwards(&mut arm.steps, used));
}
