//! That an operation is one file, and what is said of operations of several inputs.

use ksdsl::codegen;
use ksdsl::compile::{Compilation, Options, compile};
use ksdsl::export::pytorch;
use ksdsl::source::Source;
use std::path::{Path, PathBuf};

/// Operations with their files.
const NEW: &[(&str, &str)] = &[
    ("group_norm", "group_norm"),
    ("rms_norm", "rms_norm"),
    ("leaky_relu", "leaky_relu"),
    ("elu", "elu"),
    ("tanh", "activation"),
    ("softplus", "activation"),
    ("upsample", "upsample"),
    ("subtract", "subtract"),
    ("mish", "activation"),
    ("selu", "activation"),
    ("hard_sigmoid", "activation"),
    ("relu6", "activation"),
    ("log_softmax", "softmax"),
    ("prelu", "prelu"),
    ("instance_norm", "group_norm"),
    ("conv_transpose", "conv_transpose"),
    ("pixel_shuffle", "pixel_shuffle"),
    ("channel_shuffle", "channel_shuffle"),
    ("zero_channels", "zero_channels"),
    ("adaptive_avg_pool", "adaptive_avg_pool"),
    ("channel_mean", "channel_pool"),
    ("channel_max", "channel_pool"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The compiler and the grammar name an operation in its own file, and once where files are registered. Words of other
/// systems lead to it from `foreign`.
#[test]
fn an_operation_is_a_file_and_a_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("../grammars/ksn.pest")];
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 80, "the sources were not found");
    for (name, of) in NEW {
        let mut registered = 0;
        for path in &files {
            let text = std::fs::read_to_string(path).expect("a source");
            let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let count = words.filter(|word| word == name).count();
            let place = path.strip_prefix(root.join("src")).unwrap_or(path);
            if place == Path::new("ops/mod.rs") {
                registered = count;
            } else if place != Path::new("ops").join(format!("{of}.rs")) && !place.starts_with("foreign") {
                let foreign = place == Path::new("foreign.rs");
                // A layer written in the language names others, as a network does.
                let written = text.contains("Resolve::Block(Block {");
                assert!(count == 0 || foreign || written, "{} names `{name}`", place.display());
            }
        }
        assert_eq!(registered, usize::from(name == of), "lines that register `{name}`");
    }
}

fn compiled(body: &str) -> Compilation {
    compile(
        &Source::new("net.ksn", format!("net n {{ {body} }}")),
        &Options::default(),
    )
}

/// The codes and messages of a network with errors, with what they advise.
fn errors(body: &str) -> Vec<String> {
    let errors = compiled(body).diagnostics.into_iter().map(|error| {
        let help = error.help.map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}: {}{help}", error.code, error.message)
    });
    errors.collect()
}

#[test]
fn paths_are_as_many_as_the_operation_joins() {
    let two = "path { relu } path { relu }";
    for (body, expected) in [
        (
            "add { path { relu } }".to_owned(),
            "KS0047: `add` needs at least two paths (write `add { path { ... } path { ... } }`)",
        ),
        (
            format!("subtract {{ {two} path {{ relu }} }}"),
            "KS0047: `subtract` needs two paths (write `subtract { path { ... } path { ... } }`)",
        ),
        (
            format!("attend(heads = 2) {{ {two} }}"),
            "KS0047: `attend` needs three paths (write `attend(...) { path { ... } path { ... } path { ... } }`)",
        ),
        (
            "subtract".to_owned(),
            "KS0047: `subtract` needs paths in braces, or values (write `subtract { path { ... } path { ... } }`)",
        ),
        (
            format!("relu {{ {two} }}"),
            "KS0022: `relu` takes no paths (remove the braces after it)",
        ),
        (
            format!("conv(4, kernel = 1) {{ {two} }}"),
            "KS0022: `conv` takes no paths (remove the braces after it)",
        ),
    ] {
        assert_eq!(errors(&format!("input 4 x 4 x 4; {body}")), [expected], "{body}");
    }
}

