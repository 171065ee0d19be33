//! The memory that passes take, the algorithms of convolutions, and what is fused: the network runs on a meter.

use super::Error;
use super::loops::most;
use super::params::Params;
use super::recompute::Segments;
use super::step;
use super::walk::{self, Walk, map};
use crate::ir::{Layer, Network, Port};
use ksdsl_cpu::meter::{self, Meter, MeterBuf};
use ksdsl_engine::size::Algorithm;
use ksdsl_engine::{Exec, Kernels, NoTape, Recorder};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

/// The most bytes alive at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peaks {
    /// In a forward pass in inference.
    pub inference: u128,
    /// In a forward pass of a prepared model, with the kernels it keeps.
    pub prepared: u128,
    /// In a step of training: forward and backward.
    pub training: u128,
}

/// Values of the largest activation of a batch up to which memory is counted rather than continued as a line.
const LARGEST: u64 = 1 << 31;
/// Images up to which it is counted in any case: algorithms depend on the batch up to this size.
const LEAST_IMAGES: u64 = 64;

/// Images of a batch that is counted; twice as many fit into the numbers of an executor, too.
fn most_images(network: &Network) -> u64 {
    (LARGEST / network.largest_activation().max(1)).max(LEAST_IMAGES)
}

/// The peaks of passes over `batch` images, in `f32` and on this many threads: at most that, if all
/// tasks that can run at a time have their scratch at the same moment.
///
/// Counted is what the runtime allocates besides dfdx's tensors: activations and their gradients, copies of parameters in
/// the forms that its algorithms want, the sums of their gradients, and scratch. Of batches that no computer could hold
/// the peaks follow from two smaller ones, as from there on they grow in proportion.
pub fn peaks(network: &Network, batch: u64, threads: u64) -> Peaks {
    let (most, threads) = (most_images(network), walk::size(threads));
    if batch <= 2 * most {
        return counted(network, walk::size(batch), threads);
    }
    let [one, two] = [most, 2 * most].map(|images| counted(network, walk::size(images), threads));
    let line = |one: u128, two: u128| line([one, two], most, batch);
    Peaks {
        inference: line(one.inference, two.inference),
        prepared: line(one.prepared, two.prepared),
        training: line(one.training, two.training),
    }
}

/// What `batch` images take, if `most` take the first, and twice as many the second of these numbers of bytes.
fn line([one, two]: [u128; 2], most: u64, batch: u64) -> u128 {
    let [grown, images] = [two.saturating_sub(one), u128::from(most)];
    let more = u128::from(batch - 2 * most);
    let rest = (grown % images).saturating_mul(more) / images;
    two.saturating_add((grown / images).saturating_mul(more))
        .saturating_add(rest)
}

/// The peak of a step of training, as in [`peaks`], whose backward pass runs segments again.
pub(super) fn training_peak(network: &Network, [batch, threads]: [u64; 2], segments: &Segments) -> u128 {
    let most = most_images(network);
    let of = |images| training(network, walk::size(images), &Meter::new(walk::size(threads)), segments);
    match batch <= 2 * most {
        true => of(batch),
        false => line([of(most), of(2 * most)], most, batch),
    }
}

/// The bytes that are alive before each step of a training pass over so many of `batch` images as are counted, and at its end,
/// and those of the activation; `None` where no segment can begin.
pub(super) fn alive(network: &Network, batch: u64) -> Vec<Option<[u128; 2]>> {
    let meter = Meter::new(1);
    let images = walk::size(batch.min(most_images(network)));
    let params = params(network, &meter);
    let found: Rc<RefCell<Vec<Option<[u128; 2]>>>> = Rc::default();
    let (told, of) = (found.clone(), meter.clone());
    let mut seeds = || 0;
    let sink: step::Sink<Meter, MeterBuf, Infallible> = Rc::new(|_, _, _| Ok(()));
    let walk = Walk::<f32, Meter, Recorder<f32, Meter>>::training(network, &params, images, &mut seeds, sink);
    let walk = walk.with_loops(&most(network), false);
    let walk = walk.watched(move |values| {
        let bytes = |values: usize| [of.now(), 4 * values as u128];
        told.borrow_mut().push(values.map(bytes));
    });
    let Ok(pass) = walk.run(&meter, None, None, inputs(network, images, &meter));
    drop(pass);
    found.take()
}

