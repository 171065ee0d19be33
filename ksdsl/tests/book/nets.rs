//! The example networks compile, and have the parameters they should have by hand.

use super::{compiled, read, repository};
use ksdsl::compile::{Options, compile};
use ksdsl::render::render;
use ksdsl::source::Source;
use ksdsl::summary::Summary;
use ksdsl::value::Value;

/// Compiles an example network with these parameters.
fn example(file: &str, net: &str, set: &[(&str, Value)]) -> Summary {
    let path = format!("examples/nets/{file}.ksn");
    let source = Source::new(path.as_str(), read(&path));
    let options = Options {
        net: Some(net.to_owned()),
        set: set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    };
    let compilation = compile(&source, &options);
    assert!(
        !compilation.has_errors(),
        "{}",
        render(&source, &compilation.diagnostics, false)
    );
    Summary::new(&compilation.networks[0], 1)
}

#[test]
fn every_example_network_compiles_without_warnings() {
    let folder = repository().join("examples/nets");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of example networks") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "ksn") {
            continue;
        }
        let text = read(&path);
        let mut lines = text.lines().skip_while(|line| line.starts_with("use "));
        assert!(
            lines.next().is_some_and(|line| line.starts_with("/// ")),
            "{} says nothing of itself",
            path.display()
        );
        let source = Source::new(path.display().to_string(), text);
        let compilation = compiled(&source);
        assert!(
            compilation.diagnostics.is_empty(),
            "{}",
            render(&source, &compilation.diagnostics, false)
        );
        assert!(
            compilation.networks.iter().all(|network| !network.docs.is_empty()),
            "{}",
            path.display()
        );
        seen += 1;
    }
    assert!(seen >= 14, "only {seen} networks were found");
}

/// The README's picture of `digits`: in stage `s2` a kernel from 16 to 32 channels, and five or one from 32 to 32.
#[test]
fn the_picture_of_the_readme_has_the_counts_of_its_network() {
    let picture = read("docs/sharing.svg");
    let (first, other) = (32 * 16 * 9, 32 * 32 * 9);
    let whole = |net| example("digits", net, &[]).parameters.trainable;
    for count in [
        first + 5 * other,
        first + other,
        whole("digits_unshared"),
        whole("digits_shared"),
    ] {
        let text = format!("{},{:03} parameters<", count / 1000, count % 1000);
        assert!(picture.contains(&text), "the picture lacks `{text}`");
    }
}

/// Parameters of `bottleneck` by hand, for blocks of inner width w and 4w channels between them.
fn bottleneck_by_hand(depth: u64, w: u64, classes: u64, kernels: u64) -> u64 {
    let stem = 3 * 3 * 3 * (4 * w) + 2 * (4 * w);
    // 1x1 from 4w to w, 3x3 from w to w, 1x1 from w to 4w.
    let convolutions = 4 * w * w + 9 * w * w + w * 4 * w;
    let norms = 2 * (w + w + 4 * w);
    // The first blocks of the second and the third stage halve the maps.
    let projections = 2 * ((4 * w) * (4 * w) + 2 * (4 * w));
    let head = 4 * w * classes + classes;
    stem + kernels * convolutions + 3 * depth * norms + projections + head
}

#[test]
fn bottleneck_has_the_parameters_of_its_formula() {
    for (depth, width, classes) in [(2, 32, 10), (3, 32, 10), (5, 8, 100)] {
        for (share_blocks, share_stages, kernels) in [
            (true, false, 3),
            (false, false, 3 * depth),
            (true, true, 1),
            (false, true, 1),
        ] {
            let int = |value: u64| Value::Int(value as i64);
            let set = [
                ("depth", int(depth)),
                ("width", int(width)),
                ("classes", int(classes)),
                ("share_blocks", Value::Bool(share_blocks)),
                ("share_stages", Value::Bool(share_stages)),
            ];
            let summary = example("bottleneck", "bottleneck", &set);
            assert_eq!(
                summary.parameters.trainable,
                bottleneck_by_hand(depth, width, classes, kernels)
            );
            assert_eq!(
                summary.parameters.unshared,
                bottleneck_by_hand(depth, width, classes, 3 * depth)
            );
        }
    }
}

