//! `ksn audit`: faults of other systems as small files, all found; files without a fault, silence; damage, errors.

mod damage;
mod files;
mod parts;

use files::{Data, Named, constant, gguf, onnx, packed, random, safetensors, transposed};
use ksdsl::audit::{Content, Finding, audit, read};
use ksdsl::checkpoint::{Entry, entries};
use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use std::io::Cursor;

fn content(bytes: Vec<u8>) -> Content {
    read(Cursor::new(bytes)).expect("a file")
}

/// Kind and tensors of each finding.
fn found(findings: &[Finding]) -> Vec<String> {
    let words = |finding: &Finding| format!("{} {}", finding.kind.name(), finding.tensors.join(" "));
    findings.iter().map(words).collect()
}

fn alone(bytes: Vec<u8>) -> Vec<Finding> {
    audit(&content(bytes), None, None)
}

fn beside(bytes: Vec<u8>, reference: Vec<u8>) -> Vec<Finding> {
    audit(&content(bytes), Some(&content(reference)), None)
}

/// Three layers that share a kernel of `[4, 4, 1, 1]`, and a linear layer without bias.
const SPEC: &str = "net n {
    input 4 x 2 x 2
    stage s { repeat 3 { conv(4, kernel = 1) } }
    global_avg_pool
    head: linear(5, bias = false)
    share isomorphic conv in s as body
}";

fn expected() -> Vec<Entry> {
    entries(&compile(&Source::new("n.ksn", SPEC), &Options::default()).networks[0])
}

fn specified(tensors: &[Named], ties: &[(&str, &str)]) -> Vec<Finding> {
    audit(&content(safetensors(tensors, ties)), None, Some(&expected()))
}

const KERNEL: [u64; 4] = [4, 4, 1, 1];
const VISITS: &str = "s.0.conv.weight s.1.conv.weight s.2.conv.weight";

fn visit(at: usize, seed: u64) -> Named {
    random(&format!("s.{at}.conv.weight"), &KERNEL, seed)
}

fn head() -> Named {
    random("head.weight", &[5, 4], 9)
}

#[test]
fn copies_are_found() {
    let pair = |a: &str, b: &str| {
        [
            random(a, &[8, 6], 1),
            random(b, &[8, 6], 1),
            random("other", &[8, 6], 2),
        ]
    };
    let albert: Vec<Named> = (0..12)
        .map(|at| random(&format!("layer.{at}.ffn.weight"), &[6, 5], 3))
        .collect();
    let halves = |name: &str| Named(name.to_owned(), vec![4, 8], Data::F16((0..32).collect()));
    let clones: Vec<Named> = (0..2)
        .flat_map(|at| {
            let name = |part: &str| format!("layers.{at}.linear1.{part}");
            [random(&name("weight"), &[32, 4], 4), random(&name("bias"), &[32], 5)]
        })
        .collect();
    for (what, bytes, expected, saved) in [
        // keras#18419: a file contains a copy of a shared weight for each layer.
        (
            "keras#18419",
            safetensors(&pair("conv_1.kernel", "conv_2.kernel"), &[]),
            vec!["copies conv_1.kernel conv_2.kernel"],
            192,
        ),
        // vllm#6758: a file contains tied weights twice.
        (
            "vllm#6758",
            safetensors(&pair("lm_head.weight", "model.embed_tokens.weight"), &[]),
            vec!["copies lm_head.weight model.embed_tokens.weight"],
            192,
        ),
        // Converters write the head of a model with tied embeddings as a tensor of its own, in F16 and quantised.
        (
            "GGUF, F16",
            gguf(&[
                packed("token_embd.weight", [8, 6], 1, 96, 1),
                packed("output.weight", [8, 6], 1, 96, 1),
            ]),
            vec!["copies output.weight token_embd.weight"],
            96,
        ),
        (
            "GGUF, Q8_0",
            gguf(&[
                packed("token_embd.weight", [64, 2], 8, 136, 1),
                packed("output.weight", [64, 2], 8, 136, 1),
            ]),
            vec!["copies output.weight token_embd.weight"],
            136,
        ),
        // An exporter unrolls ALBERT: 12 initializers for one kernel.
        (
            "ALBERT",
            onnx(&albert, &[]),
            vec![concat!(
                "copies layer.0.ffn.weight layer.1.ffn.weight layer.10.ffn.weight layer.11.ffn.weight layer.2.ffn.weight ",
                "layer.3.ffn.weight layer.4.ffn.weight layer.5.ffn.weight layer.6.ffn.weight layer.7.ffn.weight ",
                "layer.8.ffn.weight layer.9.ffn.weight",
            )],
            11 * 120,
        ),
        // Constant folding leaves a copy in a node.
        (
            "folded",
            onnx(
                &[random("w", &[4, 4], 1)],
                &[random("/fold/Constant_output_0", &[4, 4], 1)],
            ),
            vec!["copies /fold/Constant_output_0 w"],
            64,
        ),
        // pytorch#79788: a copy of a model has separate parameters where the original shared memory.
        (
            "pytorch#79788",
            safetensors(&clones, &[]),
            vec![
                "copies layers.0.linear1.bias layers.1.linear1.bias",
                "copies layers.0.linear1.weight layers.1.linear1.weight",
            ],
            640,
        ),
        // A file in half precision.
        (
            "half",
            safetensors(&[halves("a"), halves("b")], &[]),
            vec!["copies a b"],
            64,
        ),
        // A checkpoint with the network and a wrapper of it.
        (
            "wrapper",
            safetensors(&pair("conv.weight", "_orig_mod.conv.weight"), &[]),
            vec!["copies _orig_mod.conv.weight conv.weight"],
            192,
        ),
        // torchax#68: converting a tied model gives two weights for one, here in ONNX.
        (
            "torchax#68",
            onnx(&pair("embed", "head"), &[]),
            vec!["copies embed head"],
            192,
        ),
    ] {
        let findings = alone(bytes);
        assert_eq!(found(&findings), expected, "{what}");
        assert_eq!(findings.iter().map(|it| it.bytes).sum::<u64>(), saved, "{what}");
    }
}

