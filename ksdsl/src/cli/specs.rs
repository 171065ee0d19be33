//! The networks of specifications as the training commands take them.

use super::begin::Begin;
use super::device;
use super::fit::{check_sizes, check_tokens};
use super::output::Terminal;
use super::start::{NoStart, Start};
use super::table::bytes;
use super::{Choice, Status};
use crate::graph::budget::MemoryBudget;
use crate::graph::train::{Classifier, LanguageError, LanguageModel, LoadError, Solver, Subject, Unfit};
use crate::ir::Network;
use crate::spec::{Spec, SpecError};
use crate::value::Value;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::program::data::{Kind, Sets};
use ksdsl_train_core::program::device::{Place, Precision};
use ksdsl_train_core::program::{Done, Net, Program, Task};
use ksdsl_train_core::run::{Description, Facts};
use ksdsl_train_core::text::Origin;
use ksdsl_train_core::trainer::TrainError;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// The networks to train.
#[derive(Default)]
pub(super) struct Specs {
    networks: Vec<SpecNet>,
}

/// Why a specification has nothing to train.
#[derive(Debug)]
struct NoTask {
    place: String,
    unfit: Unfit,
}

impl fmt::Display for NoTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.unfit)
    }
}

impl Error for NoTask {}

/// What the command line chooses does not fit together.
#[derive(Debug)]
pub(super) struct Usage(pub(super) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

/// What a training begins as and starts from, if not as its own network from random weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Outset {
    pub(super) begin: Option<Begin>,
    pub(super) start: Option<Start>,
}

impl Specs {
    /// The chosen network of a file, once for each list of values.
    pub(super) fn read(
        (file, choice, outset): (&Path, &Choice, &Outset),
        values: &[Vec<(String, Value)>],
        terminal: &Terminal,
    ) -> Result<Self, Box<dyn Error>> {
        let mut specs = Self::default();
        for values in values {
            let spec = values
                .iter()
                .fold(choice.spec(file)?, |spec, (name, value)| spec.set(name, value.clone()));
            let all: Vec<(String, Value)> = choice.set.iter().chain(values).cloned().collect();
            let (network, warnings) = spec.compile_one()?;
            if specs.networks.is_empty() {
                terminal.diagnostics(spec.source(), &warnings);
            }
            let mut net = learnable(&spec, network, &all)?;
            let subject = net.model.subject_mut();
            if let Some(begin) = &outset.begin {
                let (first, set) = begin.network((file, choice), &all)?;
                subject.begin_as(first, &set, begin.epochs.get()).map_err(Usage)?;
            }
            if let Some(start) = &outset.start {
                start.apply(subject)?;
            }
            specs.networks.push(net);
        }
        Ok(specs)
    }
}

fn learnable(spec: &Spec, network: Network, settings: &[(String, Value)]) -> Result<SpecNet, Box<dyn Error>> {
    let net = if Solver::is_meant(&network) {
        Solver::of(network, settings).map(SpecNet::solver)
    } else if LanguageModel::is_meant(&network) {
        LanguageModel::of(network, settings).map(SpecNet::language)
    } else {
        Classifier::of(network, settings).map(SpecNet::classifier)
    };
    net.map_err(|unfit| {
        let source = spec.source();
        let place = match unfit.offset() {
            Some(offset) => {
                let (line, column) = source.line_column(offset);
                format!("{}:{line}:{column}", source.name_at(offset))
            }
            None => source.name().to_owned(),
        };
        NoTask { place, unfit }.into()
    })
}

