//! What networks learn, as the training commands take it.

use super::device::on;
use super::fit::check_tokens;
use super::specs::Usage;
use crate::graph::train::{Classifier, LanguageModel, Model, Solver};
use crate::ir::Network;
use ksdsl_engine::Exec;
use ksdsl_train_core::data::{Dataset, Scaling, Sizes};
use ksdsl_train_core::metrics::Evaluation;
use ksdsl_train_core::program::device::Place;
use ksdsl_train_core::program::job::Job;
use ksdsl_train_core::program::output::note;
use ksdsl_train_core::program::{ImageNet, LanguageNet, PuzzleNet, Solving, refuse_broken};
use ksdsl_train_core::puzzle::Sudoku;
use ksdsl_train_core::task::TaskError;
use ksdsl_train_core::text::Text;
use ksdsl_train_core::trainer::{Outcome, TrainError};
use std::error::Error;
use std::path::Path;

impl LanguageNet for LanguageModel {
    fn train(&self, job: Job<'_, Text>, place: Place) -> Result<Outcome, Box<dyn Error>> {
        let text = job.data;
        on!(place, |exec| Ok(self.train_on(exec, job.plain_trainer(), text)?))
    }

    fn evaluate(
        &self,
        checkpoint: &Path,
        text: &Text,
        by_token: bool,
        place: Place,
    ) -> Result<Evaluation, Box<dyn Error>> {
        on!(place, |exec| {
            let model = load(exec, self.network(), checkpoint)?;
            if !by_token {
                return Ok(LanguageModel::evaluate(self, &model, text)?);
            }
            let (evaluation, iterations) = self.evaluate_by_token(&model, text)?;
            if !self.network().loops.is_empty() {
                note(format_args!("{iterations:.2} iterations of loops per token"));
            }
            Ok(evaluation)
        })
    }

    fn check(&self, text: &Text) -> Result<(), Box<dyn Error>> {
        Ok(check_tokens(self, text)?)
    }
}

impl PuzzleNet for Solver {
    fn train(&self, job: Job<'_, Sudoku>, place: Place) -> Result<Outcome, Box<dyn Error>> {
        let puzzles = *job.data;
        on!(place, |exec| Ok(self.train_on(exec, job.plain_trainer(), puzzles)?))
    }

    fn evaluate(&self, checkpoint: &Path, puzzles: Sudoku, how: &Solving) -> Result<Evaluation, Box<dyn Error>> {
        self.check(puzzles).map_err(Usage)?;
        on!(how.place, |exec| {
            let mut model = load(exec, self.network(), checkpoint)?;
            model.graph_mut().set_exits(how.exits);
            Ok(Solver::evaluate(self, &model, puzzles, how.at_once)?)
        })
    }
}

/// A model from a checkpoint, on an executor.
pub(super) fn load<X: Exec<f32>>(exec: X, network: &Network, checkpoint: &Path) -> Result<Model<X>, Box<dyn Error>> {
    let mut model = Model::on(exec, network, 0)?;
    let unstated = model.load(checkpoint)?;
    if let Some(unstated) = unstated {
        note(format_args!("warning: {}: {unstated}", checkpoint.display()));
    }
    let broken = model.non_finite().map_err(TaskError::device)?;
    refuse_broken(&broken, checkpoint)?;
    Ok(model)
}

impl ImageNet for Classifier {
    fn sizes(&self) -> Sizes {
        Classifier::sizes(self)
    }

    fn train(&self, job: Job<'_>, place: Place) -> Result<Outcome, TrainError> {
        let mut source = job.source();
        let trained = on!(place, |exec| Ok(self.train_on(exec, job.trainer(), &mut source)));
        trained.unwrap_or_else(|error: Box<dyn Error>| Err(TrainError::Device(error.to_string())))
    }

    fn logits(
        &self,
        checkpoint: &Path,
        images: &Dataset,
        scaling: &Scaling,
        place: Place,
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        on!(place, |exec| Ok(
            load(exec, self.network(), checkpoint)?.logits(images, scaling)?
        ))
    }
}