/// Parameters of `digits` by hand: stages of c = w, 2w, 4w channels have blocks of two 3x3 convolutions with a
/// norm of 2c each and a gate of two c x c/4 layers; the first blocks of the second and the third stage begin
/// with c/2 channels and have a projection with a norm. Sharing leaves `kernels` of the 3x3 kernels from c to c.
fn digits_by_hand(depth: u64, w: u64, classes: u64, kernels: [u64; 3]) -> u64 {
    let stages = [1, 2, 4].into_iter().zip(kernels).map(|(factor, kernels)| {
        let c = factor * w;
        let narrower = if factor == 1 {
            0
        } else {
            9 * (c / 2) * c + (c / 2) * c + 2 * c
        };
        narrower + kernels * 9 * c * c + depth * (2 * 2 * c + 2 * c * (c / 4))
    });
    (9 * w + 2 * w) + stages.sum::<u64>() + 4 * w * classes + classes
}

/// The kernels from c to c: of the first stage's all, of the others' all but the first.
#[test]
fn digits_has_the_parameters_of_its_formula() {
    for (depth, width, classes) in [(3, 16, 10), (1, 8, 4), (4, 32, 100)] {
        let unshared = digits_by_hand(depth, width, classes, [2 * depth, 2 * depth - 1, 2 * depth - 1]);
        let shared = digits_by_hand(depth, width, classes, [1, 1, 1]);
        let int = |value: u64| Value::Int(value as i64);
        let set = [("depth", int(depth)), ("width", int(width)), ("classes", int(classes))];
        for (net, trainable) in [("digits_shared", shared), ("digits_unshared", unshared)] {
            let parameters = example("digits", net, &set).parameters;
            assert_eq!(
                [parameters.trainable, parameters.unshared],
                [trainable, unshared],
                "{net} of {depth}"
            );
        }
    }
    // At most a third, as the README says of the defaults.
    assert!(3 * digits_by_hand(3, 16, 10, [1; 3]) <= digits_by_hand(3, 16, 10, [6, 5, 5]));
}

/// ViT by hand: d = 64 features, 16 tokens, patches of 4 pixels; a block has attention of
/// 4 (d² + d), a feed-forward part of 2 · 4d² + 4d + d and two norms of 2d; the head has a norm and
/// 10 classes. Multiply-adds: 16 tokens through 12 d² of each block, 2 · 16² d for the products of
/// attention, patches and head.
#[test]
fn vit_shares_all_but_the_ends() {
    let d = 64;
    let block = 4 * (d * d + d) + 8 * d * d + 5 * d + 2 * 2 * d;
    let rest = (4 * d + d) + 16 * d + 2 * d + (10 * d + 10);
    let macs = 6 * (16 * 12 * d * d + 2 * 16 * 16 * d) + 16 * 4 * d + 10 * d;
    for (net, blocks) in [("vit_shared", 1), ("vit_unshared", 6)] {
        let summary = example("vit", net, &[]);
        assert_eq!(summary.parameters.trainable, blocks * block + rest, "{net}");
        assert_eq!(summary.parameters.unshared, 6 * block + rest, "{net}");
        assert_eq!(summary.macs, macs, "{net}");
    }
}

