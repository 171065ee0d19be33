//! Snapshots of what the compiler makes of the example networks and of those of these tests, and
//! what must hold for all of it. After a change that is meant, look at the difference and accept it
//! with `INSTA_UPDATE=always` or `cargo insta review`.

use insta::assert_snapshot;
use ksdsl::codegen;
use ksdsl::export::pytorch;
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use ksdsl::summary::Summary;
use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn example(name: &str) -> Spec {
    Spec::read(root().join("examples/nets").join(name).with_extension("ksn")).unwrap()
}

fn test_net(name: &str) -> Spec {
    Spec::read(root().join("tests/nets").join(name).with_extension("ksn")).unwrap()
}

fn code(spec: &Spec) -> String {
    let (network, warnings) = spec.compile_one().unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    generate(&network)
}

fn generate(network: &Network) -> String {
    codegen::format(codegen::network(network))
}

fn python(spec: &Spec) -> String {
    let (network, _) = spec.compile_one().unwrap();
    pytorch::module(&network, &["Written by a test.".to_owned()])
}

fn summaries(spec: &Spec) -> String {
    let compilation = spec.compile_all().unwrap();
    let texts = compilation.networks.iter().map(|net| Summary::new(net, 1).to_string());
    texts.collect::<Vec<_>>().join("\n")
}

/// Snapshots without the code that made them, named as they are called here.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings
}

/// The example networks, all but the instances.
const EXAMPLES: &[&str] = &[
    "albert",
    "bottleneck",
    "branches",
    "convmixer",
    "digits",
    "gpt2",
    "huginn",
    "mlp",
    "mobilellm",
    "mobilenet",
    "nanogpt",
    "ouro",
    "preact_resnet",
    "private_parts",
    "relaxed_recursive",
    "se_resnet",
    "sharesnet",
    "solver",
    "spin",
    "subformer",
    "takase_kiyono",
    "trm",
    "universal_transformer",
    "vit",
];

#[test]
fn every_example_has_a_snapshot() {
    let files = std::fs::read_dir(root().join("examples/nets")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, EXAMPLES);
}

#[test]
fn code_of_the_examples() {
    settings().bind(|| {
        for name in EXAMPLES {
            assert_snapshot!(format!("code_{name}"), code(&example(name).network(name)));
        }
    });
}

/// Those of the test networks whose code has something that no example has.
#[test]
fn code_of_the_test_networks() {
    settings().bind(|| {
        for name in [
            "crossed",
            "gates",
            "geometry",
            "inception",
            "nested",
            "norms",
            "perceptron",
            "ranked",
            "split",
            "sums",
            "transformer",
            "windows",
        ] {
            let spec = test_net("gradients").network(&format!("{name}_shared"));
            assert_snapshot!(format!("code_{name}"), code(&spec));
        }
    });
}

/// PyTorch modules: between them every operation, every way to share, and names that are taken.
#[test]
fn pytorch_modules() {
    settings().bind(|| {
        for name in ["branches", "convmixer", "mlp", "preact_resnet"] {
            assert_snapshot!(format!("pytorch_{name}"), python(&example(name).network(name)));
        }
        for name in [
            "gates",
            "geometry",
            "inception",
            "nested",
            "norms",
            "ranked",
            "sums",
            "windows",
        ] {
            let spec = test_net("gradients").network(&format!("{name}_shared"));
            assert_snapshot!(format!("pytorch_{name}"), python(&spec));
        }
        assert_snapshot!("pytorch_names", python(&test_net("names")));
    });
}

#[test]
fn summaries_of_the_examples() {
    settings().bind(|| {
        for name in EXAMPLES {
            assert_snapshot!(format!("summary_{name}"), summaries(&example(name)));
        }
    });
}

#[test]
fn summaries_of_the_test_networks() {
    settings().bind(|| {
        for name in ["gradients", "tied"] {
            assert_snapshot!(format!("summary_{name}"), summaries(&test_net(name)));
        }
    });
}

#[test]
fn summary_as_json() {
    let summary = example("digits")
        .network("digits")
        .set("depth", 2)
        .batch(64)
        .summary()
        .unwrap();
    let json = serde_json::to_string_pretty(&summary).unwrap();
    settings().bind(|| assert_snapshot!("json_digits", json));
}

#[test]
fn code_is_the_same_on_every_run() {
    let specs = EXAMPLES.iter().map(|name| example(name)).chain([test_net("gradients")]);
    for spec in specs {
        let runs = [(); 2].map(|()| spec.compile_all().unwrap().networks);
        assert!(!runs[0].is_empty());
        for (first, second) in runs[0].iter().zip(&runs[1]) {
            assert_eq!(generate(first), generate(second), "{}", first.name);
            assert_eq!(
                pytorch::module(first, &[]),
                pytorch::module(second, &[]),
                "{}",
                first.name
            );
        }
    }
}

/// Repeated blocks become loops: the generated text hardly grows with the depth, whatever shares.
#[test]
fn code_does_not_grow_with_depth() {
    type Settings = fn(Spec) -> Spec;
    let cases: [(&str, [i32; 2], Settings); 11] = [
        ("convmixer", [8, 512], |spec| spec),
        ("convmixer", [8, 512], |spec| spec.set("shared", false)),
        ("se_resnet", [3, 50], |spec| spec),
        ("se_resnet", [3, 50], |spec| {
            ["share_s1", "share_s2", "share_s3"]
                .into_iter()
                .fold(spec, |spec, name| spec.set(name, false))
        }),
        ("bottleneck", [3, 50], |spec| spec.set("share_stages", true)),
        ("mlp", [8, 512], |spec| spec.set("kernels", 4)),
        ("vit", [8, 256], |spec| spec),
        ("preact_resnet", [4, 50], |spec| spec.set("kernels", 2)),
        ("subformer", [8, 512], |spec| spec),
        ("private_parts", [8, 512], |spec| spec),
        ("albert", [8, 512], |spec| spec),
    ];
    for (name, depths, settings) in cases {
        for generate in [code as fn(&Spec) -> String, python] {
            let [few, many] =
                depths.map(|depth| generate(&settings(example(name).network(name).set("depth", depth))).len());
            assert!(
                many * 10 <= few * 12,
                "{name}: {few} and {many} bytes at depths {depths:?}"
            );
        }
    }
}
