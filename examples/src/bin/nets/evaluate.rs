//! `nets evaluate`: a saved model on the images held out.

use crate::Done;
use crate::choose::find;
use crate::saved::Saved;
use crate::train::threads;
use clap::Args;
use ksdsl_examples::data::{Data, Kind, Visit};
use ksdsl_examples::device::Place;
use ksdsl_examples::entry::Entry;
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

/// More classes than this make no confusion table.
const SHOWN: usize = 20;

/// Say how well a saved model tells the images held out
#[derive(Args)]
pub(crate) struct Options {
    /// A run's folder, or a checkpoint in one
    #[arg(value_name = "RUN|CHECKPOINT")]
    model: PathBuf,
    /// Of a run's folder, take the model at the end in place of the best
    #[arg(long)]
    last: bool,
    /// Evaluate on the test images of other data than the run's
    #[arg(long, value_name = "DATA")]
    data: Option<Kind>,
    /// Draw the confusion matrix into this file, .svg or .png
    #[arg(long, value_name = "FILE", value_parser = picture)]
    picture: Option<PathBuf>,
    /// Where to compute: cpu, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Place,
    /// Threads of the kernels [default: one for each core]
    #[arg(long, value_name = "N", value_parser = options::threads)]
    threads: Option<NonZeroU32>,
}

/// A path whose ending says how to save a picture.
fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match Format::of(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn run(options: &Options) -> Done {
    threads(options.threads);
    options.device.check()?;
    let saved = Saved::open(&options.model, options.last)?;
    let kind = match &options.data {
        Some(kind) => kind.clone(),
        None => saved.origin.kind()?,
    };
    let settings = &saved.origin.settings;
    let opened = kind.open(saved.seed(), settings.images, &Stop::new())?;
    let evaluation = opened.visit(Evaluated { saved: &saved, options })?;
    if let Some(file) = &options.picture {
        let title = format!("Confusion of {}", settings.net);
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

struct Evaluated<'s> {
    saved: &'s Saved,
    options: &'s Options,
}

impl Visit for Evaluated<'_> {
    type Output = Result<Evaluation, Box<dyn Error>>;

    fn visit<const C: usize, const H: usize, const W: usize, const K: usize>(
        self,
        data: &Data<C, H, W, K>,
        entries: Vec<Entry<C, H, W, K>>,
    ) -> Self::Output {
        let Self { saved, options } = self;
        let entry = find(&entries, &saved.origin.settings.net)?;
        let scaling = saved.origin.check(entry)?;
        match saved.origin.check_names(data.held_out.names()) {
            Err(difference) if options.data.is_none() => return Err(difference.into()),
            Err(difference) => note(format_args!("warning: {difference}; they count as one class")),
            Ok(()) => {}
        }
        let logits = (entry.logits)(&saved.file, &data.held_out, scaling, options.device)?;
        let labels: Vec<usize> = data.held_out.iter().map(|example| example.label).collect();
        let mut meter = Meter::new(K);
        meter.add(&logits, &labels);
        let evaluation = meter.evaluation();
        let Evaluation {
            without_numbers,
            images,
            ..
        } = evaluation;
        if without_numbers == images {
            return Err(format!("`{}` predicts nothing: all its logits are NaNs", saved.file.display()).into());
        }
        if without_numbers > 0 {
            note(format_args!(
                "warning: for {without_numbers} of {images} images a logit is a NaN; they count as wrong"
            ));
        }
        Ok(evaluation)
    }
}
