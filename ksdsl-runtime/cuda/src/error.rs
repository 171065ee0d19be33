//! Why an operation failed.

use cudarc::cublas::result::CublasError;
use cudarc::driver::DriverError;
use ksdsl_engine::ids::WrongId;
use std::fmt;

/// Why an operation on a GPU failed.
#[derive(Clone, Debug)]
pub enum Error {
    /// The driver: for example, no memory is left.
    Driver(DriverError),
    /// cuBLAS.
    Blas(CublasError),
    /// nvrtc cannot compile the kernels for this GPU; its messages.
    Kernels(String),
    /// Buffers that should be of one length are not.
    WrongLength,
    /// An id names no row of a table.
    WrongId(WrongId),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => error.fmt(f),
            Self::Blas(error) => error.fmt(f),
            Self::Kernels(log) => write!(f, "nvrtc cannot compile the kernels for this GPU:\n{log}"),
            Self::WrongLength => f.write_str("buffers of different lengths"),
            Self::WrongId(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<WrongId> for Error {
    fn from(error: WrongId) -> Self {
        Self::WrongId(error)
    }
}

impl From<CublasError> for Error {
    fn from(error: CublasError) -> Self {
        Self::Blas(error)
    }
}