impl Program for Specs {
    fn name(&self) -> &'static str {
        "ksn"
    }

    fn networks(&self, data: &Sets) -> Result<Vec<Box<dyn Net>>, Box<dyn Error>> {
        let net = |net: &SpecNet| -> Result<Box<dyn Net>, Box<dyn Error>> {
            match (&net.model, data) {
                (Learnable::Classifier(network), Sets::Images(data)) => check_sizes(network, data.training.sizes())?,
                (Learnable::Language(network), Sets::Text(text)) => check_tokens(network, text)?,
                (Learnable::Solver(network), Sets::Puzzles(puzzles)) => network.check(*puzzles).map_err(Usage)?,
                (Learnable::Language(network), Sets::Puzzles(puzzles))
                    if !network.has_exits() && !network.has_lengths() =>
                {
                    let solver = Solver::of_model(network);
                    solver.check(*puzzles).map_err(Usage)?;
                    return Ok(Box::new(SpecNet::solver(solver)));
                }
                _ => return Err(unsuitable(net).into()),
            }
            Ok(Box::new(net.clone()))
        };
        self.networks.iter().map(net).collect()
    }

    /// A run says all of its network.
    fn of_run(&self, run: &Description) -> Result<Box<dyn Net>, Box<dyn Error>> {
        let (spec, settings) = spec_of(run)?;
        let (network, _) = spec.compile_one()?;
        let mut net = learnable(&spec, network, &settings)?;
        let subject = net.model.subject_mut();
        if let Some(first) = &run.beginning {
            let (spec, settings) = stored(
                (&first.specification, &first.network),
                ("beginning.settings", &first.settings),
            )?;
            let begun = subject.begin_as(spec.compile_one()?.0, &settings, first.epochs);
            begun.map_err(Usage)?;
        }
        subject.has_started_from(run.weights.clone());
        Ok(Box::new(match &net.model {
            Learnable::Language(model) if run.data.contains_key("puzzles") => SpecNet::solver(Solver::of_model(model)),
            _ => net,
        }))
    }

    fn picture_size(&self) -> [usize; 3] {
        match self.networks.first().map(|net| &net.model) {
            Some(Learnable::Classifier(network)) => network.sizes().image(),
            _ => [0; 3],
        }
    }

    fn default_data(&self) -> Kind {
        match self.networks.first().map(|net| &net.model) {
            Some(Learnable::Language(_)) => Kind::Text(Origin::Shakespeare),
            Some(Learnable::Solver(solver)) => solver.puzzles().map_or(Kind::Digits, Kind::Sudoku),
            _ => Kind::Digits,
        }
    }

    /// Before a data set is read.
    fn accepts(&self, data: &Kind) -> Result<(), String> {
        let fits = |net: &SpecNet| match net.model {
            Learnable::Classifier(_) => !matches!(data, Kind::Text(_) | Kind::Sudoku(_)),
            Learnable::Language(_) => matches!(data, Kind::Text(_) | Kind::Sudoku(_)),
            Learnable::Solver(_) => matches!(data, Kind::Sudoku(_)),
        };
        match self.networks.iter().find(|net| !fits(net)) {
            Some(net) => Err(unsuitable(net).0),
            None => Ok(()),
        }
    }

    fn prepare(&self, place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
        device::prepare(place, precision)
    }
}

/// The specification of a run, with the values of parameters that it does not say.
pub(super) fn spec_of(run: &Description) -> Result<(Spec, Vec<(String, Value)>), String> {
    stored((&run.specification, &run.network), ("settings", &run.settings))
}

fn stored(
    (text, name): (&str, &str),
    (key, texts): (&str, &BTreeMap<String, String>),
) -> Result<(Spec, Vec<(String, Value)>), String> {
    let mut settings = Vec::new();
    for (name, text) in texts {
        let value = Value::parse(text).ok_or_else(|| format!("run.json: `{key}.{name}` is `{text}`: no value"))?;
        settings.push((name.clone(), value));
    }
    let spec = Spec::parse("run.json", text).network(name);
    let set = |spec: Spec, (name, value): &(String, Value)| spec.set(name, value.clone());
    Ok((settings.iter().fold(spec, set), settings))
}