#[test]
fn transposed_copies_are_found() {
    for (what, bytes) in [
        // Folding `Transpose` of an embedding for the head makes a second matrix.
        (
            "folded",
            onnx(&[random("embed", &[8, 6], 1)], &[transposed("head", [6, 8], 1)]),
        ),
        // Flax and Keras store kernels of dense layers with inputs first.
        (
            "dense",
            safetensors(&[random("embed", &[8, 6], 1), transposed("head", [6, 8], 1)], &[]),
        ),
        (
            "square",
            safetensors(&[random("embed", &[8, 8], 1), transposed("head", [8, 8], 1)], &[]),
        ),
    ] {
        let findings = alone(bytes);
        assert_eq!(found(&findings), ["transposed embed head"], "{what}");
    }
}

#[test]
fn lost_ties_are_found_beside_a_reference() {
    let pair = |seeds: [u64; 2]| {
        let [a, b] = seeds;
        safetensors(
            &[random("embed.weight", &[8, 6], a), random("head.weight", &[8, 6], b)],
            &[],
        )
    };
    let tied = safetensors(
        &[random("shared.body.weight", &KERNEL, 1)],
        &[("shared.body.weight", VISITS)],
    );
    let unrolled = |seeds: [u64; 3]| safetensors(&[0, 1, 2].map(|at| visit(at, seeds[at])), &[]);
    for (what, bytes, reference, expected) in [
        // pytorch#188346: loading with `assign=True` breaks the tie, and training changes one.
        (
            "pytorch#188346",
            pair([1, 2]),
            pair([1, 1]),
            "half_updated embed.weight head.weight",
        ),
        // flax#1263: tied weights are updated independently.
        (
            "flax#1263",
            pair([2, 3]),
            pair([1, 1]),
            "untied embed.weight head.weight",
        ),
        // transformers#44471: moving a model to a device unties its weights; the reference stores them once.
        (
            "transformers#44471",
            unrolled([2, 3, 4]),
            tied,
            "untied s.0.conv.weight s.1.conv.weight s.2.conv.weight",
        ),
    ] {
        assert_eq!(found(&beside(bytes, reference)), [expected], "{what}");
    }
}

#[test]
fn ties_that_a_specification_does_not_have_are_found() {
    let shared = || random("shared.body.weight", &KERNEL, 1);
    let copies = |seeds: [u64; 3]| {
        let mut all = [0, 1, 2].map(|at| visit(at, seeds[at])).into_iter().collect::<Vec<_>>();
        all.push(head());
        all
    };
    for (what, findings, expected) in [
        // transformers#16283: weights that are declared tied have different values.
        (
            "transformers#16283",
            specified(&copies([1, 2, 3]), &[]),
            vec!["untied s.0.conv.weight s.1.conv.weight s.2.conv.weight"],
        ),
        // A part of the layers was loaded from another file.
        (
            "partial",
            specified(&copies([1, 1, 2]), &[]),
            vec![
                "copies s.0.conv.weight s.1.conv.weight",
                "half_updated s.0.conv.weight s.1.conv.weight s.2.conv.weight",
            ],
        ),
        // transformers#48154: a loader ties other layers than the file's author did.
        (
            "transformers#48154",
            specified(
                &[shared(), head()],
                &[("shared.body.weight", "s.0.conv.weight s.1.conv.weight")],
            ),
            vec!["ties shared.body.weight"],
        ),
        // DeepSpeed#3824: conversion loses shared weights, all or one of the copies.
        (
            "DeepSpeed#3824",
            specified(&[head()], &[]),
            vec!["missing shared.body.weight"],
        ),
        (
            "a copy lost",
            specified(&[visit(0, 1), head()], &[]),
            vec!["missing shared.body.weight"],
        ),
        // The kernel of a wider network.
        (
            "wider",
            specified(
                &[random("shared.body.weight", &[6, 6, 1, 1], 1), head()],
                &[("shared.body.weight", VISITS)],
            ),
            vec!["shape shared.body.weight"],
        ),
        // The shared tensor and copies of it, of which training changed the first only.
        (
            "stale copies",
            specified(
                &[shared(), visit(0, 2), visit(1, 2), visit(2, 2), head()],
                &[("shared.body.weight", VISITS)],
            ),
            vec![
                "copies s.0.conv.weight s.1.conv.weight s.2.conv.weight",
                "half_updated s.0.conv.weight s.1.conv.weight s.2.conv.weight shared.body.weight",
            ],
        ),
    ] {
        assert_eq!(found(&findings), expected, "{what}");
    }
}