#[test]
fn inputs_fit_together() {
    for (body, expected) in [
        (
            "subtract { path {} path { pointwise(6) } }",
            "KS0042: 4x4x4 and 6x4x4 cannot be subtracted (all paths must have the same shape)",
        ),
        (
            "attend(heads = 2) { path {} path {} path { max_pool(2) } }",
            "KS0042: 4x4x4 and 4x2x2 cannot be keys and values of one attention (all paths must have the same shape)",
        ),
        (
            "attend(heads = 3) { path {} path {} path {} }",
            "KS0030: 4 channels cannot be split into 3 heads: 4 is not divisible by 3 (choose a number of heads that divides the channels)",
        ),
        (
            "global_avg_pool; attend(heads = 2) { path {} path {} path {} }",
            "KS0044: `attend` expects feature maps, but its input is a vector of 4 features (move it before the global pooling or `flatten` that produces the vector)",
        ),
        (
            "group_norm(3)",
            "KS0045: 4 channels cannot be split into 3 groups (choose a number of groups that divides the channels)",
        ),
        (
            "upsample(2, mode = linear)",
            "KS0023: `mode` takes one of nearest, bilinear (did you mean `bilinear`?)",
        ),
        (
            "global_avg_pool; upsample(2)",
            "KS0044: `upsample` expects feature maps, but its input is a vector of 4 features (move it before the global pooling or `flatten` that produces the vector)",
        ),
        ("leaky_relu(slope = -1)", "KS0024: `slope` cannot be -1"),
        (
            "conv_transpose(6, kernel = 3, groups = 4)",
            "KS0045: 6 output channels cannot be split into 4 groups (4 must divide both 4 input and 6 output channels)",
        ),
        (
            "conv_transpose(6, kernel = 3, stride = 2 x 3, output_pad = 1 x 3)",
            "KS0024: `output_pad` cannot be 3 with a stride of 3 (use at most 2)",
        ),
        (
            "conv_transpose(6, kernel = 1, pad = 0 x 2)",
            "KS0041: the width reaches zero: 2 of padding on both sides cut off all of it (use less padding or a larger kernel)",
        ),
        (
            "global_avg_pool; conv_transpose(6, kernel = 3)",
            "KS0044: `conv_transpose` expects feature maps, but its input is a vector of 4 features (move it before the global pooling or `flatten` that produces the vector)",
        ),
        (
            "pixel_shuffle(3)",
            "KS0030: 4 channels cannot be split into 3 x 3 pixels (the channels must be divisible by 9)",
        ),
        (
            "channel_shuffle(3)",
            "KS0045: 4 input channels cannot be split into 3 groups (3 must divide both 4 input and 4 output channels)",
        ),
        (
            "slice(0, 5)",
            "KS0024: `end` cannot be 5: the input has 4 channels (use at most 4)",
        ),
        (
            "slice(2, 2)",
            "KS0024: `start` cannot be 2: the slice ends before channel 2 (use at most 1)",
        ),
        (
            "clamp(2, 1)",
            "KS0024: `max` cannot be 1: it must be above `min`, which is 2 (exchange `min` and `max`, or choose others)",
        ),
        ("stochastic_depth(1)", "KS0024: `p` cannot be 1"),
        (
            "unflatten(4, 2, 2)",
            "KS0044: `unflatten` expects a vector, but its input is 4x4x4 (write `flatten` or a global pooling before it)",
        ),
        (
            "flatten; unflatten(4, 3, 5)",
            "KS0042: 64 features cannot be 4x3x5, which is 60 values (the product of the three sizes must be 64)",
        ),
        (
            "global_avg_pool; channel_max",
            "KS0044: `channel_max` expects feature maps, but its input is a vector of 4 features (move it before the global pooling or `flatten` that produces the vector)",
        ),
        (
            "multiply { path {} path { max_pool(2); channel_mean } }",
            "KS0042: 4x4x4 and 1x2x2 cannot be multiplied (the shapes must be equal, or one of them a vector with one factor per channel or a map of one channel)",
        ),
        (
            "conv(4, kernel = 3, gain = true)",
            "KS0022: `gain` has no effect: the kernel is not standardised (add `standardize = true`, or remove `gain`)",
        ),
        (
            "conv(4, kernel = 3, standardize = false, eps = 0.1)",
            "KS0022: `eps` has no effect: the kernel is not standardised (add `standardize = true`, or remove `eps`)",
        ),
    ] {
        let found = errors(&format!("input 4 x 4 x 4; {body}"));
        assert!(
            found.len() == 1 && found[0].starts_with(expected.trim_end()),
            "{body}: {found:?}"
        );
    }
}

