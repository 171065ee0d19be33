//! Loops, written out as often as they run.

use super::walk::Walk;
use crate::ir::{Loop, Scope, Shape, ValueId, Walk as _};
use crate::ops::Onnx;

/// Nodes of a graph beyond which loops are not written out: runtimes take minutes to load more.
const MOST_NODES: usize = 100_000;

impl Walk<'_> {
    /// The iterations of a loop. Where it has an exit, an item keeps its values from the iteration on in which the exit was
    /// above 0.
    pub(super) fn run_time_loop(&mut self, of: &Loop, mut x: String) -> String {
        let mut running: Option<String> = None;
        for step in 0..self.counts[of.count] {
            if self.graph.len() > MOST_NODES {
                self.excess = Some(of.count);
                break;
            }
            let old: Vec<(ValueId, String)> = match running {
                Some(_) => of
                    .scope
                    .sets
                    .iter()
                    .chain(&of.exit)
                    .map(|id| (*id, self.value(*id)))
                    .collect(),
                None => Vec::new(),
            };
            let new = self.iteration(&of.scope, of.exit, x.clone());
            x = match &running {
                Some(running) => self.select(running, (&new, of.scope.output), &x),
                None => new,
            };
            for (id, old) in old {
                let (new, shape) = (self.value(id), self.network.values[id].shape);
                if let Some(running) = &running {
                    self.values[id] = Some(self.select(running, (&new, shape), &old));
                }
            }
            if let (Some(exit), true) = (of.exit, step + 1 < self.counts[of.count]) {
                running = Some(self.still_running(running, exit));
            }
        }
        x
    }

    fn iteration(&mut self, scope: &Scope, exit: Option<ValueId>, x: String) -> String {
        match self.calls {
            true => self.call(scope, exit, x),
            false => {
                let Ok(x) = self.nodes(&scope.nodes, x);
                x
            }
        }
    }

    fn to(&mut self, shape: Shape) -> Onnx<'_> {
        Onnx::new(&mut self.graph, "loop".to_owned(), Vec::new(), shape)
    }

    /// Which items run on after this iteration, `[batch, 1]`.
    fn still_running(&mut self, running: Option<String>, exit: ValueId) -> String {
        let exit = self.value(exit);
        let mut to = self.to(Shape::Flat(1));
        let zero = to.real(0.0);
        let goes_on = to.node("Greater", &[&exit, &zero], Vec::new());
        let goes_on = to.node("Not", &[&goes_on], Vec::new());
        match running {
            Some(running) => to.node("And", &[&running, &goes_on], Vec::new()),
            None => goes_on,
        }
    }

    /// The new value of items that run and the old one of others.
    fn select(&mut self, running: &str, (new, shape): (&str, Shape), old: &str) -> String {
        let mut to = self.to(shape);
        let axes = shape.as_map().sizes().len();
        let running = match axes {
            1 => running.to_owned(),
            axes => to.reshape(running, &[&[-1], vec![1; axes].as_slice()].concat()),
        };
        to.node("Where", &[&running, new, old], Vec::new())
    }
}
