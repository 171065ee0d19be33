//! Programs that change a checkpoint, as the compiler's own do: a shared kernel is one tensor there, so a change
//! reaches every visit, and what a visit has of its own stays with it.

use crate::model::*;
use ksdsl_checkpoint::fuse::{Method, fuse, unroll};
use ksdsl_checkpoint::{Expected, File, Private, Shared as Tie, Tensor, to_bytes};
use ksdsl_files::keys::{LOW_RANK_A, LOW_RANK_B};
use ksdsl_runtime::checkpoint;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::{self, Values, values};
use std::fs;
use std::path::PathBuf;

#[allow(missing_docs)]
mod nets {
    ksdsl_runtime::include_generated!("promises");
}
use nets::{adapted_free, adapted_shared};

type Adapted = adapted_shared::Model<f64, Cpu>;
/// Rows and columns of the kernel of `adapted`.
const ROWS: usize = 2;
const COLUMNS: usize = 2 * 9;

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    (folder, path)
}

/// The content of a file as the tensors that a network has.
fn expected(file: &File) -> Vec<Expected> {
    let tensor = |key: &str| Expected {
        key: key.to_owned(),
        shape: file.get(key).unwrap().shape.to_vec(),
        kind: None,
    };
    file.keys().map(tensor).collect()
}

/// Changes the rows of the kernel in a saved model, as a tool that knows nothing of the network would, and loads it.
fn with_kernel(change: impl Fn(&mut [f64])) -> (Shared<f64>, Shared<f64>) {
    let (_folder, path) = folder();
    let model = build::<f64>(1);
    checkpoint::save(&model, &path).unwrap();
    let file = File::read(&path).unwrap();
    let tensor = |key: &str| {
        let view = file.get(key).unwrap();
        let mut values: Vec<f64> = view
            .data
            .as_chunks()
            .0
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect();
        if key == KERNEL {
            values.chunks_mut(36).for_each(&change);
        }
        Tensor {
            key: key.to_owned(),
            kind: view.kind,
            shape: view.shape.to_vec(),
            data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect::<Vec<_>>()
                .into(),
        }
    };
    let tensors: Vec<Tensor<'_>> = file.keys().map(tensor).collect();
    fs::write(&path, to_bytes(&tensors, &[])).unwrap();
    let mut changed = build(2);
    checkpoint::load(&mut changed, &path).unwrap();
    (model, changed)
}

/// The kernel that each of the three layers uses.
fn kernels(model: &Shared<f64>) -> [Vec<f64>; 3] {
    let values = values(&unrolled(model));
    [0, 1, 2].map(|block| values[&format!("body.{block}.conv.weight")].clone())
}

/// That all visits of a changed model use the kernel that `change` makes of the old one.
fn reaches_every_visit(change: impl Fn(&mut [f64])) {
    let (before, after) = with_kernel(&change);
    let mut expected = values(&before)[KERNEL].clone();
    expected.chunks_mut(36).for_each(&change);
    assert_ne!(values(&before)[KERNEL], expected);
    for kernel in kernels(&after) {
        assert_eq!(kernel, expected);
    }
    assert_tied(&after);
}

/// <https://github.com/pytorch/pytorch/issues/37322>
#[test]
fn pruning_reaches_every_visit() {
    reaches_every_visit(|row| {
        for value in row.iter_mut().filter(|value| value.abs() < 0.08) {
            *value = 0.0;
        }
    });
}

/// <https://github.com/intel/auto-round/issues/1040>, <https://github.com/huggingface/transformers/pull/37905>
#[test]
fn quantised_values_reach_every_visit() {
    // Eight bits with a scale for each output channel.
    reaches_every_visit(|row| {
        let scale = row.iter().fold(0.0, |most: f64, value| most.max(value.abs())) / 127.0;
        row.iter_mut()
            .for_each(|value| *value = (*value / scale).round() * scale);
    });
}

/// <https://github.com/locuslab/deq/issues/23>
#[test]
fn normalised_rows_reach_every_visit() {
    // Salimans & Kingma 2016: each output channel's row has the length g, here 1.
    reaches_every_visit(|row| {
        let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
        row.iter_mut().for_each(|value| *value /= length);
    });
}

