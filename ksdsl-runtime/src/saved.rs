//! What the backward pass needs of the forward pass: kept, or recomputed.

use crate::backend::{Backend, Source};
use crate::geometry::{RowSize, Tail};
use crate::scalar::Scalar;
use std::cell::OnceCell;
use std::rc::Rc;

/// Most steps of [`Recompute`] in a row: an output that needs more is kept.
const DEEPEST: usize = 2;

/// An activation's values for the backward pass.
#[derive(Debug)]
pub(crate) enum Saved<E: Scalar, D: Backend<E>> {
    /// The values themselves.
    Kept(Rc<D::Buf>),
    /// What they are made of: one pass over memory, against keeping a map from the forward to the
    /// backward pass.
    Recompute(Rc<Recompute<E, D>>),
}

impl<E: Scalar, D: Backend<E>> Clone for Saved<E, D> {
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
pub(crate) struct Recompute<E: Scalar, D: Backend<E>> {
    pub(crate) size: RowSize,
    pub(crate) tail: Tail,
    pub(crate) input: Saved<E, D>,
    pub(crate) factor: Rc<D::Buf>,
    pub(crate) offset: Rc<D::Buf>,
    pub(crate) residual: Option<Saved<E, D>>,
    /// Mean of the activated input per channel, of a batch norm.
    pub(crate) mean: Option<Rc<D::Buf>>,
    /// The values, once made for one of several uses; they go when the last use is over.
    pub(crate) made: OnceCell<Rc<D::Buf>>,
}

impl<E: Scalar, D: Backend<E>> Recompute<E, D> {
    fn depth(&self) -> usize {
        let residual = self.residual.as_ref().map_or(0, Saved::depth);
        1 + self.input.depth().max(residual)
    }

    /// Whether making the values is cheap enough to be preferred to keeping them.
    pub(crate) fn pays(&self) -> bool {
        self.depth() <= DEEPEST
    }

    fn make(&self, device: &D) -> Result<D::Buf, D::Err> {
        let input = self.input.keep(device)?;
        let residual = self.residual.as_ref().map(|saved| saved.keep(device)).transpose()?;
        device.norm_recall(
            self.size,
            self.tail,
            &input,
            &self.factor,
            &self.offset,
            residual.as_deref(),
        )
    }
}

impl<E: Scalar, D: Backend<E>> Saved<E, D> {
    fn depth(&self) -> usize {
        match self {
            Self::Kept(_) => 0,
            Self::Recompute(recompute) => recompute.depth(),
        }
    }

    /// The values.
    pub(crate) fn get(&self, device: &D) -> Result<Rc<D::Buf>, D::Err> {
        match self {
            Self::Kept(data) => Ok(data.clone()),
            Self::Recompute(recompute) => match recompute.made.get() {
                Some(made) => Ok(made.clone()),
                None => recompute.make(device).map(Rc::new),
            },
        }
    }

    /// The values, kept for the other uses if there are any.
    fn keep(&self, device: &D) -> Result<Rc<D::Buf>, D::Err> {
        let values = self.get(device)?;
        if let Self::Recompute(recompute) = self
            && Rc::strong_count(recompute) > 1
        {
            return Ok(recompute.made.get_or_init(|| values).clone());
        }
        Ok(values)
    }

    /// How the values are available: what has other uses is made for all of them now.
    pub(crate) fn source(&self, device: &D) -> Result<Source<'_, D::Buf>, D::Err> {
        let recompute = match self {
            Self::Kept(data) => return Ok(Source::Kept(data)),
            Self::Recompute(recompute) => recompute,
        };
        if Rc::strong_count(recompute) > 1 {
            self.keep(device)?;
        }
        if let Some(made) = recompute.made.get() {
            return Ok(Source::Kept(made));
        }
        let residual = recompute
            .residual
            .as_ref()
            .map(|residual| residual.source(device))
            .transpose()?;
        Ok(Source::Recompute {
            size: recompute.size,
            tail: recompute.tail,
            input: Box::new(recompute.input.source(device)?),
            factor: &recompute.factor,
            offset: &recompute.offset,
            mean: recompute.mean.as_deref(),
            residual: residual.map(Box::new),
        })
    }
}
