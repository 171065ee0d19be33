//! Networks that classify images, which the trainer takes.

use super::objective::Classes;
use super::subject::Subject;
use crate::graph::walk::size;
use crate::ir::{Network, Port, Shape, in_words};
use crate::value::Value;
use ksdsl_cpu::CpuExec;
use ksdsl_engine::update::Updates;
use ksdsl_train_core::data::Sizes;
use ksdsl_train_core::run::Facts;
use ksdsl_train_core::source::Source;
use ksdsl_train_core::trainer::{Outcome, TrainError, Trainer};
use std::fmt;

/// A network with one input `C x H x W` and one output of logits.
#[derive(Clone, Debug)]
pub struct Classifier {
    subject: Subject,
    sizes: Sizes,
}

/// Why a network is no classifier of images, language model or solver of puzzles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    network: String,
    what: String,
    fix: &'static str,
    /// Where the last layer is written, if the output is at fault.
    output: Option<usize>,
}

impl Unfit {
    /// How to change the network.
    pub fn fix(&self) -> &'static str {
        self.fix
    }

    /// The offset in the source of the layer whose output does not fit; none if an input is at fault.
    pub fn offset(&self) -> Option<usize> {
        self.output
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "network `{}` {}, but only classifiers of images, language models and solvers of puzzles train without a program",
            self.network, self.what
        )
    }
}

impl std::error::Error for Unfit {}

const TASK: &str = "one input `C x H x W` and one output of a value for each class are needed, or one input `T of V` and one \
                    output of V values for each of the T tokens (and for puzzles a second one of a single value); other \
                    networks train in Rust, with `Trainer::train_task` of `ksdsl-train`";
const IMAGES: &str = "write the input as `input C x H x W`, such as `input 1 x 8 x 8`; `flatten` makes a vector of it";
const CLASSES: &str = "end the network with a value for each class, such as `global_avg_pool; linear(10)` or \
                       `flatten; linear(10)`";

impl Classifier {
    /// A network without errors, with the values of parameters that its specification does not say.
    ///
    /// # Errors
    /// If it has several inputs or outputs, or takes no images, or gives no vector.
    pub fn of(network: Network, settings: &[(String, Value)]) -> Result<Self, Unfit> {
        let sizes = sizes(&network)?;
        let subject = Subject::new(network, settings);
        Ok(Self { subject, sizes })
    }

    /// What it takes and gives.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// What its training starts as and from.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The same, to change it.
    pub fn subject_mut(&mut self) -> &mut Subject {
        &mut self.subject
    }

    /// What a run folder says of it.
    pub fn facts(&self) -> &Facts {
        &self.subject.facts
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.subject.network
    }

    /// Trains it on the CPU from the initial values of the recipe's seed; a trainer with a folder saves the model.
    ///
    /// # Errors
    /// Those of the trainer.
    pub fn train(&self, trainer: Trainer<'_>, source: &mut dyn Source) -> Result<Outcome, TrainError> {
        self.train_on(CpuExec, trainer, source)
    }

    /// As [`Classifier::train`], on an executor.
    ///
    /// # Errors
    /// Those of the trainer.
    pub fn train_on<X: Updates<f32>>(
        &self,
        exec: X,
        mut trainer: Trainer<'_>,
        source: &mut dyn Source,
    ) -> Result<Outcome, TrainError> {
        let validation = trainer.classify(self.sizes, source.sizes())?;
        let classes = self.sizes.classes;
        let objective = Classes { classes, validation };
        let mut training = self.subject.training(exec, &trainer, objective)?;
        trainer.train_on_images(self.subject.facts.clone(), &mut training, source)
    }
}

/// Why a network does not train, how to change it, and the place of the layer whose output is at fault.
pub(super) fn unfit(network: &Network, what: String, fix: &'static str, output: Option<usize>) -> Unfit {
    Unfit {
        network: network.name.clone(),
        what,
        fix,
        output,
    }
}

fn sizes(network: &Network) -> Result<Sizes, Unfit> {
    let unfit = |what, fix, output| unfit(network, what, fix, output);
    let ([input], [output]) = (network.inputs.as_slice(), network.outputs.as_slice()) else {
        let what = format!(
            "has {} and {}",
            ports("input", &network.inputs),
            ports("output", &network.outputs)
        );
        return Err(unfit(what, TASK, None));
    };
    let Shape::Map {
        channels,
        height,
        width,
    } = input.shape
    else {
        return Err(unfit(format!("takes {}", in_words(input.shape)), IMAGES, None));
    };
    let Shape::Flat(classes) = output.shape else {
        let last = network.layers.last().map(|layer| layer.span.start as usize);
        return Err(unfit(format!("gives {}", in_words(output.shape)), CLASSES, last));
    };
    Ok(Sizes::new([channels, height, width].map(size), size(classes)))
}

/// `2 inputs (left, right)`.
fn ports(word: &str, ports: &[Port]) -> String {
    let names: Vec<&str> = ports.iter().filter_map(|port| port.name.as_deref()).collect();
    match ports {
        [_] => format!("one {word}"),
        _ => format!("{} {word}s ({})", ports.len(), names.join(", ")),
    }
}
