//! Parameters, multiply-adds and memory of single layers, by hand.

use crate::net;
use ksdsl::summary::Summary;

/// Trainable parameters, running statistics and multiply-adds.
fn counts(text: &str) -> [u64; 3] {
    let summary = Summary::new(&net(text), 1);
    [summary.parameters.trainable, summary.parameters.buffers, summary.macs]
}

#[test]
fn single_layers_cost_what_they_should() {
    for (body, expected) in [
        // 4 channels of 3 x 2 taps on 3 channels, at 3 x 6 places, and 4 biases.
        (
            "input 6 x 7 x 7; conv(4, kernel = 3 x 2, stride = 2 x 1, groups = 2, bias = true)",
            [4 * 18 + 4, 0, 4 * 18 * 18],
        ),
        (
            "input 6 x 5 x 4; depthwise(3, pad = 1, multiplier = 2)",
            [12 * 9, 0, 12 * 9 * 20],
        ),
        ("input 6 x 5 x 4; pointwise(9, stride = 2)", [54, 0, 54 * 6]),
        ("input 6; linear(5)", [35, 0, 30]),
        ("input 6; linear(5, bias = false)", [30, 0, 30]),
        ("input 6 x 2 x 3; batch_norm", [12, 12, 0]),
        ("input 6 x 2 x 3; batch_norm(affine = false)", [0, 12, 0]),
        ("input 6 x 2 x 3; layer_norm", [12, 0, 0]),
        ("input 6 x 2 x 3; position_embedding", [36, 0, 0]),
        // Four projections of 36 + 6; 6 tokens, each of which meets 6 in 6 channels, twice.
        ("input 6 x 2 x 3; attention(2)", [4 * 42, 0, 4 * 36 * 6 + 2 * 36 * 6]),
        (
            "input 6 x 2 x 3; squeeze_excite(3, bias = true)",
            [12 + 2 + 12 + 6, 0, 24],
        ),
        (
            "input 6 x 4 x 3; patch_embedding(5, patch = 2 x 3)",
            [5 * 36 + 5, 0, 5 * 36 * 2],
        ),
        (
            "input 6 x 2 x 3; relu; max_pool(2); global_avg_pool; dropout(0.5)",
            [0, 0, 0],
        ),
    ] {
        assert_eq!(counts(&format!("net n {{ {body} }}")), expected, "{body}");
    }
}

/// Shared parameters count once, multiply-adds at every visit; what a visit has of its own counts at each.
#[test]
fn sharing_saves_parameters_alone() {
    let body = "input 6 x 4 x 4; stage s { repeat 5 { conv(6, kernel = 3, pad = 1, bias = true); batch_norm } }";
    let macs = 5 * 324 * 16;
    let norms = 5 * 12;
    for (clauses, trainable, more) in [
        ("", 5 * 330 + norms, 0),
        ("share s[*].conv", 330 + norms, 0),
        ("share s[*].conv into 2 groups", 2 * 330 + norms, 0),
        ("share s[*].conv at front(2)", 4 * 330 + norms, 0),
        ("share kernel of s[*].conv", 324 + 5 * 6 + norms, 0),
        ("share bias of s[*].conv", 5 * 324 + 6 + norms, 0),
        ("share s[*].conv with private scale", 330 + 5 * 6 + norms, 0),
        // A is 2 x 54, B 6 x 2; their product costs 6 x 2 x 54.
        (
            "share s[*].conv with private low_rank(2)",
            330 + 5 * (108 + 12) + norms,
            5 * 648,
        ),
        ("share s[*].conv; share s[*].batch_norm into 3 groups", 330 + 3 * 12, 0),
    ] {
        let text = format!("net n {{ {body} {} }}", clauses.replace("; ", "\n"));
        let buffers = if clauses.contains("batch_norm") { 3 * 12 } else { 5 * 12 };
        assert_eq!(counts(&text), [trainable, buffers, macs + more], "{clauses}");
        assert_eq!(
            Summary::new(&net(&text), 1).parameters.unshared,
            5 * 330 + norms,
            "{clauses}"
        );
    }
}

/// Bytes in inference and in training for a batch of 2 images of 16 x 16 pixels of one channel, whose values have
/// one layout, so that a map is 2048 bytes and nothing is put into another order: the gradient of the output stays the
/// loss's, which is not counted. A buffer takes whole lines of 64 bytes: so do a scale, a shift, and the gradient of each.
#[test]
fn single_layers_need_the_memory_they_should() {
    const MAP: u128 = 2 * 16 * 16 * 4;
    const LINE: u128 = 64;
    for (layer, inference, training) in [
        // Input and output; mean and inverse deviation for each pixel, in pairs and then apart. Backwards the input,
        // its gradient and the statistics are less.
        ("layer_norm", 2 * MAP + 4 * MAP + 2 * LINE, 2 * MAP + 4 * MAP + 2 * LINE),
        // In place; the output is kept for the backward pass, so that the loss gets a copy.
        ("relu", MAP, 2 * MAP),
        ("dropout(0.5)", MAP, MAP),
        // Pooling over windows keeps its input, and so does a global maximum.
        ("avg_pool(1)", 2 * MAP, 2 * MAP),
        ("max_pool(2)", MAP + MAP / 4, 2 * MAP),
        // A task sums 64 columns in double precision: four rows of 16 lanes; both images have a sum in the end.
        ("global_avg_pool", MAP + 2 * LINE + 64 * 8, MAP + 2 * LINE + 64 * 8),
        ("global_max_pool", MAP + LINE, 2 * MAP),
        // A map of parameters; backwards its gradient, and sums over the images in double precision: of the one piece
        // that they are, and of all.
        ("position_embedding", MAP + MAP / 2, MAP / 2 + MAP / 2 + 2 * MAP),
    ] {
        let memory = Summary::new(&net(&format!("net n {{ input 1 x 16 x 16; {layer} }}")), 2).memory;
        assert_eq!(
            [memory.inference_bytes, memory.training_bytes],
            [inference, training],
            "{layer}"
        );
    }
}
