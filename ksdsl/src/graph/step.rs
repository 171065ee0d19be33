//! Training steps.

use super::params::Params;
use super::recompute::{Backward, Segments};
use super::walk::{Walk, inside, outside};
use super::{Error, Graph, check};
use crate::ir::{Network, Port};
use ksdsl_engine::act::GradCell;
use ksdsl_engine::statistics::Statistics;
use ksdsl_engine::{Exec, Real, Recorder};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a training step gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<E> {
    /// The outputs of all images.
    pub outputs: Vec<Vec<E>>,
    /// The gradients with respect to the inputs, NCHW; empty for one that no output depends on.
    pub inputs: Vec<Vec<E>>,
    /// The gradients by checkpoint key, of the parameters that the output depends on.
    pub gradients: BTreeMap<String, Vec<E>>,
}

/// Where a step leaves the gradients of parameters, by their places.
pub(super) type Sink<X, B, R> = Rc<dyn Fn(&X, usize, B) -> Result<(), R>>;

impl<E: Real, X: Exec<E>> Graph<E, X> {
    /// A forward pass with the batch's statistics, which update the running ones, and with dropout, of which each visit
    /// takes the next of `seeds`; then the backward pass from the gradients that `loss` makes of the outputs.
    ///
    /// # Errors
    /// Those of [`Graph::infer_all`]; if the gradients are not as many and as long as the outputs.
    pub fn train_step(
        &mut self,
        inputs: &[&[E]],
        mut seeds: impl FnMut() -> u64,
        loss: impl FnOnce(&[Vec<E>]) -> Vec<Vec<E>>,
    ) -> Result<Step<E>, Error<X::Err>> {
        let mut values: Vec<Vec<E>> = Vec::new();
        let loss = |outputs: Vec<Vec<E>>| {
            let gradients = loss(&outputs);
            values = outputs;
            gradients
        };
        let (inputs, sums) = self.descend(inputs, &mut seeds, loss)?;
        let download = |input: Option<X::Buf>| input.map_or(Ok(Vec::new()), |input| self.exec.download(&input));
        let inputs: Vec<Vec<E>> = inputs.into_iter().map(download).collect::<Result<_, _>>()?;
        let gradients = sums.into_iter();
        let gradients =
            gradients.map(|(place, sum)| Ok((self.parameters()[place].key.clone(), self.exec.download(&sum)?)));
        Ok(Step {
            outputs: values,
            inputs,
            gradients: gradients.collect::<Result<_, X::Err>>()?,
        })
    }

    /// [`Graph::train_step`] with gradients that stay on the executor: those with respect to the inputs, and those of the
    /// parameters that the output depends on, by their places.
    #[allow(clippy::type_complexity)]
    pub(super) fn descend(
        &mut self,
        inputs: &[&[E]],
        seeds: &mut dyn FnMut() -> u64,
        loss: impl FnOnce(Vec<Vec<E>>) -> Vec<Vec<E>>,
    ) -> Result<(Vec<Option<X::Buf>>, BTreeMap<usize, X::Buf>), Error<X::Err>> {
        let images = self.images(inputs)?;
        let sums: Rc<RefCell<BTreeMap<usize, X::Buf>>> = Rc::default();
        let sink: Sink<X, X::Buf, X::Err> = {
            let sums = sums.clone();
            let lengths: Vec<usize> = self.parameters().iter().map(|parameter| parameter.len).collect();
            Rc::new(move |exec, place, more| add(exec, &mut sums.borrow_mut(), (place, lengths[place]), &more))
        };
        let inputs = self.upload(inputs)?;
        let exec = self.exec.clone();
        let gradient = |outputs: Vec<X::Buf>| {
            let values = outputs.iter().map(|output| exec.download(output));
            let values: Vec<Vec<E>> = values.collect::<Result<_, _>>()?;
            let lengths: Vec<usize> = values.iter().map(Vec::len).collect();
            let gradients = loss(values);
            check("list of gradients", lengths.len(), gradients.len())?;
            let upload = |(length, gradient): (usize, Vec<E>)| {
                check("gradient of the output", length, gradient.len())?;
                Ok(exec.upload(gradient)?)
            };
            lengths.into_iter().zip(gradients).map(upload).collect()
        };
        let inputs = run(
            &self.network,
            &mut self.params,
            &self.exec,
            (images, &self.counts, &self.segments),
            inputs,
            (seeds, sink),
            gradient,
        )?;
        Ok((inputs, sums.take()))
    }
}

/// A training step on executor buffers; the gradients with respect to the inputs, NCHW. It takes the seeds of dropout, the
/// place that gradients of parameters go to, the counts of loops, the segments that run again, and what makes the gradients of the
/// outputs.
#[allow(clippy::type_complexity)]
pub(super) fn run<E: Real, X: Exec<E>>(
    network: &Network,
    params: &mut Params<X::Buf>,
    exec: &X,
    (images, counts, segments): (usize, &[usize], &Segments),
    inputs: Vec<X::Buf>,
    (seeds, sink): (&mut dyn FnMut() -> u64, Sink<X, X::Buf, X::Err>),
    gradient: impl FnOnce(Vec<X::Buf>) -> Result<Vec<X::Buf>, Error<X::Err>>,
) -> Result<Vec<Option<X::Buf>>, Error<X::Err>> {
    let walk = Walk::<E, X, Recorder<E, X>>::training(network, params, images, seeds, sink.clone());
    let walk = walk.with_loops(counts, false).with_segments(segments);
    let pass = walk.run(exec, None, None, inputs)?;
    write(params, exec, pass.statistics);
    let gradients = gradient(pass.outputs)?;
    let outputs = network.outputs.iter().zip(pass.output_gradients);
    for ((port, cell), dy) in outputs.zip(gradients) {
        cell.add(exec, inside(exec, port.shape, images, dy)?)?;
    }
    let backward = Backward {
        network,
        params,
        exec,
        images,
        counts,
        sink,
        shared: pass.shared,
    };
    backward.run(pass.tape, pass.kept)?;
    let inputs = network.inputs.iter().zip(pass.input_gradients);
    let gradient = |(port, cell): (&Port, GradCell<X::Buf>)| {
        let dx = cell.take();
        dx.map(|dx| Ok(outside(exec, port.shape, images, dx)?)).transpose()
    };
    inputs.map(gradient).collect()
}

/// Writes what the running statistics became.
fn write<E: Real, X: Exec<E>>(params: &mut Params<X::Buf>, exec: &X, mut statistics: Statistics<E, X>) {
    for place in 0..params.list().len() {
        if let Some(blended) = statistics.take(place) {
            params.set(place, exec.kept(blended));
        }
    }
}

/// Adds to a gradient that starts as zero.
fn add<E: Real, X: Exec<E>>(
    exec: &X,
    sums: &mut BTreeMap<usize, X::Buf>,
    (place, length): (usize, usize),
    more: &X::Buf,
) -> Result<(), X::Err> {
    let held = match sums.remove(&place) {
        Some(sum) => sum,
        None => exec.zeroed(length)?,
    };
    sums.insert(place, exec.add(held, more)?);
    Ok(())
}
