//! Loops whose counts are arguments of a call.
//!
//! The module of a network with loops has a struct `Steps` with a field for each name of loops. [`WithSteps`] is a model
//! with these counts, for one call or more:
//!
//! ```text
//! let y = model.with_steps(4).try_forward(x)?;
//! let y = model.with_steps_mut(refine::Steps { refine: 4 }).try_forward_mut(x.traced(gradients))?;
//! ```
//!
//! Without it each loop runs as often as it can.

use crate::act::{Act, ActShape};
use crate::backend::{Backend, Buf};
use crate::scalar::Scalar;
use dfdx::nn::{Module, ModuleMut};
use dfdx::tensor::Tape;
use ksdsl_engine::halting;
use std::fmt;
use std::rc::Rc;

/// The counts of a network's loops. [`Default`] is the maximum of each.
pub trait Steps: Copy + Default {
    /// The names and maxima.
    const LOOPS: &'static [(&'static str, usize)];

    /// The counts, in this order.
    fn counts(&self) -> Vec<usize>;

    /// The counts, if each is at least 1 and at most its maximum.
    ///
    /// # Errors
    /// The first that is not.
    fn checked<R>(&self) -> Result<Rc<[usize]>, StepsError<R>> {
        let counts = self.counts();
        for (&(name, most), &given) in Self::LOOPS.iter().zip(&counts) {
            if !(1..=most).contains(&given) {
                return Err(StepsError::Count { name, most, given });
            }
        }
        Ok(counts.into())
    }
}

/// Why a model with counts did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepsError<R> {
    /// A loop cannot run so often.
    Count {
        /// The name of the loop.
        name: &'static str,
        /// How often it can run.
        most: usize,
        /// The count that was given.
        given: usize,
    },
    /// The device failed.
    Device(R),
}

impl<R: fmt::Debug> fmt::Display for StepsError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { name, most, given } => write!(f, "the loop `{name}` runs 1 to {most} times, not {given}"),
            Self::Device(error) => write!(f, "the device failed: {error:?}"),
        }
    }
}

impl<R: fmt::Debug> std::error::Error for StepsError<R> {}

/// How many of `count` iterations a pass with this tape runs without it, if gradients flow through the `last` ones.
#[doc(hidden)]
pub fn untaped<E: Scalar, D: Backend<E>, T: Tape<E, D>>(count: usize, last: usize) -> usize {
    match T::OWNS_TAPE {
        true => count.saturating_sub(last),
        false => 0,
    }
}

/// A model whose network has loops.
pub trait HasSteps {
    /// The counts of its loops.
    type Steps: Steps;
}

/// A model with loops that runs on inputs `X`.
#[doc(hidden)]
pub trait RunWith<X>: HasSteps {
    /// The model's output.
    type Output;
    /// An error of the device.
    type Error: fmt::Debug;
    /// Runs the model with counts that were checked.
    fn run_with(&self, counts: Rc<[usize]>, x: X) -> Result<Self::Output, Self::Error>;
}

/// A model with loops that trains on inputs `X`.
#[doc(hidden)]
pub trait TrainWith<X>: HasSteps {
    /// The model's output.
    type Output;
    /// An error of the device.
    type Error: fmt::Debug;
    /// Runs a training pass with counts that were checked.
    fn train_with(&mut self, counts: Rc<[usize]>, x: X) -> Result<Self::Output, Self::Error>;
}

/// A borrowed model with counts of its loops.
#[derive(Clone, Copy, Debug)]
pub struct WithSteps<M, S> {
    model: M,
    steps: S,
}

impl<M, S> WithSteps<M, S> {
    /// A model, borrowed or borrowed mutably, with counts.
    #[doc(hidden)]
    pub fn new(model: M, steps: S) -> Self {
        Self { model, steps }
    }
}

impl<X, M: RunWith<X>> Module<X> for WithSteps<&M, M::Steps> {
    type Output = M::Output;
    type Error = StepsError<M::Error>;

    fn try_forward(&self, x: X) -> Result<M::Output, Self::Error> {
        let counts = self.steps.checked()?;
        self.model.run_with(counts, x).map_err(StepsError::Device)
    }
}

impl<X, M: TrainWith<X>> ModuleMut<X> for WithSteps<&mut M, M::Steps> {
    type Output = M::Output;
    type Error = StepsError<M::Error>;

    fn try_forward_mut(&mut self, x: X) -> Result<M::Output, Self::Error> {
        let counts = self.steps.checked()?;
        self.model.train_with(counts, x).map_err(StepsError::Device)
    }
}

/// The items of a batch in a loop with an exit, see [`halting::Halting`].
#[derive(Debug)]
pub struct Halting<E: Scalar, D: Backend<E>>(halting::Halting<D::Exec, Buf<E, D>>);

#[doc(hidden)]
impl<E: Scalar, D: Backend<E>> Halting<E, D> {
    /// See [`halting::Halting::new`].
    pub(crate) fn new(exec: &D::Exec, halts: bool) -> Self {
        Self(halting::Halting::new(exec, halts))
    }

    /// See [`halting::Halting::hold`].
    #[expect(clippy::type_complexity, reason = "a value and perhaps another one")]
    pub fn hold<S: ActShape, T: Tape<E, D>>(
        &self,
        x: Act<S, E, D, T>,
    ) -> Result<(Act<S, E, D, T>, Option<Act<S, E, D, T>>), D::Err> {
        let (shape, device) = (x.shape, x.device);
        let (x, old) = self.0.hold(x.untyped).map_err(D::failed)?;
        let typed = |untyped| Act {
            shape,
            device: device.clone(),
            untyped,
        };
        Ok((typed(x), old.map(typed)))
    }

