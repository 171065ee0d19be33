//! The ranges of buffers, from a sample of inputs.

use crate::steps::{Kind, Program, run};
use std::collections::HashMap;

/// Which visits of a shared kernel ranges are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visits {
    /// Each visit has its own.
    All,
    /// All have that of the first, as where a tool sees a shared layer once. For comparison.
    First,
}

/// The least and the largest value of each buffer, 0 included.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges(pub Vec<[f32; 2]>);

impl Ranges {
    /// Those of no inputs.
    pub fn new(program: &Program) -> Self {
        Ranges(vec![[0.0; 2]; program.buffers.len()])
    }

    /// Some that are different for each buffer, as those of a sample are: enough for sizes.
    pub fn different(program: &Program) -> Self {
        let range = |at: usize| [-1.0 - at as f32 / 8.0, 1.0 + at as f32 / 16.0];
        Ranges((0..program.buffers.len()).map(range).collect())
    }

    /// Adds what an item makes of them.
    pub fn add(&mut self, program: &Program, inputs: &[&[f32]]) {
        run(program, inputs, |buffer, values| {
            let [least, most] = &mut self.0[buffer];
            for value in values {
                (*least, *most) = (least.min(*value), most.max(*value));
            }
        });
    }

    /// The ranges that these visits give.
    #[must_use]
    pub fn of_visits(mut self, program: &Program, visits: Visits) -> Self {
        if visits == Visits::First {
            let mut first = HashMap::new();
            for step in &program.steps {
                if let Kind::Conv { weight, .. } = step.kind {
                    let seen = *first.entry(weight).or_insert(self.0[step.output]);
                    self.0[step.output] = seen;
                }
            }
        }
        self
    }
}
