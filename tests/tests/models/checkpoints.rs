//! Checkpoints hold a shared kernel once, under one key.

use crate::tensors::{Values, values};
use crate::tied::{BUFFERS, PARAMETERS, Shared, build, logits, train};
use ksdsl_runtime::prelude::*;
use std::fs;
use std::io::Read;
use tempfile::TempDir;

/// Bytes of the values in a checkpoint: four for each parameter and running statistic.
const BYTES: usize = 4 * (PARAMETERS + BUFFERS);

/// The keys of the network: the shared kernels first, then layer by layer.
fn keys() -> Vec<String> {
    let layers = |name: &str, tensors: &[&str]| -> Vec<String> {
        tensors.iter().map(|tensor| format!("{name}.{tensor}")).collect()
    };
    let batch_norm = ["weight", "bias", "running_mean", "running_var"];
    let mut keys = layers("shared.kernel", &["weight"]);
    for kernel in 0..2 {
        keys.extend(layers(&format!("shared.ups.{kernel}"), &["weight", "bias"]));
    }
    keys.extend(layers("stem.conv", &["weight"]));
    keys.extend(layers("stem.batch_norm", &batch_norm));
    for block in 0..3 {
        keys.extend(layers(&format!("body.{block}.batch_norm"), &batch_norm));
    }
    for layer in 0..4 {
        keys.extend(layers(&format!("head.{layer}.layer_norm"), &["weight", "bias"]));
    }
    keys.extend(layers("head.linear", &["weight", "bias"]));
    keys.sort();
    keys
}

/// A trained model and a file for it.
fn trained(file: &str) -> (Shared<f32>, TempDir, std::path::PathBuf) {
    let mut model = build::<f32>(1);
    train(&mut model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    (model, folder, path)
}

/// The loaded model is the saved one.
fn assert_same(loaded: &Shared<f32>, saved: &Shared<f32>) {
    let (loaded_values, saved_values): (Values<f32>, Values<f32>) = (values(loaded), values(saved));
    assert_eq!(loaded_values, saved_values);
    assert_eq!(logits(loaded), logits(saved));
}

#[test]
fn keys_are_layer_paths() {
    let model = build::<f32>(1);
    assert_eq!(values(&model).into_keys().collect::<Vec<_>>(), keys());
}

#[test]
fn npz_holds_each_kernel_once() {
    let (model, _folder, path) = trained("model.npz");
    model.save(&path).unwrap();
    let mut archive = zip::ZipArchive::new(fs::File::open(&path).unwrap()).unwrap();
    let (mut names, mut bytes) = (Vec::new(), 0);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        names.push(entry.name().trim_end_matches(".npy").to_owned());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        // NPY 1.0: magic and version in 8 bytes, the header's length in 2, the header.
        bytes += content.len() - 10 - usize::from(u16::from_le_bytes([content[8], content[9]]));
    }
    names.sort();
    assert_eq!(names, keys());
    assert_eq!(bytes, BYTES);

    let mut loaded = build::<f32>(2);
    loaded.load(&path).unwrap();
    assert_same(&loaded, &model);
}

#[test]
fn safetensors_hold_each_kernel_once() {
    let (model, _folder, path) = trained("model.safetensors");
    model.save_safetensors(&path).unwrap();
    // The length of the header in 8 bytes, the header as JSON, the values.
    let content = fs::read(&path).unwrap();
    let header = usize::try_from(u64::from_le_bytes(content[..8].try_into().unwrap())).unwrap();
    assert_eq!(content.len(), 8 + header + BYTES);
    let header: serde_json::Value = serde_json::from_slice(&content[8..8 + header]).unwrap();
    let mut names: Vec<String> = header.as_object().unwrap().keys().cloned().collect();
    names.retain(|name| name != "__metadata__");
    names.sort();
    assert_eq!(names, keys());
    assert_eq!(header["shared.kernel.weight"]["shape"], serde_json::json!([4, 4, 3, 3]));

    let mut loaded = build::<f32>(2);
    loaded.load_safetensors(&path).unwrap();
    assert_same(&loaded, &model);
}

#[test]
fn double_precision_goes_through_checkpoints_as_well() {
    let mut model = build::<f64>(3);
    train(&mut model);
    let folder = tempfile::tempdir().unwrap();
    let (npz, safetensors) = (folder.path().join("model.npz"), folder.path().join("model.safetensors"));
    model.save(&npz).unwrap();
    model.save_safetensors(&safetensors).unwrap();
    let mut loaded = build::<f64>(4);
    loaded.load(&npz).unwrap();
    assert_eq!(values(&loaded), values(&model));
    let mut loaded = build::<f64>(5);
    loaded.load_safetensors(&safetensors).unwrap();
    assert_eq!(values(&loaded), values(&model));
}
