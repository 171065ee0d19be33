//! Runs a resolved network on the engine without compiling it: inference, prepared inference, training steps.
//!
//! It does what generated code does, operation by operation and in the same order, so that the outcome has the same
//! bits. `walk.rs` alone knows how a network is represented.

#[cfg(feature = "memory")]
pub mod budget;
mod decode;
mod loops;
#[cfg(feature = "memory")]
pub mod memory;
mod params;
mod recompute;
mod step;
#[cfg(feature = "train")]
pub mod train;
mod walk;

use crate::ir::{Network, WrongCount};
pub use decode::{Decoder, NotCausal, Traffic, traffic};
use ksdsl_engine::size::Slices;
use ksdsl_engine::{Exec, Kernels, NoTape, Real};
pub use params::Parameter;
use params::Params;
use std::fmt;
use std::rc::Rc;
pub use step::Step;
use walk::Walk;

/// Why a network did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error<R> {
    /// A parameter has no values.
    Missing {
        /// Its checkpoint key.
        key: String,
    },
    /// A tensor has another number of values than its shape says.
    Length {
        /// A checkpoint key, `input`, or `gradient of the output`.
        what: String,
        /// What the shape says; of an input, the values of one image.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A loop cannot run so often.
    Count(WrongCount),
    /// A sequence would have more tokens than the network takes.
    Full {
        /// How many it takes.
        context: usize,
        /// How many there would be.
        tokens: usize,
    },
    /// The first tokens of a sequence are fewer than those that see each other.
    Prefix {
        /// How many see each other.
        prefix: usize,
        /// How many there were.
        tokens: usize,
    },
    /// The executor failed.
    Exec(R),
}

impl<R> From<R> for Error<R> {
    fn from(error: R) -> Self {
        Self::Exec(error)
    }
}

impl<R: fmt::Display> fmt::Display for Error<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(f, "no values for the parameter `{key}`"),
            Self::Length { what, expected, found } if what == "input" => {
                write!(
                    f,
                    "an input of {found} values, which is no whole number of images of {expected}"
                )
            }
            Self::Length { what, expected, found } => {
                write!(f, "`{what}` has {found} values instead of {expected}")
            }
            Self::Count(wrong) => wrong.fmt(f),
            Self::Full { context, tokens } => {
                write!(f, "the network takes at most {context} tokens, not {tokens}")
            }
            Self::Prefix { prefix, tokens } => write!(
                f,
                "the first {prefix} tokens see each other and must come together, but there are {tokens}"
            ),
            Self::Exec(error) => write!(f, "the executor failed: {error}"),
        }
    }
}

impl<R: std::error::Error> std::error::Error for Error<R> {}

/// A network with its parameters on an executor.
#[derive(Debug)]
pub struct Graph<E: Real, X: Exec<E>> {
    network: Network,
    exec: X,
    params: Params<X::Buf>,
    /// How often loops run, by count.
    counts: Vec<usize>,
    /// Whether items stop at exits in inference.
    exits: bool,
    /// The segments of a training step that run again.
    segments: recompute::Segments,
}

