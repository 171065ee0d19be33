//! The networks of specifications as the training commands take them.

use super::output::Terminal;
use super::{Choice, Status};
use crate::graph::train::{Classifier, LoadError, Model, Unfit};
use crate::spec::{Spec, SpecError};
use crate::value::Value;
use ksdsl_train_core::Recipe;
use ksdsl_train_core::data::{Dataset, Scaling, Sizes};
use ksdsl_train_core::program::device::{Place, Precision, only_cpu};
use ksdsl_train_core::program::job::Job;
use ksdsl_train_core::program::output::note;
use ksdsl_train_core::program::{Done, Net, Program, refuse_broken};
use ksdsl_train_core::run::{Description, Facts};
use ksdsl_train_core::trainer::{Outcome, TrainError};
use std::error::Error;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// The classifiers to train.
#[derive(Default)]
pub(super) struct Specs {
    networks: Vec<Classifier>,
}

/// Why a specification has no classifier of images.
#[derive(Debug)]
struct NoClassifier {
    place: String,
    unfit: Unfit,
}

impl fmt::Display for NoClassifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.unfit)
    }
}

impl Error for NoClassifier {}

/// What the command line chooses does not fit together.
#[derive(Debug)]
pub(super) struct Usage(pub(super) String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Usage {}

impl Specs {
    /// The chosen network of a file, once for each list of values.
    pub(super) fn read(
        (file, choice): (&Path, &Choice),
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
            specs.networks.push(classifier(&spec, network, &all)?);
        }
        Ok(specs)
    }
}

fn classifier(
    spec: &Spec,
    network: crate::ir::Network,
    settings: &[(String, Value)],
) -> Result<Classifier, Box<dyn Error>> {
    Classifier::of(network, settings).map_err(|unfit| {
        let source = spec.source();
        let place = match unfit.offset() {
            Some(offset) => {
                let (line, column) = source.line_column(offset);
                format!("{}:{line}:{column}", source.name_at(offset))
            }
            None => source.name().to_owned(),
        };
        NoClassifier { place, unfit }.into()
    })
}

impl Program for Specs {
    fn name(&self) -> &'static str {
        "ksn"
    }

    fn networks(&self, data: Sizes) -> Result<Vec<Box<dyn Net>>, Box<dyn Error>> {
        let net = |network: &Classifier| -> Result<Box<dyn Net>, Box<dyn Error>> {
            check_sizes(network, data)?;
            Ok(Box::new(SpecNet::new(network.clone())))
        };
        self.networks.iter().map(net).collect()
    }

    /// A run says all of its network.
    fn of_run(&self, run: &Description) -> Result<Box<dyn Net>, Box<dyn Error>> {
        let mut settings = Vec::new();
        for (name, text) in &run.settings {
            let value =
                Value::parse(text).ok_or_else(|| format!("run.json: `settings.{name}` is `{text}`: no value"))?;
            settings.push((name.clone(), value));
        }
        let spec = Spec::parse("run.json", &run.specification).network(&run.network);
        let set = |spec: Spec, (name, value): &(String, Value)| spec.set(name, value.clone());
        let spec = settings.iter().fold(spec, set);
        let (network, _) = spec.compile_one()?;
        Ok(Box::new(SpecNet::new(classifier(&spec, network, &settings)?)))
    }

    fn picture_size(&self) -> [usize; 3] {
        self.networks.first().map_or([0; 3], |network| network.sizes().image())
    }

    fn prepare(&self, place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
        only_cpu(
            place,
            precision,
            "specifications train on the CPU, generated models on GPUs, too",
        )
    }
}

/// Whether a data set has what a network takes and gives; the error says what to set.
fn check_sizes(network: &Classifier, data: Sizes) -> Result<(), Usage> {
    let sizes = network.sizes();
    if sizes == data {
        return Ok(());
    }
    let fix = match sizes.image() == data.image() {
        true => format!(
            "end the network with {} values (often `--set classes={0}`)",
            data.classes
        ),
        false => {
            let [channels, height, width] = data.image();
            format!("change its input to `input {channels} x {height} x {width}`")
        }
    };
    Err(Usage(format!(
        "the data set has {data}; `{}` is for {sizes}: {fix}, or choose another data set with --data",
        network.facts().label()
    )))
}

/// A network of a specification.
struct SpecNet {
    network: Classifier,
    recipe: Recipe,
}

impl SpecNet {
    fn new(network: Classifier) -> Self {
        Self {
            network,
            recipe: Recipe::default(),
        }
    }
}

impl Net for SpecNet {
    fn facts(&self) -> &Facts {
        self.network.facts()
    }

    fn sizes(&self) -> Sizes {
        self.network.sizes()
    }

    fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    fn train(&self, job: Job<'_>, _: Place) -> Result<Outcome, TrainError> {
        let mut source = job.source();
        self.network.train(job.trainer(), &mut source)
    }

    fn logits(
        &self,
        checkpoint: &Path,
        images: &Dataset,
        scaling: &Scaling,
        _: Place,
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        let mut model = Model::new(self.network.network(), 0);
        let unstated = model.load(checkpoint)?;
        if let Some(unstated) = unstated {
            note(format_args!("warning: {}: {unstated}", checkpoint.display()));
        }
        refuse_broken(&model.non_finite(), checkpoint)?;
        Ok(model.logits(images, scaling)?)
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
    } else if let Some(NoClassifier { unfit, .. }) = error.downcast_ref() {
        terminal.complain(&error.to_string(), Some(unfit.fix()));
        Status::Invalid
    } else if error.is::<Usage>() {
        terminal.fail(&error.to_string())
    } else if error.is::<TrainError>() || error.is::<LoadError>() {
        terminal.fail(&error.to_string());
        Status::Invalid
    } else {
        terminal.fail(&error.to_string())
    };
    ExitCode::from(status as u8)
}
