//! What an operation without kernels of its own is.

use crate::act::Act;
use crate::exec::Exec;
use crate::param::Param;
use crate::real::Real;
use crate::size::MapSize;
use crate::tape::Tape;

/// An operation with its arguments: shape, forward and backward pass.
pub trait Operation: Sized {
    /// Its name in the language.
    const NAME: &'static str;

    /// An array, one element for each input.
    type Inputs<A>: TryFrom<Vec<A>>;
    /// An array, one element for each parameter.
    type Params<A>: TryFrom<Vec<A>>;

    /// The operation with these arguments; none if one is missing or out of range.
    fn of(args: &Args<'_>) -> Option<Self>;

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

/// Arguments by name.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a>(pub &'a [(&'a str, f64)]);

impl Args<'_> {
    /// A number.
    pub fn real(&self, name: &str) -> Option<f64> {
        let found = self.0.iter().find(|(named, _)| *named == name);
        found.map(|(_, value)| *value)
    }

    /// A number that is a size.
    pub fn size(&self, name: &str) -> Option<usize> {
        let value = self.real(name)?;
        (value >= 0.0 && value.fract() == 0.0 && value < 2_f64.powi(53)).then_some(value as usize)
    }
}

/// Why a named operation did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError<F> {
    /// No operation has this name.
    Unknown(String),
    /// Its arguments, or the numbers of its inputs and parameters, are not what it takes.
    Arguments(&'static str),
    /// The executor failed.
    Failed(F),
}

pub(super) fn call<O: Operation, E: Real, X: Exec<E>, T: Tape<E, X>>(
    args: &Args<'_>,
    inputs: Vec<Act<E, X, T>>,
    params: Vec<Param<E, X>>,
) -> Result<Act<E, X, T>, CallError<X::Err>> {
    let refused = || CallError::Arguments(O::NAME);
    let operation = O::of(args).ok_or_else(refused)?;
    let inputs = O::Inputs::try_from(inputs).map_err(|_| refused())?;
    let params = O::Params::try_from(params).map_err(|_| refused())?;
    operation.run(inputs, params).map_err(CallError::Failed)
}

/// Lists the operations: declares their files and finds them by name.
macro_rules! operations {
    ($($file:ident: $Operation:ident,)*) => {
        $(mod $file;)*

        /// The operations that are made of loops, with their arguments as fields.
        pub mod composed {
            $(pub use super::$file::$Operation;)*
        }
        use composed::*;

        /// The names of the operations that [`call`] finds.
        pub const NAMES: &[&str] = &[$(<$Operation as Operation>::NAME),*];

        /// Runs the operation of this name.
        ///
        /// # Errors
        /// If there is none, it does not take the arguments, inputs or parameters, or the executor fails.
        pub fn call<E: Real, X: Exec<E>, T: Tape<E, X>>(
            name: &str,
            args: &Args<'_>,
            inputs: Vec<Act<E, X, T>>,
            params: Vec<Param<E, X>>,
        ) -> Result<Act<E, X, T>, CallError<X::Err>> {
            $(
                if name == <$Operation as Operation>::NAME {
                    return operation::call::<$Operation, E, X, T>(args, inputs, params);
                }
            )*
            Err(CallError::Unknown(name.to_owned()))
        }
    };
}
pub(super) use operations;
