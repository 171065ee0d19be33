//! The library's blocks make the networks that they are named after: their parameters are as many as torchvision 0.20
//! lists for its models (`torchvision.models.get_model_weights(name).DEFAULT.meta["num_params"]`), or as a formula says.

use ksdsl::compile::{Options, compile};
use ksdsl::imports::library;
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;

fn parameters(text: &str) -> u64 {
    let source = Source::new("test.ksn", format!("{IMPORTS}{text}"));
    let compilation = compile(&source, &Options::default());
    let rendered = render(&source, &compilation.diagnostics, false);
    assert!(compilation.diagnostics.is_empty(), "{text}\n{rendered}");
    let [network] = compilation.networks.as_slice() else {
        panic!("one network")
    };
    Summary::new(network, 1).parameters.trainable
}

const IMPORTS: &str = "use \"std/residual.ksn\"\nuse \"std/mobile.ksn\"\nuse \"std/tokens.ksn\"\nuse \"std/gates.ksn\"
use \"std/language.ksn\"\n";

/// A network with the stem of a ResNet for ImageNet and its classifier.
fn resnet(body: &str) -> u64 {
    parameters(&format!(
        "net n {{ input 3 x 224 x 224
        conv(64, kernel = 7, stride = 2, pad = 3); batch_norm; relu; max_pool(3, stride = 2, pad = 1)
        let depths = [3, 4, 6, 3]
        let widths = [64, 128, 256, 512]
        repeat 4 as i {{ repeat depths[i] as j {{ let step = select(i > 0 and j == 0, 2, 1) {body} }} }}
        global_avg_pool; linear(1000) }}"
    ))
}

#[test]
fn residual_blocks_make_resnets() {
    // resnet34, resnet50, resnext50_32x4d
    assert_eq!(resnet("basic_block(widths[i], stride = step)"), 21_797_672);
    assert_eq!(resnet("bottleneck(4 * widths[i], stride = step)"), 25_557_032);
    assert_eq!(
        resnet("bottleneck(4 * widths[i], stride = step, width = 2 * widths[i], groups = 32)"),
        25_028_904
    );
}

#[test]
fn dense_layers_make_densenet_121() {
    let counted = parameters(
        "net n(depths = [6, 12, 24, 16]) { input 3 x 224 x 224
        conv(64, kernel = 7, stride = 2, pad = 3); batch_norm; relu; max_pool(3, stride = 2, pad = 1)
        repeat 4 as i {
            repeat depths[i] { dense_layer(32) }
            when i < 3 { batch_norm; relu; pointwise(in_channels / 2); avg_pool(2) }
        }
        batch_norm; relu; global_avg_pool; linear(1000) }",
    );
    assert_eq!(counted, 7_978_856);
}

/// He et al. 2016: from 16 to 32 channels, 9 * 16 * 32 + 9 * 32 * 32 and two norms of 16 and 32, and a projection of
/// 16 * 32 without a norm.
#[test]
fn preactivation_has_its_norms_before_its_convolutions() {
    let counted = parameters("net n { input 16 x 8 x 8 preactivation(32, stride = 2) }");
    assert_eq!(counted, 9 * 16 * 32 + 9 * 32 * 32 + 2 * 16 + 2 * 32 + 16 * 32);
}

/// Blocks of EfficientNet: expansion, channels, depth, stride, kernel.
const EFFICIENT: &str = "[[1, 16, 1, 1, 3], [6, 24, 2, 2, 3], [6, 40, 2, 2, 5], [6, 80, 3, 2, 3],
    [6, 112, 3, 1, 5], [6, 192, 4, 2, 5], [6, 320, 1, 1, 3]]";
/// Blocks of MobileNetV2, likewise.
const MOBILE: &str = "[[1, 16, 1, 1, 3], [6, 24, 2, 2, 3], [6, 32, 3, 2, 3], [6, 64, 4, 2, 3], [6, 96, 3, 1, 3],
    [6, 160, 3, 2, 3], [6, 320, 1, 1, 3]]";