/// Shared and unshared parameters by hand, for the default values.
#[test]
fn the_other_examples_have_the_parameters_they_should() {
    // 64 -> 128, six blocks of layer norm, 128 -> 512 and 512 -> 128, layer norm, 128 -> 10.
    let feed_forward = (128 * 512 + 512) + (512 * 128 + 128);
    let rest = (64 * 128 + 128) + 7 * 256 + (128 * 10 + 10);
    let mlp = [1, 6].map(|kernels| rest + kernels * feed_forward);

    // Stages of c = 16, 32, 64 channels have 8, 7, 7 kernels of 9c², or 2 each; a norm has 2c.
    let kernels = |kernels: [u64; 3]| (0..3).map(|i| kernels[i] * 9 * (16 << i) * (16 << i)).sum::<u64>();
    let narrower = 9 * (16 * 32 + 32 * 64) + (16 * 32 + 32 * 64);
    let norms = 2 * (8 * 16 + (16 + 7 * 32) + (32 + 7 * 64) + 64);
    let rest = 27 * 16 + narrower + norms + 650;
    let preact = [[2, 2, 2], [8, 7, 7]].map(|stages| rest + kernels(stages));

    // Three cells; kernels and biases of a cell, where `point` and `pooled` are isomorphic, and so
    // are `near` and `far`.
    let (quarter, grouped) = (32 * 8, 8 * 8 * 9);
    let single = 32 * 32 + (32 * 32 + 32) + 2 * (32 * 4 * 3);
    let norms = 4 * 16 + 64 + 64;
    let rest = (3 * 32 * 25 + 64) + 3 * norms + 330;
    let branches = [
        rest + quarter + grouped + single,
        rest + 3 * (2 * quarter + 2 * grouped + single),
    ];

    // A block from i to o channels over 4i: norms of 4i, 4i and o, and a gate of 4i -> i -> 4i.
    let own = |i: u64, o: u64| 2 * (4 * i + 4 * i + o) + 2 * 4 * i * i;
    let kernels = |i: u64, o: u64| 4 * i * i + 9 * 4 * i + 4 * i * o;
    let mobilenet = [1, 3].map(|count| {
        let keep: u64 = [16, 32, 64].map(|c| 3 * own(c, c) + count * kernels(c, c)).iter().sum();
        let down: u64 = [16, 32].map(|c| own(c, 2 * c) + kernels(c, 2 * c)).iter().sum();
        27 * 16 + 32 + keep + down + 650
    });

    for (net, [shared, unshared]) in [
        ("mlp", mlp),
        ("preact_resnet", preact),
        ("branches", branches),
        ("mobilenet", mobilenet),
    ] {
        let parameters = example(net, net, &[]).parameters;
        assert_eq!((parameters.trainable, parameters.unshared), (shared, unshared), "{net}");
    }
}

/// Queries, keys, values and output of width w.
fn attention(w: u64) -> u64 {
    4 * (w * w + w)
}

/// w -> h -> w.
fn feed_forward(w: u64, h: u64) -> u64 {
    w * h + h + h * w + w
}

/// Vaswani et al. 2017: a layer of an encoder and one of a decoder, of width 64, with two and three norms.
fn translator_layers() -> [u64; 2] {
    let [attention, feed_forward] = [attention(64), feed_forward(64, 256)];
    [
        attention + feed_forward + 2 * 128,
        2 * attention + feed_forward + 3 * 128,
    ]
}

/// Embeddings of 256 words and positions, and 128 features; a block with two norms; the heads of words and of order.
fn albert(blocks: u64, tables: u64) -> u64 {
    let embeddings = tables * 256 * 32 + 2 * 32 + 64 * 32 + 64 + 32 * 128 + 128;
    let heads = (128 * 32 + 32) + 64 + 256 + (128 * 128 + 128) + (128 * 2 + 2);
    embeddings + blocks * (attention(128) + feed_forward(128, 512) + 2 * 256) + heads
}

/// Llama's layer of width 128 with keys of 64 and hidden 384, a last norm, and tables of 256 words.
fn mobilellm(blocks: u64, tables: u64) -> u64 {
    let layer = 2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 384 + 2 * 128;
    tables * 256 * 128 + blocks * layer + 128
}

/// Words of 32 features, two layers that lead from them to 64, and a linear layer back. Of the four layers between the first
/// and the last of either side only the norms are there four-fold.
fn subformer(between: u64, tables: u64) -> u64 {
    let safe = attention(32) + 64 + (32 * 32 + 32) + (32 * 64 + 64) + 128;
    let [encoder, decoder] = translator_layers();
    let layers = (2 + between) * (encoder + decoder) + (4 - between) * 5 * 128;
    tables * 256 * 32 + 2 * safe + layers + 64 * 32 + 32
}

/// The language models that share whole blocks.
#[test]
fn sharing_of_the_literature_leaves_the_blocks_it_should() {
    let takase_kiyono = |blocks: u64, tables: u64| tables * 256 * 64 + blocks * translator_layers().iter().sum::<u64>();
    for (file, net, expected) in [
        ("albert", "albert", [albert(1, 1), albert(6, 2)]),
        ("mobilellm", "mobilellm", [mobilellm(3, 1), mobilellm(6, 2)]),
        ("subformer", "subformer", [subformer(1, 1), subformer(4, 3)]),
        (
            "takase_kiyono",
            "takase_kiyono",
            [takase_kiyono(3, 1), takase_kiyono(6, 3)],
        ),
        ("takase_kiyono", "cycle", [takase_kiyono(3, 1), takase_kiyono(6, 3)]),
        ("takase_kiyono", "cycle_rev", [takase_kiyono(3, 1), takase_kiyono(6, 3)]),
        (
            "takase_kiyono",
            "layers_of_their_own",
            [takase_kiyono(6, 1), takase_kiyono(6, 3)],
        ),
    ] {
        let parameters = example(file, net, &[]).parameters;
        assert_eq!([parameters.trainable, parameters.unshared], expected, "{net}");
    }
}

