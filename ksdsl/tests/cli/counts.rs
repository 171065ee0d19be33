//! The counts of `ksn summary --json` against given figures and against closed formulas.

use super::{Folder, run};
use std::path::Path;

/// The counts of a network of `examples/nets`.
fn counts(network: &str, settings: &[(&str, u64)], switches: &[(&str, bool)]) -> Counts {
    let numbers = settings.iter().map(|(name, value)| format!("--set={name}={value}"));
    let truths = switches.iter().map(|(name, value)| format!("--set={name}={value}"));
    let settings: Vec<String> = numbers.chain(truths).collect();
    let file = format!("examples/nets/{network}.ksn");
    let mut args = vec!["summary", &file, "--json"];
    args.extend(settings.iter().map(String::as_str));
    let json = run(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &args).json();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    Counts {
        trainable: number(&json["parameters"]["trainable"]),
        unshared: number(&json["parameters"]["unshared"]),
        macs: number(&json["macs"]),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Counts {
    trainable: u64,
    unshared: u64,
    macs: u64,
}

/// The figures of `tests/data/reference-counts.csv` were given to this project to be met.
#[test]
fn every_reference_count_is_met() {
    let table = include_str!("../data/reference-counts.csv");
    let mut rows = 0;
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [net, depth, classes, shared, parameters, macs] = cells[..] else {
            panic!("{line}");
        };
        let settings = [("depth", depth), ("classes", classes)].map(|(name, value)| (name, value.parse().unwrap()));
        let switches: Vec<(&str, bool)> = match net {
            "se_resnet" => ["s1", "s2", "s3"]
                .into_iter()
                .zip(["share_s1", "share_s2", "share_s3"])
                .map(|(stage, name)| (name, shared.split('+').any(|word| word == stage)))
                .collect(),
            _ => vec![("shared", shared == "mixer")],
        };
        let counts = counts(net, &settings, &switches);
        assert_eq!(counts.trainable, parameters.parse::<u64>().unwrap(), "{line}");
        if !macs.is_empty() {
            assert_eq!(counts.macs, macs.parse::<u64>().unwrap(), "{line}");
        }
        rows += 1;
    }
    assert_eq!(rows, 15);
}

/// SE-ResNet from its definition: a stem of 16 channels, then stages of width 64, 128 and 256 on
/// maps of 32x32, 16x16 and 8x8 pixels. All convolutions are 3x3 and without bias but for the 1x1
/// projection of a stage's first block; batch norms have a scale and a shift per channel; squeeze
/// and excitation are two linear layers without bias of `width` times `width / 16`.
fn se_resnet(depth: u64, classes: u64, shared: [bool; 3]) -> Counts {
    let mut unshared = 3 * 16 * 9 + 2 * 16;
    let mut macs = 3 * 16 * 9 * 32 * 32;
    let mut saved = 0;
    let stages = [(16, 64, 32), (64, 128, 16), (128, 256, 8)];
    for ((inputs, width, side), shared) in stages.into_iter().zip(shared) {
        let isomorphic = 2 * depth - 1;
        let convolutions = 9 * inputs * width + isomorphic * 9 * width * width + inputs * width;
        let excitations = depth * 2 * width * (width / 16);
        // Two norms in a block and one after the projection.
        let norms = (2 * depth + 1) * 2 * width;
        unshared += convolutions + excitations + norms;
        macs += convolutions * side * side + excitations;
        if shared {
            saved += (isomorphic - 1) * 9 * width * width;
        }
    }
    unshared += 256 * classes + classes;
    macs += 256 * classes;
    Counts {
        trainable: unshared - saved,
        unshared,
        macs,
    }
}

#[test]
fn se_resnets_of_all_depths_and_sharings_follow_the_formula() {
    for depth in 1..=5 {
        for classes in [2, 10, 100] {
            for bits in 0..8 {
                let shared = [0, 1, 2].map(|stage| bits >> stage & 1 == 1);
                let switches = [
                    ("share_s1", shared[0]),
                    ("share_s2", shared[1]),
                    ("share_s3", shared[2]),
                ];
                let counts = counts("se_resnet", &[("depth", depth), ("classes", classes)], &switches);
                assert_eq!(
                    counts,
                    se_resnet(depth, classes, shared),
                    "depth {depth}, {classes} classes, {shared:?}"
                );
            }
        }
    }
}

/// ConvMixer from its definition: a patch embedding of `dim` channels, then blocks of a depthwise
/// and a pointwise convolution, all with bias and each followed by a batch norm, on maps of
/// `32 / patch` pixels a side.
fn convmixer(dim: u64, depth: u64, kernel: u64, patch: u64, classes: u64, shared: bool) -> Counts {
    let pixels = (32 / patch) * (32 / patch);
    let [embedding, depthwise, pointwise] = [3 * dim * patch * patch, dim * kernel * kernel, dim * dim];
    let norm = 2 * dim;
    let block = depthwise + dim + pointwise + dim;
    let unshared = embedding + dim + norm + depth * (block + 2 * norm) + dim * classes + classes;
    Counts {
        trainable: unshared - if shared { (depth - 1) * block } else { 0 },
        unshared,
        macs: (embedding + depth * (depthwise + pointwise)) * pixels + dim * classes,
    }
}

#[test]
fn convmixers_of_all_sizes_follow_the_formula() {
    for (dim, depth, kernel, patch, classes) in [
        (256, 1, 9, 1, 10),
        (64, 3, 5, 2, 10),
        (128, 7, 7, 4, 100),
        (8, 64, 3, 8, 3),
        (256, 16, 9, 1, 10),
    ] {
        for shared in [true, false] {
            let settings = [
                ("dim", dim),
                ("depth", depth),
                ("kernel", kernel),
                ("patch", patch),
                ("classes", classes),
            ];
            let counts = counts("convmixer", &settings, &[("shared", shared)]);
            let expected = convmixer(dim, depth, kernel, patch, classes, shared);
            assert_eq!(counts, expected, "{settings:?}, shared {shared}");
        }
    }
}

/// A row of the table comes from memory, the head from the cache: 1000 channels of 256 values.
#[test]
fn a_token_reads_fewer_bytes_of_narrower_kernels() {
    let words = "net words { input 8 of 1000; embedding(256); linear(1000, bias = false) }";
    let folder = Folder::with(&[("words.ksn", words)]);
    let kernel = 1000 * 256;
    for (args, name, cache) in [
        (&[][..], "f32", 4 * kernel),
        (&["--weight-type", "bf16"], "bf16", 2 * kernel),
        (&["--weight-type", "int8"], "int8", kernel + 4 * 1000),
    ] {
        let decoding = &folder.ksn(&[&["summary", "words.ksn", "--json"], args].concat()).json()["decoding"];
        assert_eq!(decoding["weight_type"], name);
        assert_eq!(decoding["bytes_from_memory"], 4 * 256);
        assert_eq!(decoding["bytes_from_cache"], cache);
        let text = folder.ksn(&[&["summary", "words.ksn"], args].concat()).stdout;
        let expected = match name {
            "f32" => "weights 1.0 KiB from memory".to_owned(),
            name => format!("weights ({name}) 1.0 KiB from memory"),
        };
        assert!(text.contains(&expected), "{text}");
    }
    let run = folder.ksn(&["summary", "words.ksn", "--weight-type", "int4"]);
    assert_eq!(run.status, Some(2));
    assert!(run.stderr.contains("expected f32, bf16 or int8"), "{}", run.stderr);
}
