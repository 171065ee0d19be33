//! `evaluate`: evaluates a saved model on the validation set.

use super::data::{Data, Kind};
use super::device::{Place, Precision};
use super::output::{note, print};
use super::saved::Saved;
use super::train::threads;
use super::{Done, ImageNet, LanguageNet, Net, Program, PuzzleNet, Solving, Task, options};
use crate::interrupt::Stop;
use crate::metrics::{Evaluation, Meter};
use crate::report::picture::{Format, confusion};
use crate::report::{confusion_table, result_table, score_table};
use crate::text::{Text, Tokens, Vocabulary};
use clap::Args;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// The confusion matrix is printed for at most this many classes.
const SHOWN: usize = 20;

/// Evaluate a saved model on the validation set: accuracy, scores per class, confusion matrix; of a language model loss,
/// perplexity and bits per byte; of a solver of puzzles how many it solves
#[derive(Args)]
pub struct Options {
    /// A run folder, or a checkpoint in one
    #[arg(value_name = "RUN|CHECKPOINT")]
    model: PathBuf,
    /// Use the final model of the run instead of the best one
    #[arg(long)]
    last: bool,
    /// Evaluate on the validation set of another data set [default: the run's]
    #[arg(long, value_name = "DATA")]
    data: Option<Kind>,
    /// Save a plot of the confusion matrix to this file (.svg or .png)
    #[arg(long, value_name = "FILE", value_parser = picture)]
    picture: Option<PathBuf>,
    /// Puzzles to solve at a time; those of a batch run until the last has found its exit [default: 50]
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroU32>,
    /// Predict a text token by token, as generation does, so that each token leaves loops at its own exit
    #[arg(long)]
    by_token: bool,
    /// Solve puzzles with all iterations of loops instead of leaving at an exit
    #[arg(long)]
    no_exit: bool,
    /// Device to run on: cpu, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Place,
    /// Precision of matrix products on a GPU
    #[arg(long, value_name = "PRECISION", default_value = "full")]
    precision: Precision,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = options::threads)]
    threads: Option<NonZeroU32>,
}

/// A path whose extension is that of a picture format.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match Format::of(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs the command.
///
/// # Errors
/// If the model cannot be used, or the data does not fit it.
pub fn run(program: &dyn Program, options: &Options) -> Done {
    threads(options.threads);
    program.prepare(options.device, options.precision)?;
    let saved = Saved::open(&options.model, options.last)?;
    let net = program.of_run(&saved.origin.description)?;
    let kind = match &options.data {
        Some(kind) => kind.clone(),
        None => saved.origin.kind()?,
    };
    program.accepts(&kind)?;
    if !matches!(net.task(), Task::Puzzles(_)) && (options.batch.is_some() || options.no_exit) {
        return Err("--batch and --no-exit are for puzzles".into());
    }
    if !matches!(net.task(), Task::NextToken(_)) && options.by_token {
        return Err("--by-token is for language models".into());
    }
    match net.task() {
        Task::Classes(model) => of_images((&*net, model), &kind, &saved, options),
        Task::NextToken(model) => of_text((&*net, model), &kind, &saved, options),
        Task::Puzzles(model) => of_puzzles((&*net, model), &kind, &saved, options),
    }
}

