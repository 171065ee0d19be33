//! Studies: files that state which networks a sweep trains, on which data, with which recipes and seeds.

use super::begin::{Begin, Set};
use super::output::Terminal;
use super::specs::{Outset, Specs, Usage};
use super::start::Start;
use super::sweep::{MOST, Values, combinations};
use super::{Choice, setting};
use crate::value::Value;
use ksdsl_files::TEXT_BYTES;
use ksdsl_train_core::program::Done;
use ksdsl_train_core::program::data::Kind;
use ksdsl_train_core::program::sweep::{self, Options, Part};
use ksdsl_train_core::recipe::Changes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// A study, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Study {
    #[serde(default)]
    training: Training,
    network: Vec<Network>,
}

/// How networks are trained. What a network does not state is as the study states it.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Training {
    data: Option<String>,
    tokens: Option<String>,
    images: Option<NonZeroU32>,
    seed: Option<u64>,
    seeds: Option<NonZeroU32>,
    recipe: Option<toml::Table>,
    weights: Option<PathBuf>,
    weights_except: Option<Vec<String>>,
}

/// A network, or several that differ in the values of parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    label: String,
    file: PathBuf,
    net: Option<String>,
    #[serde(default)]
    set: toml::Table,
    #[serde(default)]
    sweep: toml::Table,
    begin: Option<Beginning>,
    #[serde(default)]
    training: Training,
}

/// The network as which a training begins.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beginning {
    epochs: NonZeroU32,
    net: Option<String>,
    #[serde(default)]
    set: toml::Table,
}

/// A network with the name of its runs.
struct Labelled {
    label: String,
    specs: Specs,
    training: Training,
}

/// Trains the networks of a study.
pub(super) fn run(file: &Path, options: &Options, terminal: &Terminal) -> Done {
    let wrong = |error: &dyn Display| -> Box<dyn Error> { Usage(format!("{}: {error}", file.display())).into() };
    let bytes = ksdsl_files::read(file, TEXT_BYTES).map_err(|error| wrong(&error))?;
    let text = String::from_utf8(bytes).map_err(|error| wrong(&error))?;
    let study: Study = toml::from_str(&text).map_err(|error| wrong(&error))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    if study.network.is_empty() {
        return Err(wrong(&"a study has at least one `[[network]]`"));
    }
    let networks = study.networks(folder, &wrong, terminal)?;
    let out = options.out().join(file.file_stem().unwrap_or_default());
    let mut parts = Vec::new();
    for network in &networks {
        let training = network.training.read(folder);
        let training = training.map_err(|error| wrong(&format_args!("`{}`: {error}", network.label)))?;
        parts.push(Part {
            label: network.label.clone(),
            program: &network.specs,
            options: options.of(training, out.clone()),
        });
    }
    sweep::study(&parts)
}

impl Study {
    /// Its networks. Files are named as seen from `folder`.
    fn networks(
        &self,
        folder: &Path,
        wrong: &dyn Fn(&dyn Display) -> Box<dyn Error>,
        terminal: &Terminal,
    ) -> Result<Vec<Labelled>, Box<dyn Error>> {
        let mut all: Vec<Labelled> = Vec::new();
        for network in &self.network {
            let here = |error: String| wrong(&format_args!("`{}`: {error}", network.label));
            let values = network.values().map_err(here)?;
            let begin = network.begin.as_ref().map(Beginning::read).transpose();
            let training = network.training.or(&self.training);
            let outset = Outset {
                begin: begin.map_err(|error| here(format!("`begin`: {error}")))?,
                start: training.start(folder).map_err(here)?,
            };
            for (varied, set) in values {
                if all.len() == MOST {
                    return Err(wrong(&format_args!("a study has at most {MOST} networks")));
                }
                let choice = Choice {
                    net: network.net.clone(),
                    set: Vec::new(),
                };
                let varied: String = varied
                    .iter()
                    .map(|(name, value)| format!(", {name} = {value}"))
                    .collect();
                all.push(Labelled {
                    label: format!("{}{varied}", network.label),
                    specs: Specs::read((&folder.join(&network.file), &choice, &outset), &[set], terminal)?,
                    training: training.clone(),
                });
            }
        }
        let mut folders = BTreeMap::new();
        for Labelled { label, .. } in &all {
            if let Some(other) = folders.insert(sweep::folder_of(label), label) {
                return Err(wrong(&format_args!(
                    "the labels `{other}` and `{label}` name the same run folders"
                )));
            }
        }
        Ok(all)
    }
}

/// A parameter and its value.
fn parameter((name, value): (&String, &toml::Value)) -> Result<(String, Value), String> {
    let value = written(value).and_then(|value| setting(&format!("{name}={value}")));
    value.map_err(|error| format!("`{name}`: {error}"))
}

