//! What an operation is that its call, inputs and parameters determine.

use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// An operation with its arguments: shape, forward and backward pass.
pub trait Operation: Sized {
    /// Its names in the language: one for each kind of it.
    const NAMES: &'static [&'static str];

    /// One element for each input: an array, or [`Joined`].
    type Inputs<A>: TryFrom<Vec<A>>;
    /// An array, one element for each parameter.
    type Params<A>: TryFrom<Vec<A>>;

    /// The operation of this call, which has one of its names; none if an argument is missing or out of range.
    fn of(call: &Call<'_>) -> Option<Self>;

    /// The output's size for inputs that it accepts; by default the first input's.
    fn output(&self, inputs: &[MapSize]) -> MapSize {
        inputs[0]
    }

    /// Runs it, and records its backward pass.
    ///
    /// # Errors
    /// If the executor fails.
    fn run<E: Real, X: Exec<E>, T: Tape<E, X>>(
        &self,
        inputs: Self::Inputs<Act<E, X, T>>,
        params: Self::Params<Param<E, X>>,
    ) -> Result<Act<E, X, T>, X::Err>;
}

/// An operation by name, with its arguments by name.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The operation's name.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [(&'a str, f64)],
}

impl Call<'_> {
    /// A number.
    pub fn real(&self, name: &str) -> Option<f64> {
        let found = self.args.iter().find(|(named, _)| *named == name);
        found.map(|(_, value)| *value)
    }

    /// A number that is a size.
    pub fn size(&self, name: &str) -> Option<usize> {
        let value = self.real(name)?;
        (value >= 0.0 && value.fract() == 0.0 && value < 2_f64.powi(53)).then_some(value as usize)
    }

    /// A height and a width.
    pub(super) fn sizes(&self, [height, width]: [&str; 2]) -> Option<[usize; 2]> {
        Some([self.size(height)?, self.size(width)?])
    }
}

/// One input or more, which an operation joins pair by pair.
#[derive(Clone, Debug)]
pub struct Joined<A> {
    first: A,
    others: Vec<A>,
}

impl<A> Joined<A> {
    /// Joins the first with the second, the result with the third, and so on.
    pub(super) fn fold<F>(self, pair: impl FnMut(A, A) -> Result<A, F>) -> Result<A, F> {
        self.others.into_iter().try_fold(self.first, pair)
    }
}

impl<A> TryFrom<Vec<A>> for Joined<A> {
    type Error = ();

    fn try_from(inputs: Vec<A>) -> Result<Self, ()> {
        let mut inputs = inputs.into_iter();
        let first = inputs.next().ok_or(())?;
        let others = inputs.collect();
        Ok(Self { first, others })
    }
}

impl<A> From<[A; 2]> for Joined<A> {
    fn from([first, second]: [A; 2]) -> Self {
        let others = vec![second];
        Self { first, others }
    }
}

/// Why a named operation did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<F> {
    /// No operation has this name.
    Unknown(String),
    /// Its arguments, or the numbers of its inputs and parameters, are not what it takes.
    Arguments(String),
    /// The executor failed.
    Failed(F),
}

pub(super) fn call<O: Operation, E: Real, X: Exec<E>, T: Tape<E, X>>(
    call: &Call<'_>,
    inputs: Vec<Act<E, X, T>>,
    params: Vec<Param<E, X>>,
) -> Result<Act<E, X, T>, CallError<X::Err>> {
    let refused = || CallError::Arguments(call.name.to_owned());
    let operation = O::of(call).ok_or_else(refused)?;
    let inputs = O::Inputs::try_from(inputs).map_err(|_| refused())?;
    let params = O::Params::try_from(params).map_err(|_| refused())?;
    operation.run(inputs, params).map_err(CallError::Failed)
}

/// Lists the operations: declares their files and finds them by name.
macro_rules! operations {
    (
        with kernels { $($file:ident: $Operation:ident,)* }
        of loops { $($loops_file:ident: $LoopsOperation:ident,)* }
    ) => {
        $(mod $file; pub use $file::$Operation;)*
        $(mod $loops_file;)*

        /// The operations that are made of loops, with their arguments as fields.
        pub mod composed {
            $(pub use super::$loops_file::$LoopsOperation;)*
        }
        use composed::*;

        /// Runs the operation of this name.
        ///
        /// # Errors
        /// If there is none, it does not take the arguments, inputs or parameters, or the executor fails.
        pub fn call<E: Real, X: Exec<E>, T: Tape<E, X>>(
            call: &Call<'_>,
            inputs: Vec<Act<E, X, T>>,
            params: Vec<Param<E, X>>,
        ) -> Result<Act<E, X, T>, CallError<X::Err>> {
            operations!(@find call inputs params $($Operation)* $($LoopsOperation)*);
            Err(CallError::Unknown(call.name.to_owned()))
        }
    };
    (@find $call:ident $inputs:ident $params:ident $($Operation:ident)*) => {
        $(
            if <$Operation as Operation>::NAMES.contains(&$call.name) {
                return operation::call::<$Operation, E, X, T>($call, $inputs, $params);
            }
        )*
    };
}
pub(super) use operations;