/// Evaluates a language model.
fn of_text((net, model): (&dyn Net, &dyn LanguageNet), kind: &Kind, saved: &Saved, options: &Options) -> Done {
    if options.picture.is_some() {
        return Err("--picture: a language model has no confusion matrix".into());
    }
    saved.origin.check_description(net)?;
    let Kind::Text(origin) = kind else {
        return Err(format!(
            "--data {kind}: `{}` is a language model; expected text:PATH",
            saved.origin.settings.net
        )
        .into());
    };
    let tokens = Tokens::load(saved.origin.folder())?;
    let text = Text::open(origin, Vocabulary::Known(tokens))?;
    model.check(&text)?;
    let evaluation = model.evaluate(&saved.file, &text, options.by_token, options.device)?;
    check_numbers(&evaluation, &saved.file, "tokens")?;
    show(&evaluation, kind, saved)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what was evaluated, and how well it does.
fn show(evaluation: &Evaluation, kind: &Kind, saved: &Saved) -> Result<(), Box<dyn Error>> {
    let (net, file) = (&saved.origin.settings.net, saved.file.display());
    print(format_args!("{net} of {file} on {kind}"))?;
    print(result_table(evaluation))
}

/// Puzzles at a time.
const PUZZLES: usize = 50;

/// Evaluates a solver of puzzles, and says how long that took.
fn of_puzzles((net, model): (&dyn Net, &dyn PuzzleNet), kind: &Kind, saved: &Saved, options: &Options) -> Done {
    if options.picture.is_some() {
        return Err("--picture: puzzles have no confusion matrix".into());
    }
    saved.origin.check_description(net)?;
    let Kind::Sudoku(puzzles) = kind else {
        return Err(format!(
            "--data {kind}: `{}` solves puzzles; expected sudoku:4 or sudoku:6",
            saved.origin.settings.net
        )
        .into());
    };
    let how = Solving {
        at_once: options.batch.map_or(PUZZLES, |batch| batch.get() as usize),
        exits: !options.no_exit,
        place: options.device,
    };
    let start = Instant::now();
    let evaluation = model.evaluate(&saved.file, *puzzles, &how)?;
    let seconds = start.elapsed().as_secs_f64();
    check_numbers(&evaluation, &saved.file, "puzzles")?;
    note(format_args!("{} puzzles in {seconds:.2} s", evaluation.images));
    show(&evaluation, kind, saved)?;
    Ok(ExitCode::SUCCESS)
}

/// Evaluates a classifier of images.
fn of_images((net, model): (&dyn Net, &dyn ImageNet), kind: &Kind, saved: &Saved, options: &Options) -> Done {
    let settings = &saved.origin.settings;
    let size = model.sizes().image();
    let data = kind.open((saved.seed(), settings.images), size, &Stop::new())?;
    let evaluation = evaluate((net, model), &data, saved, options)?;
    if let Some(file) = &options.picture {
        let title = format!("Confusion matrix of {}", settings.net);
        confusion(&title, &settings.classes, &evaluation)?.save(file)?;
    }
    show(&evaluation, kind, saved)?;
    print(format_args!("\n{}", score_table(&evaluation, &settings.classes)))?;
    if evaluation.classes() <= SHOWN {
        print(format_args!("\n{}", confusion_table(&evaluation, &settings.classes)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Evaluates the model on the validation set.
fn evaluate(
    (of, net): (&dyn Net, &dyn ImageNet),
    data: &Data,
    saved: &Saved,
    options: &Options,
) -> Result<Evaluation, Box<dyn Error>> {
    let scaling = saved.origin.check(of)?;
    if net.sizes() != data.validation.sizes() {
        let (name, sizes) = (&saved.origin.settings.net, data.validation.sizes());
        return Err(format!("the data set has {sizes}; `{name}` is for {}", net.sizes()).into());
    }
    match saved.origin.check_names(data.validation.names()) {
        Err(difference) if options.data.is_none() => return Err(difference.into()),
        Err(difference) => note(format_args!("warning: {difference}; the two are treated as one class")),
        Ok(()) => {}
    }
    let logits = net.logits(&saved.file, &data.validation, &scaling, options.device)?;
    let labels: Vec<usize> = data.validation.iter().map(|example| example.label).collect();
    let mut meter = Meter::new(net.sizes().classes);
    meter.add(&logits, &labels);
    let evaluation = meter.evaluation();
    check_numbers(&evaluation, &saved.file, "images")?;
    Ok(evaluation)
}

/// Rejects a model all of whose logits are NaN, and warns of some.
fn check_numbers(evaluation: &Evaluation, file: &Path, items: &str) -> Result<(), Box<dyn Error>> {
    let &Evaluation { nan_images, images, .. } = evaluation;
    if nan_images == images {
        return Err(format!("`{}` makes no predictions: all its logits are NaN", file.display()).into());
    }
    if nan_images > 0 {
        note(format_args!(
            "warning: {nan_images} of {images} {items} have NaN logits; they count as misclassified"
        ));
    }
    Ok(())
}
