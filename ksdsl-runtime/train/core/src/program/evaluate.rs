//! `evaluate`: evaluates a saved model on the validation set.

use super::data::{Data, Kind};
use super::device::{Place, Precision};
use super::output::{note, print};
use super::saved::Saved;
use super::train::threads;
use super::{Done, Net, Program, options};
use crate::interrupt::Stop;
use crate::metrics::{Evaluation, Meter};
use crate::report::picture::{Format, confusion};
use crate::report::{confusion_table, result_table, score_table};
use clap::Args;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

/// The confusion matrix is printed for at most this many classes.
const SHOWN: usize = 20;

/// Evaluate a saved model on the validation set: accuracy, scores per class, confusion matrix
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
    let settings = &saved.origin.settings;
    program.accepts(&kind)?;
    let size = net.sizes().image();
    let data = kind.open((saved.seed(), settings.images), size, &Stop::new())?;
    let evaluation = evaluate(&*net, &data, &saved, options)?;
    if let Some(file) = &options.picture {
        let title = format!("Confusion matrix of {}", settings.net);
        confusion(&title, &settings.classes, &evaluation)?.save(file)?;
    }
    print(format_args!("{} of {} on {kind}", settings.net, saved.file.display()))?;
    print(result_table(&evaluation))?;
    print(format_args!("\n{}", score_table(&evaluation, &settings.classes)))?;
    if evaluation.classes() <= SHOWN {
        print(format_args!("\n{}", confusion_table(&evaluation, &settings.classes)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Evaluates the model on the validation set.
fn evaluate(net: &dyn Net, data: &Data, saved: &Saved, options: &Options) -> Result<Evaluation, Box<dyn Error>> {
    let scaling = saved.origin.check(net)?;
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
    let Evaluation { nan_images, images, .. } = evaluation;
    if nan_images == images {
        return Err(format!(
            "`{}` makes no predictions: all its logits are NaN",
            saved.file.display()
        )
        .into());
    }
    if nan_images > 0 {
        note(format_args!(
            "warning: {nan_images} of {images} images have NaN logits; they count as misclassified"
        ));
    }
    Ok(evaluation)
}
