//! Networks of the literature, written in the language: parameters as their reference implementations count them, and the
//! language models against PyTorch and against twins that share nothing. `tests/parity/known.py` compares outputs.

mod case;
mod pytorch;
mod step;
mod twins;

use ksdsl::analyse::analyse;
use ksdsl::spec::Spec;
use std::path::Path;

/// File, network, and trainable parameters: `sum(p.numel() for p in m.parameters())` of the reference.
const KNOWN: &[(&str, &str, u64)] = &[
    // github.com/milesial/Pytorch-UNet: UNet(n_channels=3, n_classes=2).
    ("unet", "small", 31_037_698),
    // github.com/pytorch/examples, dcgan/main.py: Generator with nz = 100, ngf = 64, nc = 3.
    ("dcgan", "generator", 3_576_704),
    // He et al. 2016, table 6, "0.27M"; github.com/akamaster/pytorch_resnet_cifar10: resnet20().
    ("resnet_a", "resnet_20", 269_722),
    // timm: mobilenetv1_100.
    ("mobilenet_v1", "full", 4_231_976),
    // torchvision.models: mobilenet_v2(), squeezenet1_0(), googlenet(aux_logits=False), convnext_tiny(), vit_b_16().
    ("mobilenet_v2", "full", 3_504_872),
    ("squeezenet", "one_zero", 1_248_424),
    ("googlenet", "plain", 6_624_904),
    ("convnext", "tiny", 28_589_128),
    ("vit_class_token", "base", 86_567_656),
    // timm: deit_tiny_patch16_224.
    ("vit_class_token", "deit_tiny", 5_717_416),
    // transformers: GPT2LMHeadModel(GPT2Config()), AlbertModel(AlbertConfig()) and AlbertForPreTraining(AlbertConfig())
    // with 768 features, 12 heads and layers.
    ("gpt2", "small", 124_439_808),
    ("albert_base", "base", 11_683_584),
    ("albert_base", "pretraining", 11_813_810),
    // torch.nn: LSTM(128, 256), GRU(128, 256).
    ("recurrent", "lstm_256", 395_264),
    ("recurrent", "gru_256", 296_448),
    // Kernels once, biases of both directions: 1416500 + (1000 + 500 + 250 + 30) + (250 + 500 + 1000 + 784), and
    // 16 * (1 * 16 + 16 * 32) + (16 + 32) + (16 + 1). Restated in tests/parity/references.py.
    ("autoencoders", "deep", 1_420_814),
    ("autoencoders", "convolutional", 8_513),
    // timm: res2net50_26w_4s.
    ("res2net", "res2net_50", 25_699_120),
    // Liu et al. 2024, table 9, "124.6M" for both: transformers' LlamaForCausalLM of those sizes.
    ("mobilellm", "mobilellm_125m", 124_635_456),
    ("mobilellm", "mobilellm_ls_125m", 124_635_456),
    // torchvision.models.detection: retinanet_resnet50_fpn(weights=None, weights_backbone=None).
    ("retinanet", "resnet_50_fpn", 34_068_119),
    // timm: poolformer_s12, dm_nfnet_f0.
    ("poolformer", "s12", 11_915_176),
    ("nfnet", "f0", 71_489_284),
    // Convolutions of 32 * 28 and 32 * 289, an ECA gate of 5, a CBAM of 2 * 32 * 2 and 2 * 49 + 2: timm's layers.
    ("gates", "eca_and_cbam", 10_377),
    // A tower of 16 * 10 + 32 * (16 * 9 + 1) + 64 * 801 and 65 for the distance.
    ("siamese", "pair", 56_129),
    // Kernels of 9 * (3 * 16 + 16 * 32 + 32 * 48), norms of 2 * 96, heads of 49 * 10 and 49 * 32 + 33 * 4.
    ("multi_task", "class_and_box", 21_246),
    // A table of 32768 * 1024, six steps of 1024, a block of 4 * (1024^2 + 1024), 2 * 1024 * 4096 + 5120 and two norms;
    // and for halting a linear layer to one feature.
    ("universal_transformer", "base", 32768 * 1024 + 6 * 1024 + 12_596_224),
    (
        "universal_transformer",
        "base_halting",
        32768 * 1024 + 6 * 1024 + 12_596_224 + 1025,
    ),
    // TinyLlama has 1100048384: two tables, 22 layers and a norm. Half of its layers, and 22 updates of rank 256.
    (
        "relaxed_recursive",
        "tiny_llama",
        1_100_048_384 - 11 * TINY_LLAMA_LAYER + 22 * TINY_LLAMA_UPDATE,
    ),
    // huggingface.co/tomg-group-umd/huginn-0125: 3.91B with the head as a copy of the table of 65536 * 5280.
    (
        "huginn",
        "huginn_0125",
        8 * HUGINN_LAYER + 65536 * 5280 + 2 * 5280 * 5280 + 5280,
    ),
    // huggingface.co/ByteDance/Ouro-1.4B: 24 layers with four norms, two tables, a norm and a gate.
    // transformers: OlmoForCausalLM(OlmoConfig(...)) of huggingface.co/allenai/OLMo-1B-hf's configuration.
    ("olmo", "olmo_1b", 1_176_764_416),
    ("ouro", "ouro_1_4b", 24 * OURO_LAYER + 2 * 49152 * 2048 + 2048 + 2049),
    // fairseq counts 60.9 million for transformer_wmt_en_de with one table of 32768 words: of six layers each.
    ("takase_kiyono", "sequence", TRANSFORMER_BASE),
    ("takase_kiyono", "cycle_reverse", TRANSFORMER_BASE),
    // `Subformer` of tests/parity/encoders.py with these sizes, which restates the authors' code.
    ("subformer", "base", 34_093_760),
    // Jolicoeur-Martineau 2025, "7M" with attention: two layers of 4 * 512^2 + 3 * 512 * 1536, whose norms have no scales;
    // table, head, exit.
    (
        "trm",
        "sudoku",
        2 * (4 * 512 * 512 + 3 * 512 * 1536) + 2 * 11 * 512 + 513,
    ),
];

