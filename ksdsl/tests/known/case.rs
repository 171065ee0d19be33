//! The stored cases of `tests/parity/language.py`: settings, weights and a batch, and what PyTorch makes of them.

use super::step::{Batch, Values};
use ksdsl::spec::Spec;
use ksdsl::value::Value;
use ksdsl_checkpoint::{File, Kind};
use std::path::{Path, PathBuf};

/// A language model of `examples/nets` at a small size.
pub(crate) struct Case {
    /// The network.
    pub(crate) net: String,
    /// Its file.
    pub(crate) file: PathBuf,
    /// Names and values of its parameters.
    pub(crate) settings: Vec<(String, f64)>,
    /// The tensors, by checkpoint key.
    pub(crate) weights: Values<f64>,
    /// The batch.
    pub(crate) batch: Batch<f64>,
    /// How many steps of AdamW, with which epsilon.
    pub(crate) how: (usize, f64),
    /// What PyTorch makes of it, under the names of `step::outcome`.
    pub(crate) expected: Values<f64>,
}

impl Case {
    /// The settings as they are set.
    pub(crate) fn set(&self, spec: Spec) -> Spec {
        let spec = spec.network(&self.net);
        self.settings
            .iter()
            .fold(spec, |spec, (name, value)| match value.fract() == 0.0 {
                true => spec.set(name, Value::Int(*value as i64)),
                false => spec.set(name, Value::Float(*value)),
            })
    }
}

/// All cases, by name.
pub(crate) fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/language");
    let files = std::fs::read_dir(folder).expect("the stored cases");
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Case {
    let file = File::read(path).expect("a case");
    let metadata = |key: &str| file.metadata().get(key).expect("a case").clone();
    let setting = |text: &str| {
        let (name, value) = text.split_once('=').expect("a setting");
        (name.to_owned(), value.parse().expect("a number"))
    };
    let all = |start: &str| -> Values<f64> {
        let keys = file
            .keys()
            .filter_map(|key| key.strip_prefix(start).map(|name| (name, key)));
        keys.map(|(name, key)| (name.to_owned(), doubles(&file, key))).collect()
    };
    let inputs = (0..)
        .map(|at| format!("input.{at}"))
        .take_while(|key| file.get(key).is_some());
    let is_expected = |key: &&str| {
        !["weight.", "input.", "targets", "steps", "eps"]
            .iter()
            .any(|start| key.starts_with(start))
    };
    Case {
        net: path.file_stem().expect("a name").to_string_lossy().into_owned(),
        file: Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples/nets")
            .join(metadata("file")),
        settings: metadata("settings").split(' ').map(setting).collect(),
        weights: all("weight."),
        batch: Batch {
            inputs: inputs.map(|key| doubles(&file, &key)).collect(),
            targets: doubles(&file, "targets")
                .into_iter()
                .map(|class| class as usize)
                .collect(),
        },
        how: (doubles(&file, "steps")[0] as usize, doubles(&file, "eps")[0]),
        expected: file
            .keys()
            .filter(is_expected)
            .map(|key| (key.to_owned(), doubles(&file, key)))
            .collect(),
    }
}

fn doubles(file: &File, key: &str) -> Vec<f64> {
    let view = file
        .get(key)
        .filter(|view| view.kind == Kind::F64)
        .expect("double precision");
    let (numbers, _) = view.data.as_chunks();
    numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

/// The largest absolute value.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}