/// What `attention` and `squeeze_excite` stand for, written out, has the same layers, kernels and code.
#[test]
fn layers_written_in_the_language_are_what_they_say() {
    let heads = "path { q: pointwise(8, bias = true) } path { k: pointwise(8, bias = true) } path { v: pointwise(8, bias = true) }";
    for (call, written) in [
        (
            "attention(heads = 2)",
            format!("attention: seq {{ attend(heads = 2) {{ {heads} }} out: pointwise(8, bias = true) }}"),
        ),
        (
            "squeeze_excite(reduction = 4)",
            "squeeze_excite: multiply {
                path {}
                path {
                    pool: global_avg_pool; reduce: linear(2, bias = false); relu
                    expand: linear(8, bias = false); sigmoid
                }
            }"
            .to_owned(),
        ),
    ] {
        let all = [call, &written].map(|body| {
            let mut compilation = compiled(&format!("input 8 x 4 x 4; {body}; global_avg_pool; linear(2)"));
            assert!(!compilation.has_errors(), "{body}: {:?}", compilation.diagnostics);
            let mut network = compilation.networks.remove(0);
            network.text = String::new();
            let layers = network.layers.iter();
            let layers: Vec<_> = layers
                .map(|layer| (layer.path.to_string(), layer.op.clone(), layer.op.tensors()))
                .collect();
            let rust = codegen::format(codegen::network(&network));
            (layers, rust, pytorch::module(&network, &[]))
        });
        assert!(all[0] == all[1], "{:?}\n{:?}", all[0].0, all[1].0);
    }
}

/// The initialisations of an `attention` are those of its four convolutions, and of nothing else.
#[test]
fn initialisations_reach_the_layers_inside() {
    let inits = |call: &str| {
        let network = compiled(&format!("input 8 x 4 x 4; {call}")).networks.remove(0);
        let tensors = network.layers.iter().flat_map(|layer| layer.op.tensors());
        tensors.map(|tensor| format!("{:?}", tensor.init)).collect::<Vec<_>>()
    };
    let expected = ["Constant(Real(1.0))", "Constant(Real(0.0))"].repeat(4);
    assert_eq!(inits("attention(2, init = ones, bias_init = zeros)"), expected);
}

