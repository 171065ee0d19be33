//! Why an operation failed.

use cudarc::cublas::result::CublasError;
use cudarc::driver::DriverError;
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
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver(error) => error.fmt(f),
            Self::Blas(error) => error.fmt(f),
            Self::Kernels(log) => write!(f, "nvrtc cannot compile the kernels for this GPU:\n{log}"),
            Self::WrongLength => f.write_str("buffers of different lengths"),
        }
    }
}

impl std::error::Error for Error {}

impl From<DriverError> for Error {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<CublasError> for Error {
    fn from(error: CublasError) -> Self {
        Self::Blas(error)
    }
}