/// The algorithm that the runtime takes for a convolution of `batch` images on a CPU with AVX-512, in `f32` and in the
/// forward pass of inference. `None` for other layers.
pub fn algorithm(network: &Network, layer: &Layer, batch: u64) -> Option<&'static str> {
    let images = walk::size(batch.min(most_images(network)));
    let size = walk::conv_size(&layer.op, map(layer.input, images), map(layer.output, images))?;
    Some(match meter::algorithm(&size) {
        Algorithm::Winograd => "winograd",
        Algorithm::ToomCook => "toom_cook",
        Algorithm::Auto | Algorithm::Training | Algorithm::Direct => "direct",
    })
}

/// Of each layer, whether it takes no pass over memory of its own in inference, because the operation before it computes
/// it, too.
pub fn fused(network: &Network, batch: u64) -> Vec<bool> {
    let meter = Meter::new(1);
    let images = walk::size(batch.min(most_images(network)));
    let params = params(network, &meter);
    let walk = Walk::<f32, Meter, NoTape>::inference(network, &params, images);
    let Ok(pass) = walk.run(&meter, None, None, inputs(network, images, &meter));
    pass.fused
}

fn counted(network: &Network, batch: usize, threads: usize) -> Peaks {
    let meter = Meter::new(threads);
    let slices = meter.slices(batch, walk::size(network.largest_activation()));
    let slices = slices.filter(|_| network.runs_in_slices());
    let (images, unit) = match slices {
        Some(slices) => (slices.images.min(batch), Some(slices.unit)),
        None => (batch, None),
    };
    let pass = Inference { network, images, unit };
    // The slices that follow, and further passes of a prepared model, find the forms of all kernels made.
    let kernels = Rc::default();
    let of_slices = pass.run(&meter, Some(&kernels));
    meter.reset_peak();
    let prepared = pass.run(&meter, Some(&kernels));
    let inference = match unit {
        Some(_) => of_slices.max(prepared),
        None => pass.run(&Meter::new(threads), None),
    };
    Peaks {
        inference,
        prepared,
        training: training(network, batch, &Meter::new(threads), &Segments::new()),
    }
}

/// Parameters that are not counted: those of the model.
fn params(network: &Network, meter: &Meter) -> Params<MeterBuf> {
    let Ok(params) = Params::new(network, |parameter| Ok::<_, Infallible>(meter.outside(parameter.len)));
    params
}

/// A pass over some images.
struct Inference<'n> {
    network: &'n Network,
    images: usize,
    unit: Option<usize>,
}

impl Inference<'_> {
    /// The peak after a pass.
    fn run(&self, meter: &Meter, kernels: Option<&Rc<Kernels<f32, Meter>>>) -> u128 {
        let params = params(self.network, meter);
        let walk = Walk::<f32, Meter, NoTape>::inference(self.network, &params, self.images);
        let Ok(pass) = walk.run(
            meter,
            kernels.cloned(),
            self.unit,
            inputs(self.network, self.images, meter),
        );
        drop(pass);
        meter.peak()
    }
}

/// Copies of the inputs.
fn inputs(network: &Network, images: usize, meter: &Meter) -> Vec<MeterBuf> {
    let copy = |port: &Port| meter.outside(map(port.shape, images).len()).clone();
    network.inputs.iter().map(copy).collect()
}

/// The peak of a step of training whose backward pass runs segments again.
fn training(network: &Network, images: usize, meter: &Meter, segments: &Segments) -> u128 {
    let mut params = params(network, meter);
    let x = inputs(network, images, meter);
    let sink: step::Sink<Meter, MeterBuf, Infallible> = Rc::new(|_, _, _| Ok(()));
    // The loss and its gradient are dfdx's.
    let gradient = |outputs: Vec<MeterBuf>| {
        let of = |output: &MeterBuf| Ok::<_, Error<Infallible>>(meter.outside(output.len()));
        outputs.iter().map(of).collect()
    };
    let dx = step::run(
        network,
        &mut params,
        meter,
        (images, &most(network), segments),
        x,
        (&mut || 0, sink),
        gradient,
    );
    debug_assert!(dx.is_ok(), "a meter never fails");
    meter.peak()
}
