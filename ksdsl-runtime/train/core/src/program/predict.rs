//! `predict`: predicts the classes of images with a saved model.

use super::data::Kind;
use super::device::{Place, Precision};
use super::options::{self, count};
use super::output::print;
use super::saved::Saved;
use super::train::threads;
use super::{Done, ImageNet, Net, Program};
use crate::data::{Dataset, Digits, Sizes, read_picture};
use crate::interrupt::Stop;
use crate::report::{plain_table, right_aligned};
use clap::Args;
use comfy_table::Table;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Predict the classes of images with a saved model
///
/// Image files (PNG, JPEG, BMP) are centre-cropped and resized to the network's input size. The digits networks expect
/// dark ink on a light background.
#[derive(Args)]
pub struct Options {
    /// A run folder, or a checkpoint in one
    #[arg(value_name = "RUN|CHECKPOINT")]
    model: PathBuf,
    /// Image files, or indices of validation images (from 0)
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Use the final model of the run instead of the best one
    #[arg(long)]
    last: bool,
    /// Number of classes to show per image
    #[arg(long, value_name = "N", default_value = "3", value_parser = count)]
    top: NonZeroU32,
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

/// Runs the command.
///
/// # Errors
/// If the model cannot be used, or an image cannot be read.
pub fn run(program: &dyn Program, options: &Options) -> Done {
    threads(options.threads);
    program.prepare(options.device, options.precision)?;
    let saved = Saved::open(&options.model, options.last)?;
    let kind = saved.origin.kind()?;
    let net = program.of_run(&saved.origin.description)?;
    let model = net.task().classifier(&saved.origin.settings.net)?;
    // Image files need no data set, which may have been deleted.
    let validation = match options.images.iter().any(|image| index(image).is_some()) {
        true => {
            let part = (saved.seed(), saved.origin.settings.images);
            Some(kind.open(part, model.sizes().image(), &Stop::new())?.validation)
        }
        false => None,
    };
    print(predictions((&*net, model), &saved, validation.as_ref(), options)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The predictions for all images.
fn predictions(
    (of, net): (&dyn Net, &dyn ImageNet),
    saved: &Saved,
    validation: Option<&Dataset>,
    options: &Options,
) -> Result<Table, Box<dyn Error>> {
    let origin = &saved.origin;
    let scaling = origin.check(of)?;
    validation.map_or(Ok(()), |validation| origin.check_names(validation.names()))?;
    let grey_digits = origin.kind()? == Kind::Digits;
    let (mut pixels, mut names) = (Vec::new(), Vec::new());
    for image in &options.images {
        let (name, values) = match (index(image), validation) {
            (Some(index), Some(validation)) => validation_image(index, validation)?,
            _ => picture(image, net.sizes(), grey_digits)?,
        };
        names.push(name);
        pixels.extend(values);
    }
    let images = Dataset::new(net.sizes(), pixels, vec![0; names.len()])?;
    let logits = net.logits(&saved.file, &images, &scaling, options.device)?;
    let top = options.top.get() as usize;
    Ok(table(&names, &logits, &origin.settings.classes, top)?)
}

/// The index of a validation image, unless a file has that name.
fn index(image: &str) -> Option<usize> {
    image.parse().ok().filter(|_| !Path::new(image).exists())
}

/// An image of the validation set: its name in the table, and its pixels.
fn validation_image(index: usize, validation: &Dataset) -> Result<(String, Vec<u8>), String> {
    let count = validation.len();
    if index >= count {
        return Err(format!(
            "validation image {index} does not exist: there are {count}, with indices from 0"
        ));
    }
    let example = validation.get(index);
    let class = &validation.names()[example.label];
    Ok((format!("{index} (true class {class})"), example.pixels.to_vec()))
}

/// An image file: its name in the table, and its pixels.
fn picture(image: &str, sizes: Sizes, grey_digits: bool) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    let mut pixels = read_picture(image, sizes.image())?;
    if grey_digits {
        // The background is 0, the darkest ink the maximum.
        let darkest = f64::from(Digits::DARKEST);
        let ink = |light: u8| (f64::from(255 - light) / 255.0 * darkest).round() as u8;
        pixels.iter_mut().for_each(|pixel| *pixel = ink(*pixel));
    }
    Ok((image.to_owned(), pixels))
}

/// The most probable classes of each image.
fn table(images: &[String], logits: &[f32], classes: &[String], top: usize) -> Result<Table, String> {
    let mut table = plain_table(["image", "prediction", "probability"]);
    for (image, logits) in images.iter().zip(logits.chunks(classes.len())) {
        let probabilities = softmax(logits);
        if probabilities.iter().any(|probability| probability.is_nan()) {
            return Err(format!(
                "the model makes no prediction for the image {image}: its logits are {logits:?}"
            ));
        }
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        for (rank, &class) in order.iter().take(top).enumerate() {
            let image = if rank == 0 { image.as_str() } else { "" };
            let probability = format!("{:.2} %", 100.0 * probabilities[class]);
            table.add_row([image, &classes[class], &probability]);
        }
    }
    Ok(right_aligned(table, 2))
}

fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