fn inverted(block: &str, stages: &str) -> u64 {
    parameters(&format!(
        "net n(stages = {stages}) {{ input 3 x 224 x 224
        conv(32, kernel = 3, stride = 2, pad = 1); batch_norm; relu
        repeat len(stages) as i {{
            let row = stages[i]
            repeat row[2] as j {{
                {block}(row[1], expand = row[0], stride = select(j == 0, row[3], 1), kernel = row[4])
            }}
        }}
        pointwise(1280); batch_norm; relu; global_avg_pool; linear(1000) }}"
    ))
}

#[test]
fn inverted_residuals_make_mobile_and_efficient_nets() {
    // mobilenet_v2, efficientnet_b0
    assert_eq!(inverted("inverted_residual", MOBILE), 3_504_872);
    assert_eq!(inverted("mbconv", EFFICIENT), 5_288_548);
}

/// The skip is there exactly where the block keeps the shape: a stride or other channels leave it out.
#[test]
fn inverted_residuals_add_their_input_where_shapes_are_equal() {
    use ksdsl::ir::Node;
    for (call, adds) in [
        ("inverted_residual(16)", true),
        ("inverted_residual(16, stride = 2)", false),
        ("mbconv(24)", false),
        ("mbconv(16, expand = 1)", true),
    ] {
        let source = Source::new("test.ksn", format!("{IMPORTS}net n {{ input 16 x 8 x 8 {call} }}"));
        let networks = compile(&source, &Options::default()).networks;
        let [Node::Scope(block)] = networks[0].nodes.as_slice() else {
            panic!("a block")
        };
        let is_add = |node: &&Node| matches!(node, Node::Join(join) if join.op.word() == "add");
        assert_eq!(block.nodes.iter().filter(is_add).count() == 1, adds, "{call}");
    }
}

/// MobileNet (Howard et al. 2017, Table 1) has 4.2 million parameters: torchvision has none, so layer by layer.
#[test]
fn separable_convolutions_make_mobile_net() {
    let widths = [32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024];
    let blocks: u64 = widths
        .windows(2)
        .map(|pair| 9 * pair[0] + 2 * pair[0] + pair[0] * pair[1] + 2 * pair[1])
        .sum();
    let expected = 27 * 32 + 2 * 32 + blocks + 1024 * 1000 + 1000;
    assert_eq!(expected, 4_231_976);
    let counted = parameters(&format!(
        "net n(widths = {widths:?}) {{ input 3 x 224 x 224
        conv(32, kernel = 3, stride = 2, pad = 1); batch_norm; relu
        repeat len(widths) - 1 as i {{ separable(widths[i + 1]) }}
        global_avg_pool; linear(1000) }}"
    ));
    assert_eq!(counted, expected);
}

#[test]
fn mixers_and_next_blocks_have_the_parameters_of_their_papers() {
    // 32 layers of 768 channels, patches of 7, kernels of 7.
    let mixer = parameters(
        "net n { input 3 x 224 x 224 patch_embedding(768, patch = 7); gelu; batch_norm
        repeat 32 { conv_mixer(kernel = 7) } global_avg_pool; linear(1000) }",
    );
    let layer = 49 * 768 + 768 + 2 * 768 + 768 * 768 + 768 + 2 * 768;
    assert_eq!(mixer, 3 * 49 * 768 + 768 + 2 * 768 + 32 * layer + 768 * 1000 + 1000);
    // convnext_tiny, without its 6624 learned scales.
    let next = parameters(
        "net n(depths = [3, 3, 9, 3], widths = [96, 192, 384, 768]) { input 3 x 224 x 224
        repeat 4 as i {
            when i == 0 { patch_embedding(96, patch = 4); layer_norm(eps = 1e-6) }
            else { layer_norm(eps = 1e-6); patch_embedding(widths[i], patch = 2) }
            repeat depths[i] { conv_next }
        }
        layer_norm(eps = 1e-6); global_avg_pool; linear(1000) }",
    );
    assert_eq!(next, 28_589_128 - (3 * 96 + 3 * 192 + 9 * 384 + 3 * 768));
}

