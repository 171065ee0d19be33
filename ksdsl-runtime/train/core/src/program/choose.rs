//! What the command line selects: a recipe, a run folder.

use super::run_options::RunOptions;
use crate::json;
use crate::recipe::Recipe;
use crate::run::{Facts, Opening};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The recipe given on the command line.
pub(super) fn recipe(of_net: &Recipe, options: &RunOptions, seed: u64) -> Result<Recipe, Box<dyn Error>> {
    // In a study the name of a recipe is a key.
    let option = if options.changes.is_some() {
        "recipe.preset ="
    } else {
        "--recipe"
    };
    let mut recipe = match options.recipe.as_deref() {
        None => of_net.clone(),
        Some("se_resnet") => Recipe::se_resnet(),
        Some("convmixer") => Recipe::convmixer(),
        Some("nanogpt") => Recipe::nanogpt(),
        Some("puzzles") => Recipe::puzzles(),
        Some(file) => {
            let path = Path::new(file);
            if !path.exists() {
                let expected = "expected se_resnet, convmixer, nanogpt, puzzles or a JSON file with a recipe";
                return Err(format!("{option} {file}: {expected}; no such file").into());
            }
            json::read(path).map_err(|error| format!("{option} {file}: {error}"))?
        }
    };
    if let Some(changes) = &options.changes {
        recipe = recipe.with(changes).map_err(|error| format!("recipe: {error}"))?;
    }
    recipe.seed = seed;
    if let Some(epochs) = options.epochs {
        (recipe.epochs, recipe.steps) = (epochs.get(), None);
    }
    if let Some(steps) = options.steps {
        recipe.steps = Some(steps.get().into());
    }
    if let Some(parts) = options.accumulate {
        recipe.accumulate = Some(parts.get() as usize);
    }
    if let Some(batch) = options.batch {
        recipe.batch = batch.get() as usize;
    }
    if let Some(rate) = options.lr {
        recipe.rate = rate;
    }
    if !options.train_only.is_empty() {
        recipe.train_only.clone_from(&options.train_only);
    }
    recipe.check()?;
    Ok(recipe)
}

/// The folder of a run, and how to open it: with `resume` an existing run is resumed; otherwise it stays untouched and
/// the run gets a new folder.
pub(super) fn folder(out: &Path, resume: bool, name: &str) -> (PathBuf, Opening) {
    let first = out.join(name);
    if resume {
        return (first, Opening::Either);
    }
    let others = (2..).map(|number| out.join(format!("{name}-run{number}")));
    let mut all = std::iter::once(first.clone()).chain(others);
    let free = all.find(|folder| !folder.join("run.json").exists());
    (free.unwrap_or(first), Opening::New)
}

/// The name of the folder of a run: `digits-tiny-depth_6-0`, `digits-tiny-from_start-0`.
pub(super) fn folder_name(data: &str, network: &Facts, seed: u64) -> String {
    let named = |network: &str, settings: &BTreeMap<String, String>| {
        let settings = settings.iter().map(|(name, value)| format!("-{name}_{}", plain(value)));
        format!("{network}{}", settings.collect::<String>())
    };
    let beginning = network.beginning.as_ref();
    let beginning =
        beginning.map(|first| format!("-after_{}_{}", first.epochs, named(&first.network, &first.settings)));
    let from = network.weights.as_ref().map(|weights| {
        let stem = Path::new(&weights.file).file_stem().unwrap_or_default();
        format!("-from_{}", plain(&stem.to_string_lossy()))
    });
    let network = named(&network.name, &network.settings);
    let [beginning, from] = [beginning, from].map(Option::unwrap_or_default);
    format!("{data}-{network}{beginning}{from}-{seed}")
}

/// A text as a part of a file name.
pub(super) fn plain(text: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() || "-._".contains(c) {
        true => c,
        false => '_',
    };
    text.chars().map(plain).collect()
}
