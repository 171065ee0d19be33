//! The description of a run: a file for people and for resuming the run.

use super::{Difference, RunError, differences};
use crate::json;
use crate::recipe::Recipe;
use ksdsl_runtime::network::Network;
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
    /// The recipe.
    pub recipe: Recipe,
    /// The settings that determine the batches.
    pub data: BTreeMap<String, String>,
}

/// The facts about a network that a description has.
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) parameters: u64,
    pub(crate) multiply_adds: u64,
    pub(crate) specification: String,
}

impl Facts {
    /// Those of a generated network.
    pub(crate) fn of<N: Network>() -> Self {
        Self {
            name: N::NAME.to_owned(),
            parameters: N::PARAMETERS,
            multiply_adds: N::MULTIPLY_ADDS,
            specification: N::SPECIFICATION.to_owned(),
        }
    }
}

impl Description {
    /// Describes a run of this version.
    pub fn new<N: Network>(recipe: &Recipe, data: impl IntoIterator<Item = (String, String)>) -> Self {
        Self::of_facts(&Facts::of::<N>(), recipe, data)
    }

    pub(crate) fn of_facts(network: &Facts, recipe: &Recipe, data: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            format: FORMAT,
            versions: vec![env!("CARGO_PKG_VERSION").to_owned()],
            network: network.name.clone(),
            parameters: network.parameters,
            multiply_adds: network.multiply_adds,
            specification: network.specification.clone(),
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
