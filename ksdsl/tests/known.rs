//! Networks of the literature, written in the language: parameters as their reference implementations count them.
//! `tests/parity/known.py` compares outputs.

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
    // torchvision.models: mobilenet_v2(), squeezenet1_0(), googlenet(aux_logits=False), convnext_tiny(), vit_b_16().
    ("mobilenet_v2", "full", 3_504_872),
    ("squeezenet", "one_zero", 1_248_424),
    ("googlenet", "plain", 6_624_904),
    ("convnext", "tiny", 28_589_128),
    ("vit_class_token", "base", 86_567_656),
    // timm: deit_tiny_patch16_224.
    ("vit_class_token", "deit_tiny", 5_717_416),
    // transformers: GPT2LMHeadModel(GPT2Config()), AlbertModel(AlbertConfig()) with 768 features, 12 heads and layers.
    ("gpt2", "small", 124_439_808),
    ("albert_base", "base", 11_683_584),
    // torch.nn: LSTM(128, 256), GRU(128, 256).
    ("recurrent", "lstm_256", 395_264),
    ("recurrent", "gru_256", 296_448),
    // Kernels once, biases of both directions: 1416500 + (1000 + 500 + 250 + 30) + (250 + 500 + 1000 + 784), and
    // 16 * (1 * 16 + 16 * 32) + (16 + 32) + (16 + 1). Restated in tests/parity/references.py.
    ("autoencoders", "deep", 1_420_814),
    ("autoencoders", "convolutional", 8_513),
];

#[test]
fn networks_of_the_literature_have_the_parameters_of_their_references() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/nets/known");
    for (file, net, parameters) in KNOWN {
        let text = std::fs::read_to_string(folder.join(format!("{file}.ksn"))).expect("a file");
        let summary = Spec::parse(file, &text).network(net).summary();
        let summary = summary.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(summary.parameters.trainable, *parameters, "{net} of {file}");
    }
    let files = std::fs::read_dir(folder).expect("the networks").count();
    let mut named: Vec<&str> = KNOWN.iter().map(|(file, ..)| *file).collect();
    named.dedup();
    assert_eq!(files, named.len());
}
