//! Loops whose items stop: which items of a batch still run.

use crate::act::Act;
use crate::exec::Exec;
use crate::loops::{Loops, View, operand};
use crate::pending::Value;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;
use std::rc::Rc;

/// The items of a batch in a loop with an exit. One that has stopped keeps the bits of its values, whatever the others do.
#[derive(Debug)]
pub struct Halting<X, B> {
    exec: X,
    /// Whether items stop at all: in inference.
    halts: bool,
    /// Which of them have stopped, once one has been looked at.
    stopped: Vec<bool>,
    /// One for each item that runs and zero for the others, once some have stopped.
    running: Option<Rc<B>>,
}

impl<X: Clone, B> Halting<X, B> {
    /// A loop in which all items run; they can stop if `halts`.
    pub fn new(exec: &X, halts: bool) -> Self {
        Self {
            exec: exec.clone(),
            halts,
            stopped: Vec::new(),
            running: None,
        }
    }

    /// A value at the beginning of an iteration, and once more if items that have stopped keep it.
    ///
    /// # Errors
    /// If the executor fails.
    #[expect(clippy::type_complexity, reason = "a value and perhaps another one")]
    pub fn hold<E: Real, T: Tape<E, X>>(&self, x: Act<E, X, T>) -> Result<(Act<E, X, T>, Option<Act<E, X, T>>), X::Err>
    where
        X: Exec<E, Buf = B>,
    {
        if self.running.is_none() {
            return Ok((x, None));
        }
        let (x, old) = x.fork()?;
        Ok((x, Some(old)))
    }

    /// The new value of each item that runs, the old one of each that has stopped.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn select<E: Real, T: Tape<E, X>>(
        &self,
        new: Act<E, X, T>,
        old: Option<Act<E, X, T>>,
    ) -> Result<Act<E, X, T>, X::Err>
    where
        X: Exec<E, Buf = B>,
    {
        let (Some(running), Some(old)) = (&self.running, old) else {
            return Ok(new);
        };
        debug_assert!(!T::RECORDS, "items stop in inference only");
        let size = new.size;
        let (new, old) = (new.ready()?, old.ready()?);
        let len = MapSize { batch: 1, ..size }.len();
        let loops = Loops {
            output: vec![size.batch, len],
            summed: Vec::new(),
            views: vec![View::steps([1, 0]), View::steps([len, 1]), View::steps([len, 1])],
            value: operand(0).if_positive(operand(1), operand(2)),
        };
        let y = self.exec.compute(&loops, &[running, &new.data, &old.data])?;
        let context = new.context.merge(old.context);
        Ok(Act::output(context, size, Rc::new(y), |_, _| Ok(())))
    }

    /// Stops the items whose logit, one value per item, is above zero. Whether all have stopped.
    ///
    /// # Errors
    /// If the executor fails.
    ///
    /// # Panics
    /// If the logits are deferred, which no value with a name is.
    pub fn stop<E: Real, T: Tape<E, X>>(&mut self, logits: &Act<E, X, T>) -> Result<bool, X::Err>
    where
        X: Exec<E, Buf = B>,
    {
        if !self.halts {
            return Ok(false);
        }
        let Value::Ready(logits, _) = &logits.value else {
            unreachable!("a value with a name is computed")
        };
        let logits = self.exec.download(logits)?;
        self.stopped.resize(logits.len(), false);
        for (stopped, logit) in self.stopped.iter_mut().zip(&logits) {
            *stopped |= *logit > E::zero();
        }
        if self.stopped.contains(&true) {
            let running = self.stopped.iter().map(|stopped| E::of(f64::from(u8::from(!stopped))));
            self.running = Some(Rc::new(self.exec.upload(running.collect())?));
        }
        Ok(!self.stopped.contains(&false))
    }
}
