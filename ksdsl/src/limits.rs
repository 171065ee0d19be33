//! Limits on specifications. Beyond these, compilation fails with an error, never by exhausting memory or
//! overflowing the stack.

/// Bytes of one source, imported files included.
pub const SOURCE_BYTES: usize = 1 << 20;
/// Bytes that are read again after syntax errors, to find the next ones: the more errors are reported the
/// smaller the source is.
pub const READ_AGAIN: usize = 1 << 22;
/// Files of one source, itself and those it imports.
pub const FILES: usize = 64;
/// Tokens of one file.
pub const TOKENS: usize = 250_000;
/// Brackets and braces open at the same time.
pub const BRACKET_DEPTH: usize = 64;
/// Characters of one name.
pub const NAME_LENGTH: usize = 128;
/// Parameters of one block or network.
pub const PARAMETERS: usize = 256;
/// Operators in one expression, those in its brackets included.
pub const OPERATORS: usize = 256;
/// Values in one list, or in one call that is a value, those inside them included.
pub const VALUES: usize = 4096;
/// Lists and calls inside each other, as values.
pub const VALUE_DEPTH: usize = 16;
/// Blocks, stages and repetitions inside each other once blocks are expanded.
pub const EXPANSION_DEPTH: usize = 64;
/// Layers of all networks of one source.
pub const LAYERS: usize = 200_000;
/// Steps of expanding all networks of one source: statements and iterations carried out,
/// parameters given a value, and one more for every [`STEP_BYTES`] of their expressions.
pub const STEPS: usize = 600_000;
/// Bytes of an expression that count as one step, and of a network's text that count as one token of code.
pub const STEP_BYTES: usize = 32;
/// Bytes of all layer paths of one source, as they are kept in memory.
pub const PATH_BYTES: usize = 1 << 26;
/// Places that the selectors of one network may visit: `**` can make a small text very expensive.
pub const SELECTED_PLACES: usize = 2_000_000;
/// The largest channel count, height, width, kernel size, stride, padding or dilation.
pub const DIMENSION: i64 = 1 << 20;
/// Elements of one tensor.
pub const ELEMENTS: u64 = 1 << 40;
/// Multiply-adds of one network for one image.
pub const MULTIPLY_ADDS: u64 = 18_446_744_073_709_551_615;
/// Tokens of the code generated for all networks of one source, as estimated from their plans.
pub const GENERATED_TOKENS: usize = 8_000_000;
/// Errors, and as many warnings, reported for one source.
pub const DIAGNOSTICS: usize = 50;
