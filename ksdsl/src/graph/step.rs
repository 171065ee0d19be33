//! Training steps.

use super::params::Params;
use super::walk::{Walk, map};
use super::{Error, Graph, check};
use crate::ir::Network;
use ksdsl_engine::ops::{to_nchw, to_nhwc};
use ksdsl_engine::statistics::Statistics;
use ksdsl_engine::{Exec, Real, Recorder};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a training step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<E> {
    /// The output of all images.
    pub output: Vec<E>,
    /// The gradient with respect to the input, NCHW.
    pub input: Vec<E>,
    /// The gradients by checkpoint key, of the parameters that the output depends on.
    pub gradients: BTreeMap<String, Vec<E>>,
}

/// Where a step leaves the gradients of parameters, by their places.
pub(super) type Sink<X, B, R> = Rc<dyn Fn(&X, usize, B) -> Result<(), R>>;

impl<E: Real, X: Exec<E>> Graph<E, X> {
    /// A forward pass with the batch's statistics, which update the running ones, and with dropout, of which each visit
    /// takes the next of `seeds`; then the backward pass from the gradient that `loss` makes of the output.
    ///
    /// # Errors
    /// If the input is no whole number of images, if the gradient is not as long as the output, or if the executor
    /// fails.
    pub fn train_step(
        &mut self,
        x: &[E],
        mut seeds: impl FnMut() -> u64,
        loss: impl FnOnce(&[E]) -> Vec<E>,
    ) -> Result<Step<E>, Error<X::Err>> {
        let images = self.images(x)?;
        let sums: Rc<RefCell<BTreeMap<usize, Vec<E>>>> = Rc::default();
        let sink: Sink<X, X::Buf, X::Err> = {
            let sums = sums.clone();
            Rc::new(move |exec, place, more| add(exec, &mut sums.borrow_mut(), place, &more))
        };
        let x = self.exec.upload(x.to_vec())?;
        let mut values = Vec::new();
        let exec = self.exec.clone();
        let gradient = |output: X::Buf| {
            values = exec.download(&output)?;
            let gradient = loss(&values);
            check("gradient of the output", values.len(), gradient.len())?;
            Ok(exec.upload(gradient)?)
        };
        let input = run(
            &self.network,
            &mut self.params,
            &self.exec,
            images,
            x,
            (&mut seeds, sink),
            gradient,
        )?;
        let gradients = sums.take().into_iter();
        Ok(Step {
            output: values,
            input: input.map_or(Ok(Vec::new()), |input| self.exec.download(&input))?,
            gradients: gradients
                .map(|(place, sum)| (self.parameters()[place].key.clone(), sum))
                .collect(),
        })
    }
}

/// A training step on executor buffers; the gradient with respect to the input, NCHW. It takes the seeds of dropout, the
/// place that gradients of parameters go to, and what makes the gradient of the output.
#[allow(clippy::type_complexity)]
pub(super) fn run<E: Real, X: Exec<E>>(
    network: &Network,
    params: &mut Params<X::Buf>,
    exec: &X,
    images: usize,
    x: X::Buf,
    (seeds, sink): (&mut dyn FnMut() -> u64, Sink<X, X::Buf, X::Err>),
    gradient: impl FnOnce(X::Buf) -> Result<X::Buf, Error<X::Err>>,
) -> Result<Option<X::Buf>, Error<X::Err>> {
    let walk = Walk::<E, X, Recorder<E, X>>::training(network, params, images, seeds, sink);
    let pass = walk.run(exec, None, None, x)?;
    write(params, exec, pass.statistics)?;
    let dy = gradient(pass.output)?;
    let dy = to_nhwc(exec, map(network.output, images), dy)?;
    pass.output_gradient.add(exec, dy)?;
    pass.tape.run(exec)?;
    let dx = pass.input_gradient.take();
    Ok(dx.map(|dx| to_nchw(exec, map(network.input, images), dx)).transpose()?)
}

/// Writes what the running statistics became.
fn write<E: Real, X: Exec<E>>(
    params: &mut Params<X::Buf>,
    exec: &X,
    mut statistics: Statistics<E, X>,
) -> Result<(), X::Err> {
    for place in 0..params.list().len() {
        if let Some(blended) = statistics.take(place) {
            params.set(place, exec.upload(exec.download(&blended)?)?);
        }
    }
    Ok(())
}

/// Adds to a gradient that starts as zero.
fn add<E: Real, X: Exec<E>>(
    exec: &X,
    sums: &mut BTreeMap<usize, Vec<E>>,
    place: usize,
    more: &X::Buf,
) -> Result<(), X::Err> {
    let held = match sums.remove(&place) {
        Some(sum) => sum,
        None => vec![E::zero(); exec.download(more)?.len()],
    };
    let sum = exec.add(exec.upload(held)?, more)?;
    sums.insert(place, exec.download(&sum)?);
    Ok(())
}
