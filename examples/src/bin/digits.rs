//! Trains a small SE-ResNet or vision transformer on real handwritten digits, without sharing and with shared kernels,
//! and prints what each costs and reaches.

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ksdsl_examples::classifier::Classifier;
use ksdsl_examples::comparison::{Costs, Row, table, train_and_test};
use ksdsl_examples::nets;
use ksdsl_examples::optimiser::Method;
use ksdsl_examples::options::{count, rate};
use ksdsl_examples::training::{Recipe, Step};
use ksdsl_runtime::network::Generated;
use ksdsl_runtime::prelude::*;
use ksdsl_train::data::Digits;
use std::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

/// Train a net on the digits without sharing and with shared kernels, and compare the two.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Which net
    #[arg(long, default_value = "digits")]
    net: Net,
    /// How often every image is seen
    #[arg(long, default_value = "20", value_parser = count)]
    epochs: NonZeroU32,
    /// Images per step
    #[arg(long, default_value = "64", value_parser = count)]
    batch: NonZeroU32,
    /// The highest learning rate of the one-cycle schedule [default: 0.1, for the vit 0.003]
    #[arg(long, value_parser = rate)]
    lr: Option<f64>,
    /// Decides on everything random: the split into training and held-out images, the initial values and the order
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Repeat with so many seeds, counting up from --seed, and give means
    #[arg(long, default_value = "1", value_parser = count)]
    seeds: NonZeroU32,
    /// Save the trained nets in this folder, as NET-SEED.safetensors
    #[arg(long, value_name = "FOLDER")]
    save: Option<PathBuf>,
}

/// The nets that can be trained.
#[derive(Clone, Copy, ValueEnum)]
enum Net {
    /// The SE-ResNet of nets/digits.ksn, by SGD; shared, a stage has one kernel
    Digits,
    /// The vision transformer of nets/vit.ksn, by AdamW; shared, all blocks have one block's parameters
    Vit,
}

impl Net {
    fn default_rate(self) -> f64 {
        match self {
            Net::Digits => 0.1,
            Net::Vit => 0.003,
        }
    }

    fn method(self) -> Method {
        match self {
            Net::Digits => Method::Sgd,
            Net::Vit => Method::AdamW,
        }
    }
}

impl Options {
    fn seeds(&self) -> impl Iterator<Item = u64> {
        (0..self.seeds.get()).map(|i| self.seed.wrapping_add(u64::from(i)))
    }

    fn recipe(&self, seed: u64) -> Recipe {
        Recipe {
            epochs: self.epochs,
            batch: self.batch.try_into().unwrap_or(NonZeroUsize::MAX),
            method: self.net.method(),
            peak_rate: self.lr.unwrap_or(self.net.default_rate()),
            seed,
        }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let digits = Digits::embedded();
    let rows = match options.net {
        Net::Digits => [
            compare::<nets::digits_unshared::Builder>(&digits, options)?,
            compare::<nets::digits_shared::Builder>(&digits, options)?,
        ],
        Net::Vit => [
            compare::<nets::vit_unshared::Builder>(&digits, options)?,
            compare::<nets::vit_shared::Builder>(&digits, options)?,
        ],
    };
    println!("{}", table(&rows));
    Ok(())
}

/// Trains a net once for each seed.
fn compare<B>(digits: &Digits, options: &Options) -> Result<Row, Box<dyn Error>>
where
    B: BuildOnDevice<Cpu, f32, Built: Classifier<1, 8, 8, 10> + Generated> + Network,
{
    let costs = Costs::of::<B>();
    let mut row = Row {
        costs,
        accuracies: Vec::new(),
        times: Vec::new(),
    };
    for seed in options.seeds() {
        let recipe = options.recipe(seed);
        let bar = progress_bar(costs.name, &recipe, digits);
        let outcome = train_and_test::<B, _, _, _, _>(digits, &recipe, |step| show(&bar, step))?;
        bar.finish_and_clear();
        if let Some(folder) = &options.save {
            std::fs::create_dir_all(folder)?;
            checkpoint::save(
                &outcome.model,
                folder.join(format!("{}-{seed}.safetensors", costs.name)),
            )?;
        }
        row.accuracies.push(outcome.accuracy);
        row.times.push(outcome.time);
    }
    Ok(row)
}

/// A bar on standard error with loss, rate and time left; nothing where that is no terminal.
fn progress_bar(name: &'static str, recipe: &Recipe, digits: &Digits) -> ProgressBar {
    let template = "{prefix} {bar:30} epoch {msg}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(recipe.steps(digits.len()) as u64)
        .with_prefix(name)
        .with_style(style)
}

fn show(bar: &ProgressBar, step: Step) {
    if !bar.is_hidden() {
        bar.set_message(format!("{}: loss {:.4}, rate {:.4}", step.epoch, step.loss, step.rate));
    }
    bar.inc(1);
}
