//! Scales and factors against their definitions.

use super::super::scales::scale;
use super::fixed;

#[test]
fn factors_keep_30_bits() {
    for (factor, expected, shift) in [(1.0, 1 << 29, 29), (0.75, 805_306_368, 30), (3.0, 805_306_368, 28)] {
        assert_eq!(fixed([factor, 0.0]), ([expected, 0], shift), "{factor}");
    }
    // Neither none nor enormous factors overflow.
    assert_eq!(fixed([0.0, 0.0]), ([0, 0], 0));
    assert_eq!(fixed([1e300, -1.0]), ([1 << 30, -1], 0));
    assert_eq!(fixed([1e-30, 0.0]).1, 62);
}

/// `torch.ao.quantization.MinMaxObserver(torch.qint8, torch.per_tensor_affine, quant_min=-128, quant_max=127)`.
#[test]
fn scales_are_those_of_pytorch() {
    for (range, expected, zero) in [
        ([-1.0, 1.0], 0.007_843_137_718_737_125, -1),
        ([0.0, 6.0], 0.023_529_412_224_888_8, -128),
        ([-3.5, 0.0], 0.013_725_490_309_298_038, 127),
        ([0.5, 2.0], 0.007_843_137_718_737_125, -128),
    ] {
        let found = scale(range);
        assert!((found.scale - expected).abs() < 1e-8, "{range:?}");
        assert!((i32::from(found.zero) - zero).abs() <= 1, "{range:?}: {}", found.zero);
    }
}
