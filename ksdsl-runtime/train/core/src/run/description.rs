//! The description of a run: a file for people and for resuming the run.

use super::{Difference, RunError, differences};
use crate::json;
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the run folder format; other versions cannot be resumed.
const FORMAT: u32 = 1;

/// The description of a run: everything that determines its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The format version of the run folder.
    pub format: u32,
    /// The versions of this crate that trained the run, oldest first.
    pub versions: Vec<String>,
    /// The network's name.
    pub network: String,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its multiply-adds per image.
    pub multiply_adds: u64,
    /// Its specification as written.
    pub specification: String,
    /// The values of its parameters that the specification does not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The network as which the run begins, if that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beginning: Option<Beginning>,
    /// The checkpoint from which its weights start, if they are not random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// The recipe.
    pub recipe: Recipe,
    /// The settings that determine the batches.
    pub data: BTreeMap<String, String>,
}

/// The network as which a run begins: the same layers with other sharing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// How many epochs the run trains it.
    pub epochs: u32,
    /// Its name.
    pub network: String,
    /// Its specification as written.
    pub specification: String,
    /// The values of its parameters that the specification does not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Beginning {
    /// Its name, as [`Facts::label`].
    pub fn label(&self) -> String {
        label(&self.network, &self.settings, None)
    }
}

/// The checkpoint from which the weights of a run start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// Its file as it was given; the run does not need it any more.
    pub file: String,
    /// The SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// Patterns of the tensors that start from random values all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}

/// What a description says of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its multiply-adds per image.
    pub multiply_adds: u64,
    /// Its specification as written.
    pub specification: String,
    /// The values of its parameters that the specification does not say.
    pub settings: BTreeMap<String, String>,
    /// The network as which its training begins, if that is another.
    pub beginning: Option<Beginning>,
    /// The checkpoint from which its weights start, if they are not random.
    pub weights: Option<Weights>,
}

impl Facts {
    /// Its name, with the values of parameters that the specification does not say, what it begins as, and the checkpoint from
    /// which it starts: `tiny(depth = 6) after 4 epochs as small(depth = 6), from start.safetensors`.
    pub fn label(&self) -> String {
        let label = label(&self.name, &self.settings, self.beginning.as_ref());
        from(label, self.weights.as_ref())
    }
}

fn from(label: String, weights: Option<&Weights>) -> String {
    match weights {
        Some(weights) => format!("{label}, from {}", weights.file),
        None => label,
    }
}

fn label(name: &str, settings: &BTreeMap<String, String>, beginning: Option<&Beginning>) -> String {
    let settings: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let label = match settings.is_empty() {
        true => name.to_owned(),
        false => format!("{name}({})", settings.join(", ")),
    };
    match beginning {
        Some(first) => {
            let epochs = if first.epochs == 1 { "epoch" } else { "epochs" };
            format!("{label} after {} {epochs} as {}", first.epochs, first.label())
        }
        None => label,
    }
}

impl Description {
    /// The network as [`Facts::label`] names it.
    pub fn label(&self) -> String {
        let label = label(&self.network, &self.settings, self.beginning.as_ref());
        from(label, self.weights.as_ref())
    }

    /// Describes a run of this version.
    pub fn new(network: &Facts, recipe: &Recipe, data: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            format: FORMAT,
            versions: vec![env!("CARGO_PKG_VERSION").to_owned()],
            network: network.name.clone(),
            parameters: network.parameters,
            multiply_adds: network.multiply_adds,
            specification: network.specification.clone(),
            settings: network.settings.clone(),
            beginning: network.beginning.clone(),
            weights: network.weights.clone(),
            recipe: recipe.clone(),
            data: data.into_iter().collect(),
        }
    }

    /// Reads the description in a run folder.
    ///
    /// # Errors
    /// If it cannot be read, has another format version, or its recipe is invalid.
    pub fn of(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(super::DESCRIPTION);
        let description: Result<Self, _> = json::read(&path).map_err(|error| error.to_string());
        let checked = description.and_then(|it| it.check().map(|()| it));
        checked.map_err(|what| RunError::Description(path, what))
    }

    /// The differences that affect the outcome of the run.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        differences::between(self, other)
    }

    /// Checks the format version and the recipe.
    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("`format` is {}, but this version reads {FORMAT}", self.format));
        }
        if self.beginning.as_ref().is_some_and(|beginning| beginning.epochs == 0) {
            return Err("`beginning.epochs` is 0: expected at least 1".to_owned());
        }
        self.recipe.check().map_err(|error| error.to_string())
    }

    /// The stored description, with this version added to its versions.
    pub(super) fn after(&self, stored: &Self) -> Self {
        let mut versions = stored.versions.clone();
        for version in &self.versions {
            if versions.last() != Some(version) {
                versions.push(version.clone());
            }
        }
        Self {
            versions,
            ..stored.clone()
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("text, numbers and maps with text as keys");
        json.push(b'\n');
        json
    }
}
