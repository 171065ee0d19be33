//! `checkpoint::save` and `checkpoint::load`: what was tied stays tied, and what does not fit
//! changes nothing.

use crate::nets::tied::{tied_free as free, tied_shared as shared};
use crate::tensors::{self, change, values};
use crate::tied::{build, logits, train};
use crate::visits::{summary, unrolled};
use ksdsl_runtime::prelude::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

type Model = shared::Model<f32, Cpu>;

/// A trained model and a path for it.
fn trained() -> (Model, TempDir, PathBuf) {
    let mut model = build::<f32>(1);
    train(&mut model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    (model, folder, path)
}

/// The network without sharing, with this model's values at every visit.
fn unshared(model: &Model) -> free::Model<f32, Cpu> {
    let mut free = Cpu::default().build_module::<free::Builder, f32>();
    let equal = unrolled(&summary("tied", "tied_shared"), &values(model), &values(&free));
    tensors::write(&mut free, &equal);
    free
}

/// Loading fails with this message and leaves the model as it was.
fn assert_refused(path: &std::path::Path, message: &str) {
    let mut model = build::<f32>(7);
    let before = values(&model);
    let error = checkpoint::load(&mut model, path).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
    assert!(error.contains(&*path.to_string_lossy()), "{error}");
    assert_eq!(values(&model), before);
}

#[test]
fn a_model_comes_back() {
    let (model, _folder, path) = trained();
    checkpoint::save(&model, &path).unwrap();
    let mut loaded = build::<f32>(2);
    checkpoint::load(&mut loaded, &path).unwrap();
    assert_eq!(values(&loaded), values(&model));
    assert_eq!(logits(&loaded), logits(&model));
    // dfdx reads it as well.
    let mut loaded = build::<f32>(3);
    loaded.load_safetensors(&path).unwrap();
    assert_eq!(values(&loaded), values(&model));
}

#[test]
fn double_precision_comes_back() {
    let model = build::<f64>(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    checkpoint::save(&model, &path).unwrap();
    let mut loaded = build::<f64>(2);
    checkpoint::load(&mut loaded, &path).unwrap();
    assert_eq!(values(&loaded), values(&model));
    assert_refused(&path, "has the type F64, expected F32");
}

/// The visits by hand: `tests/nets/tied.ksn` says which layers share.
#[test]
fn the_file_names_the_visits() {
    let (model, _folder, path) = trained();
    checkpoint::save(&model, &path).unwrap();
    let content = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(content[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&content[8..8 + header]).unwrap();
    assert_eq!(
        header["__metadata__"],
        serde_json::json!({
            "shared.kernel.weight": "body.0.conv.weight body.1.conv.weight body.2.conv.weight",
            "shared.ups.0.bias": "head.0.up.bias head.1.up.bias",
            "shared.ups.0.weight": "head.0.up.weight head.1.up.weight",
            "shared.ups.1.bias": "head.2.up.bias head.3.up.bias",
            "shared.ups.1.weight": "head.2.up.weight head.3.up.weight",
        })
    );
}

#[test]
fn equal_copies_are_loaded() {
    let (model, _folder, path) = trained();
    checkpoint::save(&unshared(&model), &path).unwrap();
    let mut loaded = build::<f32>(2);
    checkpoint::load(&mut loaded, &path).unwrap();
    assert_eq!(values(&loaded), values(&model));
}

#[test]
fn copies_that_differ_are_refused() {
    let (model, _folder, path) = trained();
    let mut free = unshared(&model);
    change(&mut free, |key, values| {
        if key == "body.2.conv.weight" {
            values[5] += 1e-3;
        }
    });
    checkpoint::save(&free, &path).unwrap();
    assert_refused(
        &path,
        "`body.0.conv.weight` and `body.2.conv.weight` differ, but the layers share one tensor, `shared.kernel.weight`",
    );
}

#[test]
fn a_file_of_another_network_is_refused() {
    let (model, _folder, path) = trained();
    checkpoint::save(&model, &path).unwrap();
    let mut free = Cpu::default().build_module::<free::Builder, f32>();
    let before = values(&free);
    let error = checkpoint::load(&mut free, &path).unwrap_err().to_string();
    assert!(error.contains("`body.1.conv.weight` is missing"), "{error}");
    assert!(
        error.contains("`shared.kernel.weight` is not a tensor of the network"),
        "{error}"
    );
    assert_eq!(values(&free), before);
}

#[test]
fn files_that_are_cut_off_are_refused() {
    let (model, _folder, path) = trained();
    checkpoint::save(&model, &path).unwrap();
    let content = fs::read(&path).unwrap();
    for length in (0..content.len()).step_by(37) {
        fs::write(&path, &content[..length]).unwrap();
        assert_refused(&path, "");
    }
    fs::write(&path, &content[..content.len() - 1]).unwrap();
    assert_refused(
        &path,
        "is truncated: its last 1 bytes are missing, which makes these tensors incomplete: `stem.conv.weight`",
    );
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let (model, folder, _path) = trained();
    let path = folder.path().join("no such folder").join("model.safetensors");
    let error = checkpoint::save(&model, &path).unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