#[test]
fn files_without_a_fault_are_met_with_silence() {
    let layers = |part: &str, of: fn(&str) -> Named| -> Vec<u8> {
        let all: Vec<Named> = (0..4).map(|at| of(&format!("layers.{at}.{part}"))).collect();
        safetensors(&all, &[])
    };
    let longs = |name: &str| Named(name.to_owned(), vec![49], Data::I64((0..49).collect()));
    let mask = |name: &str| {
        let values = (0..64).map(|at| if at / 8 < at % 8 { 0.0 } else { 1.0 });
        Named(name.to_owned(), vec![1, 1, 8, 8], Data::F32(values.collect()))
    };
    let symmetric = || {
        let values = (0..64).map(|at| ((at / 8) * (at % 8)) as f32);
        Named("gram".to_owned(), vec![8, 8], Data::F32(values.collect()))
    };
    let files: Vec<(&str, Vec<u8>)> = vec![
        (
            "random",
            layers("weight", |name| {
                random(name, &[8, 8], name.bytes().map(u64::from).sum())
            }),
        ),
        ("biases of zeros", layers("bias", |name| constant(name, &[64], 0.0))),
        (
            "norms of ones",
            layers("norm.weight", |name| constant(name, &[64], 1.0)),
        ),
        ("layer scales", layers("gamma", |name| constant(name, &[64], 1e-6))),
        (
            "running variances",
            layers("running_var", |name| constant(name, &[64], 1.0)),
        ),
        ("few numbers", layers("bias", |name| random(name, &[10], 1))),
        (
            "rotary tables",
            layers("rotary_emb.inv_freq", |name| random(name, &[32], 1)),
        ),
        (
            "masks",
            safetensors(&[mask("h.0.attn.bias"), mask("h.1.attn.bias")], &[]),
        ),
        (
            "integers",
            safetensors(&[longs("a.position_ids"), longs("b.position_ids")], &[]),
        ),
        (
            "indices",
            safetensors(
                &[longs("a.relative_position_index"), longs("b.relative_position_index")],
                &[],
            ),
        ),
        (
            "counters",
            layers("num_batches_tracked", |name| {
                Named(name.to_owned(), vec![], Data::I64(vec![100]))
            }),
        ),
        (
            "other sizes",
            safetensors(&[random("a", &[8, 8], 1), random("b", &[64], 1)], &[]),
        ),
        ("symmetric", safetensors(&[symmetric(), random("b", &[8, 8], 1)], &[])),
        ("nothing", safetensors(&[], &[])),
        (
            "no elements",
            safetensors(&[random("a", &[0, 8], 1), random("b", &[0, 8], 1)], &[]),
        ),
        (
            "shapes of ONNX",
            onnx(&[random("w", &[8, 8], 1)], &[longs("shape"), longs("shape_1")]),
        ),
        (
            "one embedding",
            gguf(&[
                packed("token_embd.weight", [64, 2], 8, 136, 1),
                packed("blk.0.ffn.weight", [64, 2], 8, 136, 2),
            ]),
        ),
        (
            "constants of GGUF",
            gguf(&[
                files::Packed("a", vec![64], 0, vec![0; 256]),
                files::Packed("b", vec![64], 0, vec![0; 256]),
            ]),
        ),
    ];
    for (what, bytes) in files {
        assert_eq!(alone(bytes), [], "{what}");
    }
    let stored = || [random("shared.body.weight", &KERNEL, 1), head()];
    let ties = [("shared.body.weight", VISITS)];
    assert_eq!(specified(&stored(), &ties), []);
    // Training changed what is stored once, and two tensors that were never tied.
    let old = || safetensors(&[random("shared.body.weight", &KERNEL, 5), head()], &ties);
    assert_eq!(beside(safetensors(&stored(), &ties), old()), []);
    let free = |seeds: [u64; 2]| safetensors(&[random("a", &[8, 8], seeds[0]), random("b", &[8, 8], seeds[1])], &[]);
    assert_eq!(beside(free([1, 2]), free([3, 4])), []);
}

/// What we export is what we call right: one tensor for each shared kernel.
#[test]
fn exported_models_are_clean() {
    use ksdsl::export::onnx as export;
    let compilation = compile(&Source::new("n.ksn", SPEC), &Options::default());
    let model = export::model(&compilation.networks[0], &export::Options::default()).expect("a model");
    let weights = model.tensors.iter().zip(1..).map(|(entry, seed)| {
        let values = files::values(seed, &entry.shape);
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    });
    let bytes = export::encode(&model, weights.collect()).expect("bytes");
    assert_eq!(audit(&content(bytes), None, Some(&expected())), []);
}