    /// See [`halting::Halting::select`].
    pub fn select<S: ActShape, T: Tape<E, D>>(
        &self,
        new: Act<S, E, D, T>,
        old: Option<Act<S, E, D, T>>,
    ) -> Result<Act<S, E, D, T>, D::Err> {
        let shape = new.shape;
        new.then(shape, |new| self.0.select(new, old.map(|old| old.untyped)))
    }

    /// See [`halting::Halting::stop`].
    pub fn stop<S: ActShape, T: Tape<E, D>>(&mut self, logits: &Act<S, E, D, T>) -> Result<bool, D::Err> {
        self.0.stop(&logits.untyped).map_err(D::failed)
    }
}

/// What the struct of a network's counts implements, given its fields with the names and maxima of loops.
#[doc(hidden)]
#[macro_export]
macro_rules! __steps {
    ($name:ident: $($field:ident $key:literal $most:literal),+) => {
        impl ::core::default::Default for $name {
            fn default() -> Self {
                $name { $($field: $most,)+ }
            }
        }

        impl $crate::steps::Steps for $name {
            const LOOPS: &'static [(&'static str, usize)] = &[$(($key, $most),)+];

            fn counts(&self) -> ::std::vec::Vec<usize> {
                ::std::vec::Vec::from([$(self.$field,)+])
            }
        }

        $crate::__steps!(@only $name $($field)+);
    };
    (@only $name:ident $field:ident) => {
        impl ::core::convert::From<usize> for $name {
            fn from($field: usize) -> Self {
                $name { $field }
            }
        }
    };
    (@only $name:ident $($field:ident)+) => {};
}

/// What a model with loops implements besides what every model does, given the first input's name where there are
/// several.
#[doc(hidden)]
#[macro_export]
macro_rules! __loop_traits {
    ($model:ident, $input:ident $([$first:ident])?, $output:ident, $steps:ident) => {
        $crate::__loop_traits!(@all $model, $input, $output, $steps, (self, x), x$(.$first)?.device());
    };
    (@all $model:ident, $input:ident, $output:ident, $steps:ident, ($self:ident, $x:ident), $device:expr) => {
        impl<E: $crate::generated::Dtype, D: $crate::generated::Storage<E>> $model<E, D> {
            /// The model with counts of its loops, for inference: `model.with_steps(steps).try_forward(x)`.
            pub fn with_steps(
                &self,
                steps: impl ::core::convert::Into<$steps>,
            ) -> $crate::steps::WithSteps<&Self, $steps> {
                $crate::steps::WithSteps::new(self, steps.into())
            }

            /// The model with counts of its loops, for training.
            pub fn with_steps_mut(
                &mut self,
                steps: impl ::core::convert::Into<$steps>,
            ) -> $crate::steps::WithSteps<&mut Self, $steps> {
                $crate::steps::WithSteps::new(self, steps.into())
            }
        }

        impl<E: $crate::generated::Dtype, D: $crate::generated::Storage<E>> $crate::steps::HasSteps for $model<E, D> {
            type Steps = $steps;
        }

        impl<B: $crate::generated::Dim, E: $crate::Scalar, D: $crate::Backend<E>>
            $crate::steps::RunWith<$input<B, E, D>> for $model<E, D>
        {
            type Output = $output<B, E, D>;
            type Error = D::Err;

            fn run_with(
                &$self,
                counts: ::std::rc::Rc<[usize]>,
                $x: $input<B, E, D>,
            ) -> ::core::result::Result<Self::Output, D::Err> {
                let mut pass = $crate::pass::Pass::inference($device).with_counts(counts);
                $crate::network::Infer::infer($self, &mut pass, $x)
            }
        }

        impl<B: $crate::generated::Dim, E: $crate::Scalar, D: $crate::Backend<E>>
            $crate::steps::TrainWith<$input<B, E, D, $crate::generated::OwnedTape<E, D>>> for $model<E, D>
        {
            type Output = $output<B, E, D, $crate::generated::OwnedTape<E, D>>;
            type Error = D::Err;

            fn train_with(
                &mut $self,
                counts: ::std::rc::Rc<[usize]>,
                $x: $input<B, E, D, $crate::generated::OwnedTape<E, D>>,
            ) -> ::core::result::Result<Self::Output, D::Err> {
                let mut pass = $crate::pass::Pass::training($device).with_counts(counts);
                let y = $self.run(&mut pass, $x)?;
                pass.update_running_statistics($self)?;
                ::core::result::Result::Ok(y)
            }
        }
    };
}

/// What stands in for that of a network with errors; `Steps` where its loops are known.
#[doc(hidden)]
#[macro_export]
macro_rules! __loop_stub {
    ($model:ident $(, $steps:ident)?) => {
        impl<E: $crate::generated::Dtype, D: $crate::generated::Storage<E>> $model<E, D> {
            /// The model.
            pub fn with_steps<S>(&self, _: S) -> &Self {
                self
            }

            /// The model.
            pub fn with_steps_mut<S>(&mut self, _: S) -> &mut Self {
                self
            }
        }

        $(impl<E: $crate::generated::Dtype, D: $crate::generated::Storage<E>> $crate::steps::HasSteps for $model<E, D> {
            type Steps = $steps;
        })?
    };
}