/// <https://github.com/deepspeedai/DeepSpeed/issues/3824>, <https://github.com/deepspeedai/DeepSpeed/issues/1896>
#[test]
fn unrolling_and_fusing_lose_nothing() {
    let (_folder, path) = folder();
    let model = build::<f64>(3);
    checkpoint::save(&model, &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = File::parse(bytes.clone()).unwrap();
    let expected = expected(&file);
    let tie = |(key, visits): (&str, Vec<String>)| Tie {
        key: key.to_owned(),
        visits,
        copies: true,
    };
    let ties: Vec<Tie> = ties().into_iter().map(tie).collect();

    let copies = to_bytes(&unroll(&file, &expected, &ties, &[], &[]).unwrap(), &[]);
    fs::write(&path, &copies).unwrap();
    let mut free = Cpu::default().build_module::<tied_free::Builder, f64>();
    assert_eq!(free.num_trainable_params(), UNSHARED);
    checkpoint::load(&mut free, &path).unwrap();
    assert_eq!(values(&free), values(&unrolled(&model)));

    let copies = File::parse(copies).unwrap();
    let fused = fuse(&copies, &expected, &ties, &[], Method::Mean).unwrap();
    assert_eq!(to_bytes(&fused, &ties), bytes);
}

/// A network whose visits have additions of their own that are not zero.
fn adapted() -> Adapted {
    let mut model = Cpu::seed_from_u64(4).build_module::<adapted_shared::Builder, f64>();
    tensors::change(&mut model, |key, values| {
        if let Some((layer, "low_rank_b")) = key.rsplit_once('.') {
            // Another B for each layer: 0.5, 1 and 1.5 for the first row.
            let block = layer.as_bytes()["body.".len()] - b'0';
            values.copy_from_slice(&[0.5 * f64::from(block + 1), -0.25]);
        }
    });
    model
}

/// The same without sharing, by `ksn unroll`'s function.
fn merged(model: &Adapted) -> adapted_free::Model<f64, Cpu> {
    let (_folder, path) = folder();
    checkpoint::save(model, &path).unwrap();
    let file = File::read(&path).unwrap();
    let kernels: Vec<String> = (0..3).map(|block| format!("body.{block}.conv.weight")).collect();
    let own = |kernel: &String| {
        let layer = kernel.strip_suffix(".weight").unwrap();
        [LOW_RANK_A, LOW_RANK_B].map(|part| Private {
            key: format!("{layer}.{part}"),
            kernel: kernel.clone(),
        })
    };
    let own: Vec<Private> = kernels.iter().flat_map(own).collect();
    let tie = Tie {
        key: KERNEL.to_owned(),
        visits: kernels,
        copies: true,
    };
    let tensors = unroll(&file, &expected(&file), &[tie], &own, &[]).unwrap();
    fs::write(&path, to_bytes(&tensors, &[])).unwrap();
    let mut free = Cpu::default().build_module::<adapted_free::Builder, f64>();
    checkpoint::load(&mut free, &path).unwrap();
    free
}

/// K + B A of a layer, by rows.
fn sum(values: &Values<f64>, block: usize) -> Vec<f64> {
    let part = |name: &str| &values[&format!("body.{block}.conv.{name}")];
    let (a, b, kernel) = (part("low_rank_a"), part("low_rank_b"), &values[KERNEL]);
    let place = |at: usize| kernel[at] + b[at / COLUMNS] * a[at % COLUMNS];
    (0..ROWS * COLUMNS).map(place).collect()
}

/// <https://github.com/huggingface/peft/issues/2018>
#[test]
fn an_addition_is_merged_into_its_visit_alone() {
    let model = adapted();
    let (before, after) = (values(&model), values(&merged(&model)));
    for block in 0..3 {
        assert_close(&after[&format!("body.{block}.conv.weight")], &sum(&before, block));
    }
    assert_ne!(sum(&before, 0), sum(&before, 1));
}

/// <https://github.com/huggingface/peft/issues/1035>
#[test]
fn merging_changes_no_logit() {
    let model = adapted();
    let pixels = (0..3 * 2 * 4 * 4).map(|at| (0.9 * f64::from(at)).sin()).collect();
    let images = Cpu::default().tensor_from_vec(pixels, (3, Const::<2>, Const::<4>, Const::<4>));
    let logits = model.forward(images.clone()).as_vec();
    assert_close(&merged(&model).forward(images).as_vec(), &logits);
}