/// The error that a data set is not of the kind that a network is for.
fn unsuitable(net: &SpecNet) -> Usage {
    let label = net.facts().label();
    Usage(match net.model {
        Learnable::Classifier(_) => {
            format!("`{label}` is a classifier of images: choose images with --data, such as `--data digits`")
        }
        Learnable::Language(_) => {
            format!("`{label}` is a language model: choose a text with --data, such as `--data text:shakespeare`")
        }
        Learnable::Solver(_) => {
            format!("`{label}` solves puzzles: choose them with `--data sudoku:4` or `--data sudoku:6`")
        }
    })
}

/// A network of a specification.
#[derive(Clone)]
struct SpecNet {
    model: Learnable,
    recipe: Recipe,
}

/// What trains without a program.
#[derive(Clone)]
enum Learnable {
    Classifier(Classifier),
    Language(LanguageModel),
    Solver(Solver),
}

impl SpecNet {
    fn classifier(network: Classifier) -> Self {
        Self {
            model: Learnable::Classifier(network),
            recipe: Recipe::default(),
        }
    }

    fn solver(network: Solver) -> Self {
        Self {
            model: Learnable::Solver(network),
            recipe: Recipe::puzzles(),
        }
    }

    fn language(network: LanguageModel) -> Self {
        Self {
            model: Learnable::Language(network),
            recipe: Recipe::nanogpt(),
        }
    }
}

impl Learnable {
    fn subject(&self) -> &Subject {
        match self {
            Self::Classifier(network) => network.subject(),
            Self::Language(network) => network.subject(),
            Self::Solver(network) => network.subject(),
        }
    }

    fn subject_mut(&mut self) -> &mut Subject {
        match self {
            Self::Classifier(network) => network.subject_mut(),
            Self::Language(network) => network.subject_mut(),
            Self::Solver(network) => network.subject_mut(),
        }
    }
}

impl Net for SpecNet {
    fn facts(&self) -> &Facts {
        self.model.subject().facts()
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn within(&self, recipe: &Recipe, budget: MemoryBudget) -> Result<String, Box<dyn Error>> {
        recipe.check()?;
        let found = self.model.subject().recomputations(recipe, budget);
        let found = found.map_err(|error| Usage(format!("--budget {budget}: {error}")))?;
        let costs = found.iter().map(|recomputation| {
            format!(
                "a step takes {} instead of {}, for {:.1} % more multiply-adds",
                bytes(recomputation.bytes),
                bytes(recomputation.all_bytes),
                100.0 * recomputation.more()
            )
        });
        Ok(costs.collect::<Vec<_>>().join(", before that "))
    }

    fn trained(&self, recipe: &Recipe) -> Result<Option<u64>, Box<dyn Error>> {
        Ok(self.model.subject().trained(recipe)?)
    }

    fn task(&self) -> Task<'_> {
        match &self.model {
            Learnable::Classifier(network) => Task::Classes(network),
            Learnable::Language(network) => Task::NextToken(network),
            Learnable::Solver(network) => Task::Puzzles(network),
        }
    }
}

/// The exit code of a command, after its error is shown.
pub(super) fn finish(done: Done, terminal: &Terminal) -> ExitCode {
    let error = match done {
        Ok(code) => return code,
        Err(error) => error,
    };
    let status = if let Some(error) = error.downcast_ref::<SpecError>() {
        terminal.report(error)
    } else if let Some(NoTask { unfit, .. }) = error.downcast_ref() {
        terminal.complain(&error.to_string(), Some(unfit.fix()));
        Status::Invalid
    } else if let Some(error) = error.downcast_ref::<NoStart>() {
        terminal.complain(&error.to_string(), error.help().as_deref());
        Status::Invalid
    } else if error.is::<Usage>() {
        terminal.fail(&error.to_string())
    } else if error.is::<TrainError>() || error.is::<LoadError>() || error.is::<LanguageError>() {
        terminal.fail(&error.to_string());
        Status::Invalid
    } else {
        terminal.fail(&error.to_string())
    };
    ExitCode::from(status as u8)
}
