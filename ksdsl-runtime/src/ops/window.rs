//! Type-level arguments of windowed operations, and the arithmetic of their sizes.

/// Step between windows, vertical and horizontal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stride<const Y: usize, const X: usize>;

/// Padding in pixels on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pad<const TOP: usize, const BOTTOM: usize, const LEFT: usize, const RIGHT: usize>;

/// Distance between taps, vertical and horizontal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dilation<const Y: usize, const X: usize>;

/// Size of a pooling window, height and width.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel<const Y: usize, const X: usize>;

/// A [`Stride`].
pub trait StrideArg {
    /// Vertical and horizontal step.
    const STRIDE: [usize; 2];
}

impl<const Y: usize, const X: usize> StrideArg for Stride<Y, X> {
    const STRIDE: [usize; 2] = [Y, X];
}

/// A [`Pad`].
pub trait PadArg {
    /// Rows above, columns left.
    const BEFORE: [usize; 2];
    /// Rows below, columns right.
    const AFTER: [usize; 2];
}

impl<const TOP: usize, const BOTTOM: usize, const LEFT: usize, const RIGHT: usize> PadArg
    for Pad<TOP, BOTTOM, LEFT, RIGHT>
{
    const BEFORE: [usize; 2] = [TOP, LEFT];
    const AFTER: [usize; 2] = [BOTTOM, RIGHT];
}

/// A [`Dilation`].
pub trait DilationArg {
    /// Vertical and horizontal distance.
    const DILATION: [usize; 2];
}

impl<const Y: usize, const X: usize> DilationArg for Dilation<Y, X> {
    const DILATION: [usize; 2] = [Y, X];
}

/// A [`Kernel`].
pub trait KernelArg {
    /// Height and width.
    const KERNEL: [usize; 2];
}

impl<const Y: usize, const X: usize> KernelArg for Kernel<Y, X> {
    const KERNEL: [usize; 2] = [Y, X];
}

/// Output size of a windowed operation along one axis (PyTorch's formula), at compile time.
pub(crate) const fn output_size(input: usize, pad: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    assert!(stride > 0, "the stride must not be 0");
    assert!(dilation > 0, "the dilation must not be 0");
    assert!(kernel > 0, "the kernel must not be empty");
    let span = dilation * (kernel - 1) + 1;
    assert!(input + pad >= span, "the kernel is larger than the padded input");
    (input + pad - span) / stride + 1
}
