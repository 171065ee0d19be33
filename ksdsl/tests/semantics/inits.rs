//! How parameters start, from the formulas of the papers.

use crate::{layer, net};
use ksdsl::ir::{Init, Layer, Real};

/// Fan-in and fan-out of a layer: what each output sums over, and what each input is part of.
type Fans = (f64, f64);

/// Layers whose fans differ from each other and from the product of their channels:
/// `[out][in / groups][height][width]`, of which fan-in has the last three; fan-out counts, per group, the
/// outputs times the taps.
const LAYERS: &[(&str, &str, Fans)] = &[
    (
        "12 x 9 x 9",
        "conv(20, kernel = 3 x 5, groups = 4, bias = true, ",
        (3.0 * 15.0, 5.0 * 15.0),
    ),
    ("6 x 9 x 9", "conv(10, kernel = 3, bias = true, ", (54.0, 90.0)),
    (
        "6 x 9 x 9",
        "depthwise(5 x 3, multiplier = 3, bias = true, ",
        (15.0, 45.0),
    ),
    ("6 x 9 x 9", "pointwise(10, groups = 2, bias = true, ", (3.0, 5.0)),
    ("6 x 9 x 9", "patch_embedding(10, patch = 9 x 3, ", (162.0, 270.0)),
    ("7", "linear(11, ", (7.0, 11.0)),
];

/// What each word is for these fans: He et al. 2015, equations 10 and 12 (variance 2 / fan_in; a uniform
/// distribution within b has variance b² / 3), Glorot & Bengio 2010, equations 12 and 16 (variance
/// 2 / (fan_in + fan_out)).
fn of(word: &str, (fan_in, fan_out): Fans) -> Init {
    let uniform = |variance: f64| Init::Uniform(Real((3.0 * variance).sqrt()));
    match word {
        "kaiming_normal" => Init::Normal(Real((2.0 / fan_in).sqrt())),
        "kaiming_uniform" => uniform(2.0 / fan_in),
        "xavier_normal" => Init::Normal(Real((2.0 / (fan_in + fan_out)).sqrt())),
        "xavier_uniform" => uniform(2.0 / (fan_in + fan_out)),
        // The default of PyTorch's layers.
        "" => Init::Uniform(Real(1.0 / fan_in.sqrt())),
        "zeros" | "constant(0)" | "uniform(0)" => Init::Constant(Real(0.0)),
        "ones" => Init::Constant(Real(1.0)),
        "constant(-0.75)" => Init::Constant(Real(-0.75)),
        "normal(0.02)" => Init::Normal(Real(0.02)),
        "uniform(0.3)" => Init::Uniform(Real(0.3)),
        _ => panic!("{word}"),
    }
}

const WORDS: &[&str] = &[
    "",
    "kaiming_normal",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
    "ones",
    "constant(0)",
    "constant(-0.75)",
    "normal(0.02)",
    "uniform(0.3)",
    "uniform(0)",
];

/// The same up to the rounding of the last operation.
fn close(found: Init, expected: Init) -> bool {
    let near = |a: Real, b: Real| (a.0 - b.0).abs() <= 1e-15 * b.0.abs();
    match (found, expected) {
        (Init::Constant(a), Init::Constant(b)) => a.0 == b.0,
        (Init::Uniform(a), Init::Uniform(b)) | (Init::Normal(a), Init::Normal(b)) => near(a, b),
        _ => false,
    }
}

/// How the tensors of a layer start.
fn inits(layer: &Layer) -> Vec<Init> {
    layer.op.tensors().iter().map(|tensor| tensor.init).collect()
}

#[test]
fn kernels_and_biases_start_as_the_papers_say() {
    for (input, call, fans) in LAYERS {
        for word in WORDS {
            for (param, which) in [("init", 0), ("bias_init", 1)] {
                let arg = if word.is_empty() {
                    String::new()
                } else {
                    format!("{param} = {word}")
                };
                let call = format!("{call}{arg})").replace(", )", ")");
                let network = net(&format!("net n {{ input {input}; layer: {call} }}"));
                let inits = inits(layer(&network, "layer"));
                let mut expected = [of("", *fans); 2];
                expected[which] = of(word, *fans);
                assert_eq!(inits.len(), 2, "{call}");
                assert!(
                    inits.iter().zip(expected).all(|(found, wanted)| close(*found, wanted)),
                    "{call}: {inits:?}, not {expected:?}"
                );
            }
        }
    }
}

/// Projections of attention and of squeeze-and-excitation are layers like others; a position embedding is
/// normal with ViT's deviation, and every value of it is added to one value.
#[test]
fn layers_inside_of_layers_start_as_such() {
    let network = net(
        "net n { input 12 x 5 x 5; position_embedding; p: position_embedding(init = kaiming_normal)
        attention(3); a: attention(2, init = xavier_normal, bias_init = zeros); squeeze_excite(4, bias = true) }",
    );
    let inits = |path: &str| inits(layer(&network, path));
    assert_eq!(inits("position_embedding")[0], Init::Normal(Real(0.02)));
    assert!(close(inits("p")[0], Init::Normal(Real(2.0_f64.sqrt()))));
    for part in ["q", "k", "v", "out"] {
        let default = inits(&format!("attention.{part}"));
        assert!(
            default.iter().all(|init| close(*init, of("", (12.0, 12.0)))),
            "{default:?}"
        );
        let [kernel, bias] = inits(&format!("a.{part}"))[..] else {
            panic!("a kernel and a bias")
        };
        assert!(close(kernel, of("xavier_normal", (12.0, 12.0))) && bias == of("zeros", (1.0, 1.0)));
    }
    for (part, inputs) in [("reduce", 12.0), ("expand", 3.0)] {
        let inits = inits(&format!("squeeze_excite.{part}"));
        assert!(
            inits.iter().all(|init| close(*init, of("", (inputs, 0.0)))),
            "{inits:?}"
        );
    }
}

/// A 1x1 convolution of 6 to 10 channels.
#[test]
fn projections_start_as_pointwise_convolutions() {
    let network = net("net n { input 6 x 8 x 8; residual(project = on_shape_change) { conv(10, kernel = 1) } }");
    let projection = network
        .layers
        .iter()
        .find(|layer| layer.path.to_string().contains("project"));
    let inits = inits(projection.expect("a projection"));
    assert!(inits.iter().all(|init| close(*init, of("", (6.0, 10.0)))), "{inits:?}");
}
