//! Checkpoints hold a shared kernel once, are taken whole or not at all, and lie at any path.

use crate::model::*;
use ksdsl_checkpoint::{File, Tensor, to_bytes};
use ksdsl_runtime::checkpoint;
use ksdsl_tests::tensors::values;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// A model saved in a folder of its own.
struct Saved {
    folder: tempfile::TempDir,
    model: Shared<f32>,
}

impl Saved {
    fn new(seed: u64) -> Self {
        let this = Self {
            folder: tempfile::tempdir().unwrap(),
            model: build(seed),
        };
        checkpoint::save(&this.model, this.path()).unwrap();
        this
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("model.safetensors")
    }

    fn file(&self) -> File {
        File::read(&self.path()).unwrap()
    }

    /// Writes the tensors that `change` makes of those of the file, without a word on ties.
    fn rewrite(&self, change: impl Fn(&str) -> Vec<String>) {
        let file = self.file();
        let tensors = file.keys().flat_map(|key| {
            let view = file.get(key).unwrap();
            change(key).into_iter().map(move |key| Tensor {
                key,
                kind: view.kind,
                shape: view.shape.to_vec(),
                data: view.data.into(),
            })
        });
        fs::write(self.path(), to_bytes(&tensors.collect::<Vec<_>>(), &[])).unwrap();
    }

    /// Loads the file into another model, which must stay as it is; the error.
    fn refused(&self) -> String {
        let mut other = build::<f32>(99);
        let before = values(&other);
        let error = checkpoint::load(&mut other, self.path()).unwrap_err();
        assert_eq!(values(&other), before);
        error.to_string()
    }

    /// Loads the file into another model, which then is this one.
    fn assert_loads(&self, path: &Path) {
        let mut other = build::<f32>(99);
        checkpoint::load(&mut other, path).unwrap();
        assert_eq!(values(&other), values(&self.model));
    }
}

/// <https://github.com/safetensors/safetensors/issues/98>, <https://github.com/safetensors/safetensors/issues/202>
#[test]
fn a_shared_kernel_can_be_saved() {
    let saved = Saved::new(1);
    // As the format's own library reads it.
    let bytes = fs::read(saved.path()).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor(KERNEL).unwrap().shape(), [4, 4, 3, 3]);
    let names = file.names();
    let copies = ties().into_iter().flat_map(|(_, copies)| copies);
    assert!(copies.into_iter().all(|copy| !names.contains(&&copy)));
}

/// <https://github.com/keras-team/keras/issues/18419>
#[test]
fn a_checkpoint_holds_each_kernel_once() {
    let file = Saved::new(2).file();
    let bytes: usize = file.keys().map(|key| file.get(key).unwrap().data.len()).sum();
    assert_eq!(bytes, 4 * (PARAMETERS + STATISTICS));
}

/// <https://github.com/huggingface/candle/issues/2516>
#[test]
fn a_file_needs_no_copies() {
    let saved = Saved::new(3);
    saved.rewrite(|key| vec![key.to_owned()]);
    saved.assert_loads(&saved.path());
}

/// <https://github.com/vllm-project/vllm/pull/6758>
#[test]
fn a_file_may_have_equal_copies() {
    let saved = Saved::new(4);
    saved.rewrite(|key| {
        let copies = ties().into_iter().find(|(owner, _)| *owner == key);
        copies.map_or(vec![key.to_owned()], |(_, copies)| copies)
    });
    saved.assert_loads(&saved.path());
}

/// <https://github.com/huggingface/pytorch-image-models/pull/2003>,
/// <https://github.com/karpathy/nanoGPT/issues/325>
#[test]
fn keys_of_wrappers_are_refused_by_name() {
    for prefix in ["module.", "_orig_mod.", "_orig_mod.module."] {
        let saved = Saved::new(5);
        saved.rewrite(|key| vec![format!("{prefix}{key}")]);
        let error = saved.refused();
        assert!(error.contains(&format!("every key begins with `{prefix}`")), "{error}");
    }
}

/// <https://github.com/pytorch/pytorch/issues/141256>
#[test]
fn no_tensor_is_passed_over() {
    // A file without the stem's kernel, and one with something more.
    for (kept, name) in [(false, "stem.conv.weight"), (true, "stem.conv.scale")] {
        let saved = Saved::new(6);
        saved.rewrite(|key| match key {
            "stem.conv.weight" if kept => vec![key.to_owned(), name.to_owned()],
            "stem.conv.weight" => vec![],
            _ => vec![key.to_owned()],
        });
        let error = saved.refused();
        assert!(error.contains(&format!("`{name}`")), "no {name} in:\n{error}");
    }
}

/// <https://github.com/pytorch/pytorch/pull/87443>
#[test]
fn a_pickle_is_refused() {
    let saved = Saved::new(7);
    // python -c 'import pickle, sys; sys.stdout.buffer.write(pickle.dumps({"a": 1}))', and the start of a zip archive
    // as torch.save writes it.
    let pickle = b"\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.";
    for content in [
        &pickle[..],
        b"PK\x03\x04\x00\x00\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00",
    ] {
        fs::write(saved.path(), content).unwrap();
        saved.refused();
    }
}

/// Saves at a path of this name, in a folder of this name, and reads it back.
fn save_at(name: &OsStr) {
    let saved = Saved::new(8);
    let folder = saved.folder.path().join(name);
    fs::create_dir(&folder).unwrap();
    let path = folder.join(name);
    checkpoint::save(&saved.model, &path).unwrap();
    saved.assert_loads(&path);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, [name]);
}

/// <https://github.com/lutzroeder/netron/issues/469>
#[test]
fn paths_may_have_blanks_and_signs() {
    for name in ["a model (2)", "it's \"this\"", "100 % $HOME *?", "-o", "two\nlines"] {
        save_at(OsStr::new(name));
    }
}

/// <https://github.com/ggml-org/llama.cpp/issues/5802>, <https://github.com/lightgbm-org/LightGBM/issues/4721>
#[test]
fn paths_may_have_any_letters() {
    for name in ["Größe", "模型", "Ñoño 🦀"] {
        save_at(OsStr::new(name));
    }
    #[cfg(target_os = "linux")]
    save_at(std::os::unix::ffi::OsStrExt::from_bytes(b"not \xff text"));
}