/// Bottlenecks of inner widths w = 16, 32, 64: 1x1 to w, 3x3, 1x1 to 4w, three norms; the first of a
/// stage has a 1x1 projection with a norm. Of the three 3x3 kernels of each stage one is left, that all of its
/// blocks visit, as Boulch has it.
#[test]
fn sharesnet_keeps_one_spatial_kernel_for_a_stage() {
    let by_hand = |spatial: u64| {
        let stage = |inputs: u64, w: u64| {
            let outer = 4 * w;
            let first = inputs * w + inputs * outer + 2 * outer;
            first + 2 * outer * w + 3 * (w * outer + 2 * (w + w + outer)) + spatial * 9 * w * w
        };
        (27 * 16 + 32) + stage(16, 16) + stage(64, 32) + stage(128, 64) + (256 * 10 + 10)
    };
    let summary = example("sharesnet", "sharesnet", &[]);
    let parameters = summary.parameters;
    assert_eq!([parameters.trainable, parameters.unshared], [by_hand(1), by_hand(3)]);
    let visits: Vec<(&[u64], usize)> = summary
        .groups
        .iter()
        .map(|group| (&group.shape[..], group.visits.len()))
        .collect();
    let kernels = [16, 32, 64].map(|w| [w, w, 3, 3]);
    assert_eq!(visits, kernels.each_ref().map(|shape| (&shape[..], 3)));
}

/// ConvMixer-768/32 of SPIN: per block a 3x3 depthwise kernel and two norms of its own, and so many
/// pointwise kernels with biases in all.
#[test]
fn spin_has_the_parameters_it_should() {
    let by_hand = |kernels: u64| {
        let d = 768;
        let stem = 3 * 14 * 14 * d + d + 2 * d;
        stem + 32 * (9 * d + d + 4 * d) + kernels * (d * d + d) + (d * 1000 + 1000)
    };
    for (net, kernels) in [
        ("spin", 16),
        ("spin_strided", 16),
        ("spin_random", 16),
        ("spin_front", 24),
        ("spin_middle", 24),
        ("spin_back", 24),
        ("spin_unshared", 32),
    ] {
        let parameters = example("spin", net, &[]).parameters;
        assert_eq!(
            [parameters.trainable, parameters.unshared],
            [by_hand(kernels), by_hand(32)],
            "{net}"
        );
    }
}

/// One 3x3 kernel of 9w² for all visits, each with w biases and w factors; one pointwise kernel of w²,
/// each visit with w factors; without private parts one bias and no factors. An addition of rank r to a matrix
/// of w rows and c columns has r (w + c) parameters and costs r w c multiply-adds, whatever the maps' size.
#[test]
fn private_parts_are_counted_at_every_visit() {
    let (w, depth) = (32, 4);
    let rest = 27 * w + 2 * w + depth * 2 * w + (w * 10 + 10);
    let kernels = 9 * w * w + w * w;
    let unshared = rest + depth * (kernels + w);
    let pixels = 16 * 16;
    let macs = 27 * w * pixels + depth * kernels * pixels + w * 10;
    let rank = 4;
    for (net, own, more) in [
        ("private_parts", depth * 3 * w, 0),
        ("nothing_private", w, 0),
        (
            "low_rank",
            depth * (3 * w + rank * (w + 9 * w) + rank * (w + w)),
            depth * (rank * w * 9 * w + rank * w * w),
        ),
    ] {
        let summary = example("private_parts", net, &[]);
        let parameters = summary.parameters;
        assert_eq!(
            [parameters.trainable, parameters.unshared],
            [rest + kernels + own, unshared],
            "{net}"
        );
        assert_eq!(summary.macs, macs + more, "{net}");
        let stored: u64 = summary.layers.iter().map(|layer| layer.stored).sum();
        assert_eq!(stored, parameters.trainable, "{net}");
    }
}
