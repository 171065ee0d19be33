//! `nets evaluate`: evaluates a saved model on the validation set.

use crate::Done;
use crate::choose::find;
use crate::saved::Saved;
use crate::train::threads;
use clap::Args;
use ksdsl_examples::data::{Data, Kind};
use ksdsl_examples::device::{Place, Precision};
use ksdsl_examples::options;
use ksdsl_examples::output::{note, print};
use ksdsl_train::interrupt::Stop;
use ksdsl_train::metrics::{Evaluation, Meter};
use ksdsl_train::report::picture::{Format, confusion};
use ksdsl_train::report::{confusion_table, result_table, score_table};
use std::error::Error;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

/// The confusion matrix is printed for at most this many classes.
const SHOWN: usize = 20;

/// Evaluate a saved model on the validation set: accuracy, scores per class, confusion matrix
#[derive(Args)]
pub(crate) struct Options {
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

pub(crate) fn run(options: &Options) -> Done {
    threads(options.threads);
    options.device.prepare(options.precision)?;
    let saved = Saved::open(&options.model, options.last)?;
    let kind = match &options.data {
        Some(kind) => kind.clone(),
        None => saved.origin.kind()?,
    };
    let settings = &saved.origin.settings;
    let data = kind.open(saved.seed(), settings.images, &Stop::new())?;
    let evaluation = evaluate(&data, &saved, options)?;
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
fn evaluate(data: &Data, saved: &Saved, options: &Options) -> Result<Evaluation, Box<dyn Error>> {
    let entry = find(&saved.origin.settings.net)?;
    let scaling = saved.origin.check(&entry)?;
    if entry.sizes != data.validation.sizes() {
        let (net, sizes) = (&saved.origin.settings.net, data.validation.sizes());
        return Err(format!("the data set has {sizes}; `{net}` is for {}", entry.sizes).into());
    }
    match saved.origin.check_names(data.validation.names()) {
        Err(difference) if options.data.is_none() => return Err(difference.into()),
        Err(difference) => note(format_args!("warning: {difference}; the two are treated as one class")),
        Ok(()) => {}
    }
    let logits = (entry.logits)(&saved.file, &data.validation, &scaling, options.device)?;
    let labels: Vec<usize> = data.validation.iter().map(|example| example.label).collect();
    let mut meter = Meter::new(entry.sizes.classes);
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