impl Beginning {
    fn read(&self) -> Result<Begin, String> {
        Ok(Begin {
            net: self.net.clone(),
            set: self.set.iter().map(parameter).collect::<Result<_, _>>()?,
            epochs: self.epochs,
        })
    }
}

impl Network {
    /// For each combination of values, what varies, and all values.
    fn values(&self) -> Result<Vec<(Set, Set)>, String> {
        let fixed: Set = self.set.iter().map(parameter).collect::<Result<_, _>>()?;
        let list = |(name, values): (&String, &toml::Value)| match values {
            toml::Value::Array(values) if !values.is_empty() => {
                let values: Set = values
                    .iter()
                    .map(|value| parameter((name, value)))
                    .collect::<Result<_, _>>()?;
                let name = name.clone();
                let values = values.into_iter().map(|(_, value)| value).collect();
                Ok(Values { name, values })
            }
            _ => Err(format!("`sweep.{name}` is no list of values")),
        };
        let varied: Vec<Values> = self.sweep.iter().map(list).collect::<Result<_, _>>()?;
        if let Some(name) = self.sweep.keys().find(|name| self.set.contains_key(*name)) {
            return Err(format!("`{name}` is in `set` and in `sweep`"));
        }
        let all = combinations(&varied)?.into_iter();
        Ok(all
            .map(|varied| (varied.clone(), fixed.iter().cloned().chain(varied).collect()))
            .collect())
    }
}

impl Training {
    /// These settings; where there are none, the others.
    fn or(&self, other: &Self) -> Self {
        let (own, other) = (self.clone(), other.clone());
        Self {
            data: own.data.or(other.data),
            tokens: own.tokens.or(other.tokens),
            images: own.images.or(other.images),
            seed: own.seed.or(other.seed),
            seeds: own.seeds.or(other.seeds),
            recipe: own.recipe.or(other.recipe),
            weights: own.weights.or(other.weights),
            weights_except: own.weights_except.or(other.weights_except),
        }
    }

    /// The checkpoint from which networks start.
    fn start(&self, folder: &Path) -> Result<Option<Start>, String> {
        match (&self.weights, &self.weights_except) {
            (Some(file), except) => Ok(Some(Start {
                checkpoint: folder.join(file),
                except: except.clone().unwrap_or_default(),
            })),
            (None, Some(_)) => Err("`weights_except` without `weights`, the checkpoint to start from".to_owned()),
            (None, None) => Ok(None),
        }
    }

    /// As the trainer takes them.
    fn read(&self, folder: &Path) -> Result<sweep::Training, String> {
        let data = self.data.as_ref().map(|data| data.parse::<Kind>());
        let data = data.transpose().map_err(|error| format!("`data`: {error}"))?;
        let tokens = self.tokens.as_ref().map(|tokens| tokens.parse());
        let tokens = tokens.transpose().map_err(|error| format!("`tokens`: {error}"))?;
        let (recipe, changes) = self.recipe()?;
        let file = recipe.as_ref().map(|recipe| folder.join(recipe));
        let file = file
            .filter(|file| file.exists())
            .map(|file| file.to_string_lossy().into_owned());
        Ok(sweep::Training {
            data: data.map(|data| data.from_folder(folder)),
            tokens,
            images: self.images,
            seed: self.seed,
            seeds: self.seeds,
            recipe: file.or(recipe),
            changes,
        })
    }

    /// The name of the recipe, and what is changed in it.
    fn recipe(&self) -> Result<(Option<String>, Changes), String> {
        let mut table = self.recipe.clone().unwrap_or_default();
        let preset = match table.remove("preset") {
            None => None,
            Some(toml::Value::String(name)) => Some(name),
            Some(other) => {
                let kind = other.type_str();
                return Err(format!(
                    "`recipe.preset`: expected the name of a recipe, not a value of type {kind}"
                ));
            }
        };
        if table.contains_key("seed") {
            return Err("`recipe.seed`: seeds are stated by `seed` and `seeds` beside `recipe`".to_owned());
        }
        match serde_json::to_value(table) {
            Ok(serde_json::Value::Object(changes)) => Ok((preset, changes)),
            _ => Err("`recipe` is no table".to_owned()),
        }
    }
}

/// A value as the language writes it.
fn written(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(value) => Ok(value.to_string()),
        toml::Value::Float(value) => Ok(format!("{value:?}")),
        toml::Value::Boolean(value) => Ok(value.to_string()),
        toml::Value::Array(items) => {
            let items: Vec<String> = items.iter().map(written).collect::<Result<_, _>>()?;
            Ok(format!("[{}]", items.join(", ")))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => {
            Err(format!("parameters have no values of type {}", value.type_str()))
        }
    }
}
