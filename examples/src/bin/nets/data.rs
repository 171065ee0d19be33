//! `nets data`: writes the synthetic data set to files.

use clap::Args;
use ksdsl_examples::options::count;
use ksdsl_examples::output::print;
use ksdsl_train::data::Shapes;
use ksdsl_train::interrupt::{Stop, Warning};
use ksdsl_train_core::program::Done;
use ksdsl_train_core::program::train::stopped;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the synthetic data set: 32x32 colour images in ten classes, in CIFAR-10's binary format
#[derive(Args)]
pub(crate) struct Options {
    /// Output folder; must be empty or not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Number of training images
    #[arg(long, value_name = "N", default_value = "10000", value_parser = count)]
    training: NonZeroU32,
    /// Number of test images
    #[arg(long, value_name = "N", default_value = "2000", value_parser = count)]
    test: NonZeroU32,
    /// Random seed
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> Done {
    let shapes = Shapes {
        training: options.training.get(),
        test: options.test.get(),
        seed: options.seed,
    };
    let stop = Stop::on_signals(Warning::Stop)?;
    if let Err(error) = shapes.write_until(&options.folder, &stop) {
        return stopped(&stop, error.into());
    }
    let folder = options.folder.display();
    let (training, test) = (options.training, options.test);
    print(format_args!(
        "wrote {training} training and {test} test images to {folder}"
    ))?;
    print(format_args!(
        "train on them with: nets train --data procedural:{folder}"
    ))?;
    Ok(ExitCode::SUCCESS)
}