/// The statements of generated code, in one line each.
#[test]
fn new_operations_are_calls_of_the_runtime() {
    let body = "input 4 x 4 x 4; group_norm(2); rms_norm; leaky_relu; elu(alpha = 0.5); tanh; softplus; upsample(2)
        upsample(3, mode = bilinear); subtract { path { relu } path { sigmoid } }
        conv_transpose(6, kernel = 2, stride = 2, bias = true); prelu; layer_scale; scale(-0.5); stochastic_depth(0.5)
        max_pool(5, stride = 3, ceil = true); avg_pool(4, stride = 3, ceil = true)
        avg_pool(3, stride = 1, pad = 1, count_include_pad = false); conv(4, kernel = 1, standardize = true, gain = true)
        conv(4, kernel = 3, pad = 1, standardize = true); layer_scale(per_channel = false); channel_max
        global_avg_pool; unflatten(1, 1, 1)";
    let rust = codegen::format(codegen::network(&compiled(body).networks[0]));
    let mut rest = rust.as_str();
    for statement in [
        "= rt::op::apply_with(rt::op::GroupNorm { groups: 2, eps: 0.00001 }, [x], [&self.group_norm_weight, &self.group_norm_bias])?;",
        "= rt::op::apply_with(rt::op::RmsNorm { eps: 0.000001, heads: 1 }, [x], [&self.rms_norm_weight])?;",
        "= rt::op::apply(rt::op::LeakyRelu { slope: 0.01 }, [x])?;",
        "= rt::op::apply(rt::op::Elu { alpha: 0.5 }, [x])?;",
        "= rt::op::apply(rt::op::Tanh, [x])?;",
        "= rt::op::apply(rt::op::Softplus, [x])?;",
        "let x: rt::Map<B, 4, 8, 8, E, D, T> = rt::op::apply(rt::op::Upsample { factor_height: 2, factor_width: 2, bilinear: false }, [x])?;",
        "let x: rt::Map<B, 4, 24, 24, E, D, T> = rt::op::apply(rt::op::Upsample { factor_height: 3, factor_width: 3, bilinear: true }, [x])?;",
        "let (x, path) = x.fork()?;",
        "let x = rt::op::relu(x)?;",
        "let x = rt::op::sigmoid(x)?;",
        "rt::op::apply(rt::op::Subtract, [x, path])?",
        "let x: rt::Map<B, 6, 48, 48, E, D, T> = rt::op::conv_transpose(rt::op::ConvTranspose { channels: 6, kernel_height: 2, kernel_width: 2, stride_height: 2, stride_width: 2, pad_height: 0, pad_width: 0, output_pad_height: 0, output_pad_width: 0, groups: 1 }, x, &self.conv_transpose_weight, &self.conv_transpose_bias)?;",
        "= rt::op::apply_with(rt::op::Prelu { per_channel: true }, [x], [&self.prelu_weight])?;",
        "let x = rt::op::layer_scale(x, &self.layer_scale_weight)?;",
        "= rt::op::apply(rt::op::Affine { factor: -0.5, offset: 0.0 }, [x])?;",
        "let x = rt::op::stochastic_depth(pass, x, 0.5)?;",
        "let x: rt::Map<B, 6, 16, 16, E, D, T> = rt::op::MaxPool::< rt::Kernel<5, 5>, rt::Stride<3, 3>, rt::Pad<0, 2, 0, 2>, >::apply(x)?;",
        "let x: rt::Map<B, 6, 5, 5, E, D, T> = rt::op::AvgPool::< rt::Kernel<4, 4>, rt::Stride<3, 3>, rt::Pad<0, 0, 0, 0>, >::apply(x)?;",
        "= rt::op::apply(rt::op::AvgPoolCeil { kernel_height: 3, kernel_width: 3, stride_height: 1, stride_width: 1, pad_height: 1, pad_width: 1, count_pad: false, ceil: false }, [x])?;",
        "::apply(x, rt::Standardized::new(&self.conv_weight, &self.conv_gain, 0.000001), rt::NoBias)?;",
        "::apply(x, rt::Standardized::new(&self.conv_2_weight, rt::NoBias, 0.000001), rt::NoBias)?;",
        "= rt::op::apply_with(rt::op::Gain, [x], [&self.layer_scale_2_weight])?;",
        "let x: rt::Map<B, 1, 5, 5, E, D, T> = rt::op::apply(rt::op::ChannelPool { max: true }, [x])?;",
        "let x: rt::Map<B, 1, 1, 1, E, D, T> = rt::op::apply(rt::op::Unflatten { channels: 1, height: 1, width: 1 }, [x])?;",
    ] {
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let flat = words(rest)
            .replace("( ", "(")
            .replace(", )", ")")
            .replace(", ]", "]")
            .replace(", }", " }")
            .replace("[ ", "[");
        let at = flat
            .find(statement)
            .unwrap_or_else(|| panic!("no `{statement}` in\n{rest}"));
        rest = Box::leak(flat[at + statement.len()..].to_owned().into_boxed_str());
    }
}

