//! The element types and the precision of matrix products.

use cudarc::cublas::sys::{cublasComputeType_t, cudaDataType_t};
use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use ksdsl_engine::Real;
use std::marker::Unpin;

/// How matrix products of `f32` are computed: those of convolutions, linear layers and attention.
/// Everything else, and all of `f64`, is always computed in the element type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Precision {
    /// In `f32`: products and sums are rounded to 24 bits. The default.
    #[default]
    Full,
    /// On matrix units with factors rounded to TF32, 11 bits, and sums in `f32`; from compute
    /// capability 8.0 on.
    Tf32,
    /// On matrix units with factors rounded to bfloat16, 8 bits, and sums in `f32`; from compute
    /// capability 8.0 on. Parameters, activations and gradients stay `f32`, so no loss scaling is needed.
    Bf16,
}

impl Precision {
    pub(super) fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Tf32,
            2 => Self::Bf16,
            _ => Self::Full,
        }
    }
}

/// An element type with kernels: `f32` and `f64`.
pub trait CudaReal: Real + DeviceRepr + ValidAsZeroBits + Unpin {
    /// Its name in CUDA C++.
    const NAME: &'static str;
    /// Which of the gpu's modules is compiled for it.
    const SLOT: usize;
    /// Whether the kernels of tensor.cu are compiled for it.
    const TENSOR_CORES: bool;
    /// Its name in cuBLAS.
    const DATA_TYPE: cudaDataType_t;
    /// What cuBLAS computes its products in.
    fn compute_type(precision: Precision) -> cublasComputeType_t;
}

impl CudaReal for f32 {
    const NAME: &'static str = "float";
    const SLOT: usize = 0;
    const TENSOR_CORES: bool = true;
    const DATA_TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_32F;

    fn compute_type(precision: Precision) -> cublasComputeType_t {
        match precision {
            Precision::Full => cublasComputeType_t::CUBLAS_COMPUTE_32F,
            Precision::Tf32 => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32,
            Precision::Bf16 => cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_16BF,
        }
    }
}

impl CudaReal for f64 {
    const NAME: &'static str = "double";
    const SLOT: usize = 1;
    const TENSOR_CORES: bool = false;
    const DATA_TYPE: cudaDataType_t = cudaDataType_t::CUDA_R_64F;

    fn compute_type(_: Precision) -> cublasComputeType_t {
        cublasComputeType_t::CUBLAS_COMPUTE_64F
    }
}