/// 2048 features, 256 of keys and values, 5632 hidden.
const TINY_LLAMA_LAYER: u64 = 2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 5632 + 2 * 2048;
const TINY_LLAMA_UPDATE: u64 = 256 * (2 * (2048 + 2048) + 2 * (2048 + 256) + 3 * (2048 + 5632));
/// Queries, keys, values and output, a gated unit, four norms, and biases of queries and keys.
const HUGINN_LAYER: u64 = 4 * 5280 * 5280 + 3 * 5280 * 17920 + 4 * 5280 + 2 * 5280;
const OURO_LAYER: u64 = 4 * 2048 * 2048 + 3 * 2048 * 5632 + 4 * 2048;
/// Of Vaswani et al. 2017, base: six encoder layers, six decoder layers, and the table.
const TRANSFORMER_BASE: u64 = 6 * (ATTENTION_512 + FEED_FORWARD_512 + 2 * 1024)
    + 6 * (2 * ATTENTION_512 + FEED_FORWARD_512 + 3 * 1024)
    + 32768 * 512;
const ATTENTION_512: u64 = 4 * (512 * 512 + 512);
const FEED_FORWARD_512: u64 = 2 * 512 * 2048 + 2048 + 512;

#[test]
fn networks_of_the_literature_have_the_parameters_of_their_references() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nets/known");
    for (file, net, parameters) in KNOWN {
        let spec = Spec::read(folder.join(format!("{file}.ksn"))).expect("a file");
        let compiled = spec.network(net).compile_one();
        let (network, _) = compiled.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(analyse(&network).trainable, *parameters, "{net} of {file}");
    }
    let files = std::fs::read_dir(folder).expect("the networks").count();
    let mut named: Vec<&str> = KNOWN.iter().map(|(file, ..)| *file).collect();
    named.dedup();
    assert_eq!(files, named.len());
}