/// PyTorch's sizes with `ceil_mode=True` for lines of 1 to 9 pixels:
///
/// [F.max_pool2d(torch.zeros(1, 1, 9, n), (1, k), (1, s), (0, p), ceil_mode=True).shape[3] for n in range(1, 10)]
#[test]
fn windows_beyond_the_padding_are_as_many_as_pytorchs() {
    for ([kernel, stride, pad], expected) in [
        ([2, 2, 0], [1, 1, 2, 2, 3, 3, 4, 4, 5]),
        ([3, 2, 1], [1, 2, 2, 3, 3, 4, 4, 5, 5]),
        ([2, 3, 1], [1, 1, 2, 2, 2, 3, 3, 3, 4]),
        ([3, 3, 0], [1, 1, 1, 2, 2, 2, 3, 3, 3]),
        ([4, 3, 2], [1, 2, 2, 2, 3, 3, 3, 4, 4]),
        ([1, 4, 0], [1, 1, 1, 1, 2, 2, 2, 2, 3]),
    ] {
        for (length, wanted) in (1..).zip(expected) {
            for kind in ["max_pool", "avg_pool"] {
                let layer = format!("{kind}(1 x {kernel}, stride = 1 x {stride}, pad = 0 x {pad}, ceil = true)");
                let compilation = compiled(&format!("input 2 x 9 x {length}; {layer}"));
                let found = compilation
                    .networks
                    .first()
                    .map_or(0, |network| network.output().sizes()[2]);
                assert_eq!(found, wanted, "{layer} of {length}");
            }
        }
    }
}

/// What refuses private parts of a kernel, and what a clause without a kind selects.
#[test]
fn transposed_convolutions_share_as_kernels_without_rows() {
    let stage = "input 4 x 4 x 4; stage s { repeat 2 { conv_transpose(4, kernel = 3, pad = 1); prelu; layer_scale } }";
    assert_eq!(
        errors(&format!("{stage} share isomorphic in s with private scale")),
        [
            "KS0055: `s[0].conv_transpose` has no kernel to scale (the kernel of a transposed convolution has no row for each output channel: leave out `scale`)"
        ],
    );
    assert_eq!(
        errors(
            "input 4 x 4 x 4; repeat 2 { conv(4, kernel = 1, standardize = true) } share isomorphic with private scale"
        ),
        [
            "KS0055: `[0].conv` has no kernel to scale (it is standardised, so that factors for its rows would have no effect: leave out `scale`)"
        ],
    );
    assert_eq!(
        errors("input 4 x 4 x 4; conv(4, kernel = 1, standardize = true); b: conv(4, kernel = 1) share conv, b"),
        [
            "KS0050: `conv` and `b` cannot share: the operation differs, standardised convolution and convolution (select only isomorphic layers, with a range such as `[1..]`, or write `share isomorphic`, which skips layers that do not match)"
        ],
    );
    for (clause, expected) in [
        (
            "share isomorphic in s",
            &["s[0].conv_transpose", "s[1].conv_transpose"][..],
        ),
        (
            "share isomorphic conv_transpose",
            &["s[0].conv_transpose", "s[1].conv_transpose"],
        ),
        ("share isomorphic prelu", &["s[0].prelu", "s[1].prelu"]),
        (
            "share isomorphic layer_scale",
            &["s[0].layer_scale", "s[1].layer_scale"],
        ),
    ] {
        let network = compiled(&format!("{stage} {clause}")).networks.remove(0);
        let visits = network.groups.iter().flat_map(|group| &group.visits);
        let paths: Vec<String> = visits.map(|id| network.layers[*id].path.to_string()).collect();
        assert_eq!(paths, expected, "{clause}");
    }
}
