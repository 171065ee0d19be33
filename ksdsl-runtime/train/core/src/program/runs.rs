//! The runs of a command: all networks with one seed, then all with the next.

use super::data::{Kind, Sets};
use super::output::note;
use super::train::Plan;
use super::{RunOptions, Tried};
use crate::recipe::Recipe;
use crate::report::{Run, time};
use crate::text::{Text, Vocabulary};
use crate::trainer::Outcome;
use std::path::PathBuf;
use std::rc::Rc;

/// A run that has ended or was stopped.
pub(super) struct Trained {
    /// The label of its plan.
    pub(super) label: Option<String>,
    /// Its run folder.
    pub(super) folder: PathBuf,
    /// What came out.
    pub(super) outcome: Outcome,
}

/// Trains the networks of all plans, until a stop is requested; every network is checked before the first is trained.
/// `ended` is called after each run, with all so far.
pub(super) fn all(plans: &[Plan<'_>], ended: &mut dyn FnMut(&[Trained]) -> Tried<()>) -> Tried<Vec<Trained>> {
    let mut opened = Opened::default();
    let mut forecast = Forecast::new(plans, &mut opened)?;
    let rounds = plans.iter().map(|plan| plan.options.seeds().count()).max();
    let mut trained = Vec::new();
    for round in 0..rounds.unwrap_or(0) {
        for (at, plan) in plans.iter().enumerate() {
            let Some(seed) = plan.options.seeds().nth(round) else {
                continue;
            };
            let sets = opened.get(plan, seed)?;
            for (net, (model, recipe)) in plan.networks(&sets, seed)?.into_iter().enumerate() {
                forecast.say(plan.label.unwrap_or(&model.facts().label()), seed);
                trained.push(plan.train_named(&*model, &sets, recipe)?);
                let stopped = plan.stop.is_requested();
                if let (Some(run), false) = (trained.last(), stopped) {
                    forecast.ended((at, net), Run::read(&run.folder)?.history.seconds());
                    ended(&trained)?;
                }
                if stopped {
                    return Ok(trained);
                }
            }
        }
    }
    Ok(trained)
}

/// The data sets that are open.
#[derive(Default)]
struct Opened {
    all: Vec<Open>,
}

/// A data set that is open.
struct Open {
    /// What it is, as options say it.
    name: String,
    /// The seed that splits it, if one does.
    seed: Option<u64>,
    sets: Rc<Sets>,
}

impl Opened {
    fn get(&mut self, plan: &Plan<'_>, seed: u64) -> Tried<Rc<Sets>> {
        let RunOptions { tokens, .. } = plan.options;
        let tokens = tokens.clone().unwrap_or_default();
        let (images, size) = (plan.options.images(), plan.program.picture_size());
        let name = format!("{} {tokens} {images:?} {size:?}", plan.kind);
        let split = plan.kind.is_split_by_seed().then_some(seed);
        if let Some(open) = self.all.iter().find(|open| open.name == name && open.seed == split) {
            return Ok(Rc::clone(&open.sets));
        }
        // The split of another seed is not needed again.
        self.all.retain(|open| open.name != name);
        let sets = match &plan.kind {
            Kind::Text(origin) => Sets::Text(Text::open(origin, Vocabulary::Chosen(&tokens))?),
            Kind::Sudoku(sudoku) => Sets::Puzzles(*sudoku),
            kind => Sets::Images(kind.open((seed, images), size, &plan.stop)?),
        };
        let sets = Rc::new(sets);
        self.all.push(Open {
            name,
            seed: split,
            sets: Rc::clone(&sets),
        });
        Ok(sets)
    }
}

/// How long the remaining runs take.
struct Forecast {
    /// By plan and network: its work, the runs that are left, and the seconds of those that ended.
    networks: Vec<((usize, usize), Work)>,
    runs: usize,
}

struct Work {
    /// Multiply-adds of a run.
    size: f64,
    left: usize,
    seconds: Vec<f64>,
}

impl Forecast {
    fn new(plans: &[Plan<'_>], opened: &mut Opened) -> Tried<Self> {
        let mut networks = Vec::new();
        for (at, plan) in plans.iter().enumerate() {
            let seed = plan.options.seeds().next().unwrap_or(0);
            let sets = opened.get(plan, seed)?;
            for (net, (model, recipe)) in plan.networks(&sets, seed)?.iter().enumerate() {
                let work = Work {
                    size: model.facts().multiply_adds as f64 * examples(recipe, &sets),
                    left: plan.options.seeds().count(),
                    seconds: Vec::new(),
                };
                networks.push(((at, net), work));
            }
        }
        let runs = networks.iter().map(|(_, work)| work.left).sum();
        Ok(Self { networks, runs })
    }

    /// Says which run begins, if there are several.
    fn say(&self, name: &str, seed: u64) {
        if self.runs < 2 {
            return;
        }
        let left: usize = self.networks.iter().map(|(_, work)| work.left).sum();
        let about = match self.seconds_left() {
            Some(seconds) => format!(", about {} left", time(seconds)),
            None => String::new(),
        };
        let number = self.runs - left + 1;
        note(format_args!(
            "run {number} of {}: {name}, seed {seed}{about}",
            self.runs
        ));
    }

    fn ended(&mut self, at: (usize, usize), seconds: f64) {
        if let Some((_, work)) = self.networks.iter_mut().find(|(known, _)| *known == at) {
            work.left = work.left.saturating_sub(1);
            work.seconds.push(seconds);
        }
    }

    /// Of a network that has been trained, the mean of its runs; of others, in proportion to their multiply-adds.
    fn seconds_left(&self) -> Option<f64> {
        let works = || self.networks.iter().map(|(_, work)| work);
        let seconds: f64 = works().flat_map(|work| &work.seconds).sum();
        let size: f64 = works().map(|work| work.size * work.seconds.len() as f64).sum();
        if seconds == 0.0 || size == 0.0 {
            return None;
        }
        let of_run = |work: &Work| match work.seconds.len() {
            0 => work.size * seconds / size,
            count => work.seconds.iter().sum::<f64>() / count as f64,
        };
        Some(works().map(|work| work.left as f64 * of_run(work)).sum())
    }
}

/// The examples that a run sees.
fn examples(recipe: &Recipe, sets: &Sets) -> f64 {
    let pass = match sets {
        Sets::Images(data) => data.training.len() as f64,
        Sets::Text(text) => text.tokens.len() as f64,
        // Their recipes count steps.
        Sets::Puzzles(_) => 1.0,
    };
    let batch = recipe.batch as f64;
    match (recipe.steps, recipe.steps_per_epoch) {
        (Some(steps), _) => steps as f64 * batch,
        (None, Some(steps)) => f64::from(recipe.epochs) * steps as f64 * batch,
        (None, None) => f64::from(recipe.epochs) * pass,
    }
}

#[cfg(test)]
mod tests {
    use super::{Forecast, Work};

    fn network(at: usize, size: f64, left: usize, seconds: &[f64]) -> ((usize, usize), Work) {
        let seconds = seconds.to_vec();
        ((at, 0), Work { size, left, seconds })
    }

    #[test]
    fn what_is_left_is_the_mean_of_a_networks_runs_or_in_proportion_to_its_work() {
        let mut forecast = Forecast {
            networks: vec![network(0, 10.0, 3, &[]), network(1, 20.0, 3, &[])],
            runs: 6,
        };
        assert_eq!(forecast.seconds_left(), None);
        forecast.ended((0, 0), 5.0);
        // Two runs of 5 s, and three of twice the work.
        assert_eq!(forecast.seconds_left(), Some(2.0 * 5.0 + 3.0 * 10.0));
        forecast.ended((1, 0), 40.0);
        assert_eq!(forecast.seconds_left(), Some(2.0 * 5.0 + 2.0 * 40.0));
        forecast.ended((1, 0), 20.0);
        assert_eq!(forecast.seconds_left(), Some(2.0 * 5.0 + 30.0));
    }
}
