//! Sizes of outputs, by counting the places of windows one by one.

use crate::{codes, layer, net};
use ksdsl::ir::Shape;
use ksdsl::ops::conv::Conv;

/// The number of windows of this many taps that fit on `size` pixels with zeros around them, by trying every place.
fn places(size: u64, zeros: [u64; 2], taps: u64, stride: u64, dilation: u64) -> u64 {
    let all = size + zeros[0] + zeros[1];
    let reach = (0..taps).map(|tap| tap * dilation).max().unwrap_or(0);
    (0..all)
        .filter(|start| start % stride == 0 && start + reach < all)
        .count() as u64
}

fn map([channels, height, width]: [u64; 3]) -> Shape {
    Shape::Map {
        channels,
        height,
        width,
    }
}

#[test]
fn windows_are_counted() {
    for (size, other) in [(7, 12), (8, 5), (13, 9)] {
        for (taps, stride, dilation, pad) in [
            (1, 1, 1, 0),
            (3, 1, 1, 1),
            (3, 2, 1, 0),
            (2, 3, 2, 1),
            (4, 2, 1, 2),
            (5, 3, 1, 2),
        ] {
            let text = format!(
                "net n {{ input 3 x {size} x {other}
                    c: conv(4, kernel = {taps} x 2, stride = {stride} x 1, pad = {pad} x 0, dilation = {dilation} x 3) }}"
            );
            let expected = map([
                4,
                places(size, [pad; 2], taps, stride, dilation),
                places(other, [0; 2], 2, 1, 3),
            ]);
            assert_eq!(layer(&net(&text), "c").output, expected, "{text}");
            if pad * 2 <= taps {
                let text = format!(
                    "net n {{ input 3 x {size} x {other}; p: max_pool({taps} x 2, stride = {stride} x 2, pad = {pad} x 1) }}"
                );
                let expected = map([
                    3,
                    places(size, [pad; 2], taps, stride, 1),
                    places(other, [1; 2], 2, 2, 1),
                ]);
                assert_eq!(layer(&net(&text), "p").output, expected, "{text}");
            }
        }
    }
}

/// `same` is the least padding that gives `ceil(size / stride)`, with an odd zero behind.
#[test]
fn same_pads_as_little_as_it_can() {
    for size in 1..14 {
        for (taps, stride, dilation) in [
            (1, 1, 1),
            (2, 1, 1),
            (3, 1, 1),
            (3, 2, 1),
            (4, 3, 1),
            (3, 2, 2),
            (5, 4, 1),
            (1, 2, 1),
        ] {
            let network = net(&format!(
                "net n {{ input 2 x {size} x 9; c: conv(2, kernel = {taps} x 1, stride = {stride} x 1, dilation = {dilation} x 1, pad = same) }}"
            ));
            let conv = layer(&network, "c").op.downcast::<Conv>().expect("a convolution");
            let wanted = (0..size).filter(|at| at % stride == 0).count() as u64;
            let fits = |zeros: &u64| places(size, [0, *zeros], taps, stride, dilation) >= wanted;
            let zeros = (0..).find(fits).expect("some padding is enough");
            assert_eq!(
                conv.pad,
                [zeros / 2, zeros - zeros / 2, 0, 0],
                "{size} {taps} {stride} {dilation}"
            );
            assert_eq!(layer(&network, "c").output, map([2, wanted, 9]));
        }
    }
}

/// The projection of a residual takes the smallest stride that leads to the size of the main way.
#[test]
fn projections_have_the_stride_that_fits() {
    for size in 2..20_u64 {
        for stride in 1..5_u64 {
            let text = format!(
                "net n {{ input 4 x {size} x 12
                    residual(project = on_shape_change) {{ conv(6, kernel = 3, stride = {stride} x 2, pad = 1) }} }}"
            );
            let network = net(&text);
            let outputs = places(size, [1, 1], 3, stride, 1);
            let fits = |step: &u64| (0..size).step_by(*step as usize).count() as u64 == outputs;
            let step = (1..=size).find(fits).expect("some stride fits");
            let found = network.layers.iter().find_map(|layer| {
                let conv = layer.op.downcast::<Conv>()?;
                (conv.kernel == [1, 1]).then_some((conv, layer.output))
            });
            let (conv, output) = found.expect("a projection");
            assert_eq!((conv.stride, output), ([step, 2], map([6, outputs, 6])), "{text}");
            assert_eq!(
                (conv.pad, conv.dilation, conv.groups, conv.bias),
                ([0; 4], [1, 1], 1, false)
            );
        }
    }
}

/// 5 to 4 pixels is not a stride: `ceil(5 / 1)` is 5 and `ceil(5 / 2)` is 3; nor is more than there was.
#[test]
fn projections_that_no_stride_makes_are_refused() {
    for main in ["conv(6, kernel = 2)", "conv(6, kernel = 3, pad = 2)"] {
        let text = format!("net n {{ input 4 x 5 x 5; residual(project = on_shape_change) {{ {main} }} }}");
        assert!(!codes(&text).is_empty(), "{text}");
    }
}

/// Every layer's output, by hand.
#[test]
fn other_layers_have_their_shapes() {
    let network = net("net n {
            input 6 x 8 x 10
            d: depthwise(3, multiplier = 2); e: patch_embedding(10, patch = 3 x 2); p: position_embedding
            a: attention(5); s: squeeze_excite(5); l: layer_norm; b: batch_norm; r: relu; o: dropout(0.5)
            g: global_max_pool; m: linear(7)
        }");
    let expected = [
        ("d", map([12, 6, 8])),
        ("e", map([10, 2, 4])),
        ("p", map([10, 2, 4])),
        ("a.out", map([10, 2, 4])),
        ("a.attend", map([10, 2, 4])),
        ("s.pool", Shape::Flat(10)),
        ("s.reduce", Shape::Flat(2)),
        ("s.expand", Shape::Flat(10)),
        ("l", map([10, 2, 4])),
        ("b", map([10, 2, 4])),
        ("r", map([10, 2, 4])),
        ("o", map([10, 2, 4])),
        ("g", Shape::Flat(10)),
        ("m", Shape::Flat(7)),
    ];
    for (path, shape) in expected {
        assert_eq!(layer(&network, path).output, shape, "{path}");
    }
    let flat = net("net n { input 6 x 4 x 5; f: flatten }");
    assert_eq!(layer(&flat, "f").output, Shape::Flat(120));
}

/// A window one pixel too large, and one that just fits.
#[test]
fn windows_that_do_not_fit_are_refused() {
    for (call, fits) in [
        ("conv(2, kernel = 5)", true),
        ("conv(2, kernel = 6)", false),
        ("conv(2, kernel = 3, dilation = 2)", true),
        ("conv(2, kernel = 3, dilation = 3)", false),
        ("conv(2, kernel = 7, pad = 1)", true),
        ("conv(2, kernel = 8, pad = 1)", false),
        ("conv(2, kernel = 1 x 6)", false),
        ("avg_pool(5)", true),
        ("avg_pool(6)", false),
        ("avg_pool(6, pad = 1)", true),
        ("max_pool(6, pad = 3)", true),
        ("max_pool(6, pad = 4)", false),
        ("max_pool(1 x 6)", false),
    ] {
        assert_eq!(
            codes(&format!("net n {{ input 2 x 5 x 5; {call} }}")).is_empty(),
            fits,
            "{call}"
        );
    }
}
