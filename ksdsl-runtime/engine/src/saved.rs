//! What the backward pass needs of the forward pass: kept, or recomputed.

use crate::act::{Act, Context, GradCell, Ready};
use crate::exec::{Exec, Recipe};
use crate::pending::Value;
use crate::real::Real;
use crate::size::{MapSize, RowSize, Tail};
use crate::tape::Tape;
use std::cell::OnceCell;
use std::rc::Rc;

/// Most steps of [`Recompute`] in a row: an output that needs more is kept.
const DEEPEST: usize = 2;

/// An activation's values for the backward pass.
#[derive(Debug)]
pub(crate) enum Saved<E: Real, X: Exec<E>> {
    /// The values themselves.
    Kept(Rc<X::Buf>),
    /// What they are made of: one pass over memory, against keeping a map from the forward to the
    /// backward pass.
    Recompute(Rc<Recompute<E, X>>),
}

impl<E: Real, X: Exec<E>> Clone for Saved<E, X> {
    fn clone(&self) -> Self {
        match self {
            Self::Kept(data) => Self::Kept(data.clone()),
            Self::Recompute(recompute) => Self::Recompute(recompute.clone()),
        }
    }
}

/// The output of normalisation and what it is fused with, to be made from the normalisation's
/// input (Chen et al. 2016, "Training deep nets with sublinear memory cost", for the cheap layers).
#[derive(Debug)]
pub(crate) struct Recompute<E: Real, X: Exec<E>> {
    pub(crate) size: RowSize,
    pub(crate) tail: Tail,
    pub(crate) input: Saved<E, X>,
    pub(crate) factor: Rc<X::Buf>,
    pub(crate) offset: Rc<X::Buf>,
    pub(crate) residual: Option<Saved<E, X>>,
    /// Mean of the activated input per channel, of a batch norm.
    pub(crate) mean: Option<Rc<X::Buf>>,
    /// The values, once made for one of several uses; they go when the last use is over.
    pub(crate) made: OnceCell<Rc<X::Buf>>,
}

impl<E: Real, X: Exec<E>> Recompute<E, X> {
    fn depth(&self) -> usize {
        let residual = self.residual.as_ref().map_or(0, Saved::depth);
        1 + self.input.depth().max(residual)
    }

    /// Whether making the values is cheap enough to be preferred to keeping them.
    pub(crate) fn pays(&self) -> bool {
        self.depth() <= DEEPEST
    }

    fn make(&self, exec: &X) -> Result<X::Buf, X::Err> {
        let input = self.input.keep(exec)?;
        let residual = self.residual.as_ref().map(|saved| saved.keep(exec)).transpose()?;
        exec.norm_recall(
            self.size,
            self.tail,
            &input,
            &self.factor,
            &self.offset,
            residual.as_deref(),
        )
    }
}

impl<E: Real, X: Exec<E>> Saved<E, X> {
    fn depth(&self) -> usize {
        match self {
            Self::Kept(_) => 0,
            Self::Recompute(recompute) => recompute.depth(),
        }
    }

    /// The values.
    pub(crate) fn get(&self, exec: &X) -> Result<Rc<X::Buf>, X::Err> {
        match self {
            Self::Kept(data) => Ok(data.clone()),
            Self::Recompute(recompute) => match recompute.made.get() {
                Some(made) => Ok(made.clone()),
                None => recompute.make(exec).map(Rc::new),
            },
        }
    }

    /// The values, kept for the other uses if there are any.
    fn keep(&self, exec: &X) -> Result<Rc<X::Buf>, X::Err> {
        let values = self.get(exec)?;
        if let Self::Recompute(recompute) = self
            && Rc::strong_count(recompute) > 1
        {
            return Ok(recompute.made.get_or_init(|| values).clone());
        }
        Ok(values)
    }

    /// How the values are available: what has other uses is made for all of them now.
    pub(crate) fn source(&self, exec: &X) -> Result<Recipe<'_, X::Buf>, X::Err> {
        let recompute = match self {
            Self::Kept(data) => return Ok(Recipe::Kept(data)),
            Self::Recompute(recompute) => recompute,
        };
        if Rc::strong_count(recompute) > 1 {
            self.keep(exec)?;
        }
        if let Some(made) = recompute.made.get() {
            return Ok(Recipe::Kept(made));
        }
        let residual = recompute
            .residual
            .as_ref()
            .map(|residual| residual.source(exec))
            .transpose()?;
        Ok(Recipe::Recompute {
            size: recompute.size,
            tail: recompute.tail,
            input: Box::new(recompute.input.source(exec)?),
            factor: &recompute.factor,
            offset: &recompute.offset,
            mean: recompute.mean.as_deref(),
            residual: residual.map(Box::new),
        })
    }
}

/// An activation as the backward pass has it, for operations that run again from it.
#[derive(Debug)]
pub struct Stored<E: Real, X: Exec<E>> {
    size: MapSize,
    saved: Saved<E, X>,
    grad: GradCell<X::Buf>,
}

impl<E: Real, X: Exec<E>> Stored<E, X> {
    /// What the backward pass has of an activation.
    pub fn of<T>(ready: &Ready<E, X, T>) -> Self {
        Self {
            size: ready.size,
            saved: ready.saved.clone(),
            grad: ready.grad.clone(),
        }
    }

    /// The activation.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn act<T: Tape<E, X>>(self, context: Context<E, X, T>) -> Result<Act<E, X, T>, X::Err> {
        let data = self.saved.get(&context.exec)?;
        Ok(Act {
            size: self.size,
            context,
            value: Value::Ready(data, self.saved),
            grad: self.grad,
        })
    }
}