/// vit_b_16 has a class token of 768 features and a position for it besides.
#[test]
fn encoder_blocks_make_vision_transformers() {
    let counted = parameters(
        "net n { input 3 x 224 x 224 patch_embedding(768, patch = 16); position_embedding
        repeat 12 { encoder_block(heads = 12) } layer_norm; global_avg_pool; linear(1000) }",
    );
    assert_eq!(counted, 86_567_656 - 2 * 768);
    let gated = parameters("net n { input 32 x 4 x 4 encoder_block(heads = 4, ffn = gated_mlp(48), norm = rms_norm) }");
    assert_eq!(gated, 2 * 32 + 4 * (32 * 32 + 32) + 3 * 32 * 48);
}

/// Wang et al. 2020: a kernel. Woo et al. 2018: two linear layers without bias, a kernel for mean and maximum, a norm.
#[test]
fn gates_have_the_parameters_of_their_papers() {
    assert_eq!(parameters("net n { input 32 x 8 x 8 eca(kernel = 5) }"), 5);
    assert_eq!(
        parameters("net n { input 32 x 8 x 8 cbam_channels(reduction = 4, bias = true) }"),
        2 * 32 * 8 + 8 + 32
    );
    assert_eq!(
        parameters("net n { input 32 x 8 x 8 cbam_positions(kernel = 3, norm = identity) }"),
        2 * 9
    );
    assert_eq!(
        parameters("net n { input 32 x 8 x 8 cbam(reduction = 8) }"),
        2 * 32 * 4 + 2 * 49 + 2
    );
}

/// TinyLlama (huggingface.co/TinyLlama/TinyLlama-1.1B-Chat-v1.0) has 1100048384: transformers' `LlamaForCausalLM` with 2048
/// features, 22 layers, 32 heads, 4 of keys, 5632 hidden and 32000 words.
#[test]
fn llama_layers_make_tiny_llama() {
    let counted = parameters(
        "net n { input 8 of 32000 embedding(2048)
        repeat 22 { llama_layer(heads = 32, hidden = 5632, key_heads = 4) }
        rms_norm; linear(32000, bias = false) }",
    );
    assert_eq!(counted, 1_100_048_384);
    let attention = parameters("net n { input 8 x 64 rotary_attention(4, key_heads = 2, causal = false, base = 500) }");
    assert_eq!(attention, 2 * 64 * 64 + 2 * 64 * 32);
    assert_eq!(parameters("net n { input 8 x 64 swiglu(96) }"), 3 * 64 * 96);
}

/// `nn.TransformerEncoderLayer(512, 8, 2048)` and `nn.TransformerDecoderLayer(512, 8, 2048)`.
#[test]
fn encoder_and_decoder_layers_have_the_parameters_of_pytorchs() {
    let encoder = parameters("net n { input 8 x 512 encoder_layer(heads = 8, hidden = 2048) }");
    assert_eq!(encoder, 3_152_384);
    let decoder = parameters(
        "net n { input source: 8 x 512 input target: 6 x 512
        from target; decoder_layer(memory = source, heads = 8, hidden = 2048) }",
    );
    assert_eq!(decoder, 4_204_032);
    let parts = parameters(
        "net n { input source: 8 x 512 input target: 6 x 512
        from target; cross_attention(memory = source, heads = 8); feed_forward(2048, act = gelu, norm = rms_norm) }",
    );
    assert_eq!(parts, 4 * (512 * 512 + 512) + 2 * 512 * 2048 + 2048 + 512 + 512);
}

/// The files compile alone, and what they define is used by these tests and listed in the book.
#[test]
fn every_block_is_tested_and_documented() {
    let tests = include_str!("library.rs");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/book/src/imports.md"));
    let page = page.expect("the page");
    let mut blocks = 0;
    for (name, text) in library() {
        let compilation = compile(&Source::new(*name, *text), &Options::default());
        assert_eq!(compilation.diagnostics, [], "{name}");
        assert!(page.contains(&format!("### `{name}`")), "{name}");
        for line in text.lines().filter_map(|line| line.strip_prefix("block ")) {
            let block = line.split('(').next().expect("a name");
            assert!(
                tests.contains(&format!("{block}(")) || tests.contains(&format!(" {block} ")) || block == "mlp",
                "{block}"
            );
            assert!(page.contains(&format!("| `{block}` |")), "{block}");
            blocks += 1;
        }
    }
    assert!(blocks >= 12, "{blocks}");
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/std")).expect("the library");
    assert_eq!(folder.count(), library().len(), "files that are not embedded");
}