impl<E: Real, X: Exec<E>> Graph<E, X> {
    /// A network, which must have no errors, with the values that `values` has for each parameter, laid out as PyTorch
    /// does.
    ///
    /// # Errors
    /// If a parameter has no values or not as many as its shape says, or if the executor fails.
    pub fn new(
        network: Network,
        exec: X,
        mut values: impl FnMut(&Parameter) -> Option<Vec<E>>,
    ) -> Result<Self, Error<X::Err>> {
        let params = Params::new(&network, |parameter| {
            let Some(values) = values(parameter) else {
                let key = parameter.key.clone();
                return Err(Error::Missing { key });
            };
            check(&parameter.key, parameter.len, values.len())?;
            Ok(exec.upload(values)?)
        })?;
        Ok(Self {
            counts: loops::most(&network),
            exits: true,
            segments: recompute::Segments::new(),
            network,
            exec,
            params,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Says how often the loops of this name run in the passes from here on; without it they run as often as they can.
    ///
    /// # Errors
    /// If there is no such loop, or it cannot run so often.
    pub fn set_steps(&mut self, name: &str, count: usize) -> Result<(), Error<X::Err>> {
        let at = self.network.count(name, count as u64).map_err(Error::Count)?;
        self.counts[at] = count;
        Ok(())
    }

    /// All loops run as often as they can from here on.
    pub fn reset_steps(&mut self) {
        self.counts = loops::most(&self.network);
    }

    /// Says whether items stop at the exits of loops in inference, which they do without it.
    pub fn set_exits(&mut self, exits: bool) {
        self.exits = exits;
    }

    /// The steps of training from here on run again what `recomputation` says, which must be for this network. Their bits are
    /// the same.
    #[cfg(feature = "memory")]
    pub fn recompute(&mut self, recomputation: &budget::Recomputation) {
        self.segments.clone_from(&recomputation.segments);
    }

    /// The parameters and running statistics, in the order of the forward pass, a shared one once.
    pub fn parameters(&self) -> &[Parameter] {
        self.params.list()
    }

    /// The values of a parameter or running statistic, `None` for an unknown key.
    ///
    /// # Errors
    /// If the executor fails.
    pub fn values(&self, key: &str) -> Result<Option<Vec<E>>, X::Err> {
        let place = self.params.place(key);
        place
            .map(|place| self.exec.download(self.params.get(place)))
            .transpose()
    }

    /// The output for a batch of images, NCHW one after the other, of a network with one input and one output; norms use
    /// running statistics, dropout is inactive.
    ///
    /// # Errors
    /// If the input is no whole number of images, or if the executor fails.
    pub fn infer(&self, x: &[E]) -> Result<Vec<E>, Error<X::Err>> {
        Ok(self.infer_with(None, &[x])?.remove(0))
    }

    /// The outputs for a batch of inputs, as [`Graph::infer`].
    ///
    /// # Errors
    /// If the inputs are not as many as the network has, or no whole number of images, or not equally many; or if the
    /// executor fails.
    pub fn infer_all(&self, inputs: &[&[E]]) -> Result<Vec<Vec<E>>, Error<X::Err>> {
        self.infer_with(None, inputs)
    }

    /// The network prepared for inference: kernels are packed once, at the first call.
    pub fn prepare(&self) -> Prepared<'_, E, X> {
        Prepared {
            graph: self,
            kernels: Rc::default(),
        }
    }

    fn infer_with(&self, kernels: Option<Rc<Kernels<E, X>>>, inputs: &[&[E]]) -> Result<Vec<Vec<E>>, Error<X::Err>> {
        let images = self.images(inputs)?;
        let Some(slices) = self.slices(images).filter(|_| self.network.runs_in_slices()) else {
            return Ok(self.infer_at_once(kernels, None, images, inputs)?);
        };
        // The first slice prepares the kernels for the others.
        let kernels = Some(kernels.unwrap_or_default());
        let image = walk::map(self.network.input(), 1).len();
        let mut outputs = Vec::new();
        for slice in inputs[0].chunks((slices.images * image).max(1)) {
            let images = slice.len() / image.max(1);
            let output = self.infer_at_once(kernels.clone(), Some(slices.unit), images, &[slice])?;
            outputs.extend(output.into_iter().flatten());
        }
        Ok(vec![outputs])
    }

    fn infer_at_once(
        &self,
        kernels: Option<Rc<Kernels<E, X>>>,
        unit: Option<usize>,
        images: usize,
        inputs: &[&[E]],
    ) -> Result<Vec<Vec<E>>, X::Err> {
        let outputs = self.inference(kernels, unit, images, self.upload(inputs)?)?;
        outputs.iter().map(|output| self.exec.download(output)).collect()
    }

    fn upload(&self, inputs: &[&[E]]) -> Result<Vec<X::Buf>, X::Err> {
        inputs.iter().map(|x| self.exec.upload(x.to_vec())).collect()
    }

    /// An inference pass over inputs that are NCHW, to outputs that are.
    fn inference(
        &self,
        kernels: Option<Rc<Kernels<E, X>>>,
        unit: Option<usize>,
        images: usize,
        inputs: Vec<X::Buf>,
    ) -> Result<Vec<X::Buf>, X::Err> {
        let walk =
            Walk::<E, X, NoTape>::inference(&self.network, &self.params, images).with_loops(&self.counts, self.exits);
        let pass = walk.run(&self.exec, kernels, unit, inputs)?;
        Ok(pass.outputs)
    }

    /// How the executor wants a batch in inference.
    fn slices(&self, images: usize) -> Option<Slices> {
        self.exec.slices(images, walk::size(self.network.largest_activation()))
    }

    /// The number of images, or of vectors, in each input.
    fn images(&self, inputs: &[&[E]]) -> Result<usize, Error<X::Err>> {
        check("list of inputs", self.network.inputs.len(), inputs.len())?;
        let mut images = None;
        for (port, x) in self.network.inputs.iter().zip(inputs) {
            let image = walk::map(port.shape, 1).len();
            let count = x.len() / image.max(1);
            let expected = image * *images.get_or_insert(count);
            if x.len() != expected {
                return Err(Error::Length {
                    what: port.name.clone().unwrap_or_else(|| "input".to_owned()),
                    expected: if inputs.len() == 1 { image } else { expected },
                    found: x.len(),
                });
            }
        }
        Ok(images.unwrap_or_default())
    }
}

/// A network prepared for inference. It borrows the network, so that the kernels cannot change.
#[derive(Debug)]
pub struct Prepared<'g, E: Real, X: Exec<E>> {
    graph: &'g Graph<E, X>,
    kernels: Rc<Kernels<E, X>>,
}

impl<E: Real, X: Exec<E>> Prepared<'_, E, X> {
    /// As [`Graph::infer`].
    ///
    /// # Errors
    /// Those of [`Graph::infer`].
    pub fn infer(&self, x: &[E]) -> Result<Vec<E>, Error<X::Err>> {
        Ok(self.graph.infer_with(Some(self.kernels.clone()), &[x])?.remove(0))
    }
}

fn check<R>(what: &str, expected: usize, found: usize) -> Result<(), Error<R>> {
    match expected == found {
        true => Ok(()),
        false => Err(Error::Length {
            what: what.to_owned(),
            expected,
            found,
        }),
    }
}
