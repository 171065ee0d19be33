//! What the command line selects: networks, a recipe, a run folder.

use crate::train::Options;
use ksdsl_examples::catalog;
use ksdsl_examples::entry::Entry;
use ksdsl_train::data::Dataset;
use ksdsl_train::run::Opening;
use ksdsl_train::{Recipe, json};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The networks given on the command line.
pub(crate) fn chosen<'e>(entries: &'e [Entry], data: &Dataset, options: &Options) -> Result<Vec<&'e Entry>, String> {
    let first = entries.first().map(|entry| entry.family().to_owned());
    let asked: Vec<String> = if options.net.is_empty() {
        first.into_iter().collect()
    } else {
        options.net.clone()
    };
    let mut chosen: Vec<&Entry> = Vec::new();
    for name in &asked {
        let of_name = entries
            .iter()
            .filter(|entry| entry.costs.name == name || entry.family() == name);
        let before = chosen.len();
        chosen.extend(of_name);
        if chosen.len() == before {
            return Err(format!(
                "no network `{name}` for this data set ({}); available: {}; use --data to choose another data set",
                data.sizes(),
                names(entries)
            ));
        }
    }
    Ok(chosen)
}

/// The network of this name.
pub(crate) fn find(name: &str) -> Result<Entry, String> {
    let entries = catalog::entries();
    let found = entries.iter().find(|entry| entry.costs.name == name);
    found
        .cloned()
        .ok_or_else(|| format!("no network `{name}`; available: {}", names(&entries)))
}

fn names(entries: &[Entry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.costs.name).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// The recipe given on the command line.
pub(crate) fn recipe(of_net: &Recipe, options: &Options, seed: u64) -> Result<Recipe, Box<dyn Error>> {
    let mut recipe = match options.recipe.as_deref() {
        None => of_net.clone(),
        Some("se_resnet") => Recipe::se_resnet(),
        Some("convmixer") => Recipe::convmixer(),
        Some(file) => {
            let path = Path::new(file);
            if !path.exists() {
                let expected = "expected se_resnet, convmixer or a JSON file with a recipe";
                return Err(format!("--recipe {file}: {expected}; no such file").into());
            }
            json::read(path).map_err(|error| format!("--recipe {file}: {error}"))?
        }
    };
    recipe.seed = seed;
    if let Some(epochs) = options.epochs {
        (recipe.epochs, recipe.steps) = (epochs.get(), None);
    }
    if let Some(batch) = options.batch {
        recipe.batch = batch.get() as usize;
    }
    if let Some(rate) = options.lr {
        recipe.rate = rate;
    }
    recipe.check()?;
    Ok(recipe)
}

/// The folder of a run, and how to open it: with --resume an existing run is resumed; otherwise it stays untouched and
/// the run gets a new folder.
pub(crate) fn folder(options: &Options, name: &str) -> (PathBuf, Opening) {
    let first = options.out.join(name);
    if options.resume.is_some() {
        return (first, Opening::Either);
    }
    let others = (2..).map(|number| options.out.join(format!("{name}-run{number}")));
    let mut all = std::iter::once(first.clone()).chain(others);
    let free = all.find(|folder| !folder.join("run.json").exists());
    (free.unwrap_or(first), Opening::New)
}
