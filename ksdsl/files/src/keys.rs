//! The names of the tensors that a layer has of its own for a kernel that it shares: the last segments of their keys in
//! checkpoints.

/// Factors for the output channels of the kernel, `[out]`.
pub const SCALE: &str = "scale";
/// The right factor of an addition to the kernel, `[rank][columns]`.
pub const LOW_RANK_A: &str = "low_rank_a";
/// Its left factor, `[out][rank]`.
pub const LOW_RANK_B: &str = "low_rank_b";
/// Factors for the kernels of a bank, `[kernels]`.
pub const COEFFICIENTS: &str = "coefficients";
