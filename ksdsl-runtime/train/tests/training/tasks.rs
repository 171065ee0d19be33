//! Networks with several inputs and outputs, and data that does not fit the network.

use crate::support::{data, differences, saved, sgd};
use ksdsl_runtime::dfdx::losses::mse_loss;
use ksdsl_runtime::dfdx::tensor::Gradients;
use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::{Dataset, Scaling, Sizes};
use ksdsl_train::record::{Observer, Step};
use ksdsl_train::source::{Batch, EpochBatches, Plain, Source};
use ksdsl_train::task::{Loss, Task, TaskError};
use ksdsl_train::trainer::{Outcome, TrainError};
use ksdsl_train::{Recipe, Trainer};
use std::io;
use std::path::Path;

ksnet! {
    /// A shared tower for two vectors; sum and difference of what it makes of them.
    net towers {
        input left: 3
        input right: 3
        block tower { linear(8); relu; linear(2) }
        from left
        a: tower; keep one
        from right
        b: tower; keep other
        add(one)
        output sum
        from other; subtract(one)
        output difference
        share blocks a, b
    }
}

type Towers = towers::Model<f32, Cpu>;

/// Pairs of vectors.
struct Pairs(Vec<[[f32; 3]; 2]>);

impl Batch for Pairs {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_finite(&self) -> bool {
        self.0
            .as_flattened()
            .as_flattened()
            .iter()
            .all(|value| value.is_finite())
    }
}

/// Six batches of four pairs.
struct Numbers;

impl Source<Pairs> for Numbers {
    fn images(&self) -> usize {
        24
    }

    fn steps_per_epoch(&self) -> u64 {
        6
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_, Pairs> {
        Box::new((from_step..6).map(move |step| {
            let of = |place: u64| ((u64::from(epoch) * 31 + step * 17 + place * 7) % 13) as f32 / 6.0 - 1.0;
            let pair = |pair: u64| [0, 1].map(|side| [0, 1, 2].map(|at| of(pair * 6 + side * 3 + at)));
            Ok(Pairs((0..4).map(pair).collect()))
        }))
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("pairs".to_owned(), "numbers".to_owned())]
    }
}

/// The sums and differences of the vectors' first two items.
struct Arithmetic;

impl Task<Towers, Cpu> for Arithmetic {
    type Batch = Pairs;

    fn loss(
        &self,
        model: &mut Towers,
        Pairs(pairs): &Pairs,
        gradients: Gradients<f32, Cpu>,
        device: &Cpu,
    ) -> Result<Loss<Cpu>, TaskError> {
        if pairs.len() != 4 {
            return Err(TaskError::Batch(format!("{} pairs instead of 4", pairs.len())));
        }
        let vectors = |side: usize| -> Vec<f32> { pairs.iter().flat_map(|pair| pair[side]).collect() };
        let of = |combine: fn(f32, f32) -> f32| -> Vec<f32> {
            let two = |pair: &[[f32; 3]; 2]| [0, 1].map(|at| combine(pair[1][at], pair[0][at]));
            pairs.iter().flat_map(two).collect()
        };
        let input = towers::Input {
            left: device.tensor((vectors(0), (4, Const::<3>))),
            right: device.tensor((vectors(1), (4, Const::<3>))),
        };
        let output = model
            .try_forward_mut(input.traced(gradients))
            .map_err(TaskError::device)?;
        let target = |values| device.tensor((values, (4, Const::<2>)));
        let difference = mse_loss(output.difference, target(of(|right, left| right - left)));
        Ok(mse_loss(output.sum, target(of(|right, left| right + left))) + difference)
    }
}

/// Keeps the losses; fails after a number of steps.
struct Watch {
    losses: Vec<f64>,
    last: u64,
}

impl Observer for Watch {
    fn step(&mut self, step: &Step) -> io::Result<()> {
        self.losses.push(step.loss);
        match step.number < self.last {
            true => Ok(()),
            false => Err(io::Error::other("enough")),
        }
    }
}

fn train(folder: &Path, last: u64) -> (Result<Outcome, TrainError>, Vec<f64>) {
    let recipe = Recipe { epochs: 8, ..sgd() };
    let device = Cpu::seed_from_u64(recipe.seed);
    let mut model = device.build_module::<towers::Builder, f32>();
    let mut watch = Watch {
        losses: Vec::new(),
        last,
    };
    let trainer = Trainer::new(recipe).start_or_resume(folder).observer(&mut watch);
    let outcome = trainer.train_task(&mut model, &Arithmetic, &mut Numbers, &device);
    (outcome, watch.losses)
}

#[test]
fn a_task_with_two_inputs_and_outputs_is_learnt_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let (outcome, losses) = train(&whole, u64::MAX);
    let outcome = outcome.unwrap();
    assert_eq!((outcome.steps, &outcome.evaluation), (48, &None));
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(mean(&losses[42..]) < 0.2 * mean(&losses[..6]), "{losses:?}");

    let (stopped, mut first) = train(&parts, 19);
    assert!(matches!(stopped, Err(TrainError::Observer(_))));
    let (resumed, rest) = train(&parts, u64::MAX);
    assert_eq!(resumed.unwrap(), outcome);
    first.extend(rest);
    assert_eq!(first, losses);
    let without_best = |folder: &Path| {
        std::fs::copy(folder.join("model.safetensors"), folder.join("best.safetensors")).unwrap();
        saved(folder)
    };
    assert_eq!(differences(&without_best(&whole), &without_best(&parts)), [""; 0]);
}

/// A batch of another size than the others.
struct Short;

impl Source<Pairs> for Short {
    fn images(&self) -> usize {
        24
    }

    fn steps_per_epoch(&self) -> u64 {
        6
    }

    fn epoch(&mut self, epoch: u32, from_step: u64) -> EpochBatches<'_, Pairs> {
        let mut batches = Numbers.epoch(epoch, from_step).map(Result::unwrap).collect::<Vec<_>>();
        batches[2].0.pop();
        Box::new(batches.into_iter().map(Ok))
    }

    fn settings(&self) -> Vec<(String, String)> {
        Numbers.settings()
    }
}

#[test]
fn a_batch_that_a_task_refuses_is_named() {
    let device = Cpu::default();
    let mut model = device.build_module::<towers::Builder, f32>();
    let error = Trainer::new(sgd()).train_task(&mut model, &Arithmetic, &mut Short, &device);
    assert_eq!(error.unwrap_err().to_string(), "epoch 1, step 3: 3 pairs instead of 4");
}

#[test]
fn data_that_does_not_fit_the_network_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let colour = Dataset::new(Sizes::new([3, 8, 8], 10), vec![1; 3 * 64], vec![0]).unwrap();
    let (digits, _) = data();
    let train = |training: &Dataset, validation: &Dataset| {
        let mut source = Plain::new(training, 16.try_into().unwrap(), &Scaling::of(training), 0);
        let trainer = Trainer::new(sgd()).folder(&run);
        let trainer = trainer.validation(validation, &Scaling::of(validation));
        let error = trainer.train(&mut crate::support::model(0), &mut source, &Cpu::default());
        error.unwrap_err().to_string()
    };
    let expected = "set has 3 x 8 x 8, 10 classes; the network is for 1 x 8 x 8, 10 classes";
    assert_eq!(train(&colour, &digits), format!("the training {expected}"));
    assert_eq!(train(&digits, &colour), format!("the validation {expected}"));
    assert!(!run.exists());
}
