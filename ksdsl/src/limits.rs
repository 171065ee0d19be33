//! How large a specification may be. Beyond these, compiling ends in an error, never in exhausted
//! memory or a stack overflow.

/// Bytes of one source.
pub const SOURCE_BYTES: usize = 1 << 20;
/// Brackets and braces open at the same time.
pub const BRACKET_DEPTH: usize = 64;
/// Operators in one expression.
pub const OPERATORS: usize = 256;
/// Blocks, stages and repetitions inside each other once blocks are expanded.
pub const EXPANSION_DEPTH: usize = 64;
/// Layers of one network.
pub const LAYERS: usize = 200_000;
/// Repetitions and block expansions of one network.
pub const EXPANSIONS: usize = 1_000_000;
/// The largest channel count, height, width, kernel size, stride, padding or dilation.
pub const DIMENSION: i64 = 1 << 20;
/// Elements of one tensor.
pub const ELEMENTS: u64 = 1 << 40;
/// Diagnostics reported for one source.
pub const DIAGNOSTICS: usize = 50;
