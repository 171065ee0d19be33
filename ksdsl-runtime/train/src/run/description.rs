//! What a run is, in a file for people and for the run that resumes it.

use super::{Difference, RunError, differences};
use crate::json;
use crate::recipe::Recipe;
use ksdsl_runtime::network::Network;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The format of run folders; one of another number cannot be resumed.
const FORMAT: u32 = 1;

/// What a run is: all that decides on its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The format of the run folder.
    pub format: u32,
    /// The versions of this crate that worked on the run, the first one first.
    pub versions: Vec<String>,
    /// The network's name.
    pub network: String,
    /// Its trainable parameters.
    pub parameters: u64,
    /// Its multiply-adds for one image.
    pub multiply_adds: u64,
    /// Its specification as written.
    pub specification: String,
    /// The recipe.
    pub recipe: Recipe,
    /// What decides on the batches.
    pub data: BTreeMap<String, String>,
}

impl Description {
    /// The description of a run by this version.
    pub fn new<N: Network>(recipe: &Recipe, data: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            format: FORMAT,
            versions: vec![env!("CARGO_PKG_VERSION").to_owned()],
            network: N::NAME.to_owned(),
            parameters: N::PARAMETERS,
            multiply_adds: N::MULTIPLY_ADDS,
            specification: N::SPECIFICATION.to_owned(),
            recipe: recipe.clone(),
            data: data.into_iter().collect(),
        }
    }

    /// The description in a run folder.
    ///
    /// # Errors
    /// If it cannot be read, is of another format, or its recipe makes no sense.
    pub fn of(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(super::DESCRIPTION);
        let description: Result<Self, _> = json::read(&path).map_err(|error| error.to_string());
        let checked = description.and_then(|it| it.check().map(|()| it));
        checked.map_err(|what| RunError::Description(path, what))
    }

    /// What decides on the outcome of a run and differs from another description.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        differences::between(self, other)
    }

    /// Whether this version can read it.
    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("`format` is {}; this version reads {FORMAT}", self.format));
        }
        self.recipe.check().map_err(|error| error.to_string())
    }

    /// The stored description with this version among those that worked on the run.
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
