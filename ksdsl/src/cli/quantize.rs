//! `ksn quantize RUN` and `ksn quantize FILE --weights CHECKPOINT --data DATA`

mod samples;
mod train;

use super::export::{c as export, weights};
use super::output::Terminal;
use super::{Choice, Status};
use crate::checkpoint::entries;
use crate::export::c;
use crate::graph::train::Classifier;
use crate::ir::Network;
use crate::quantize::{Quantized, Ranges, Visits, infer, quantize, quantized};
use crate::source::Source;
use crate::spec::Spec;
use crate::steps::{Program, run};
use crate::value::Value;
use ksdsl_cpu::in_parallel;
use ksdsl_train_core::data::{Dataset, Scaling, Sizes};
use ksdsl_train_core::interrupt::Stop;
use ksdsl_train_core::program::data::{Data, Kind};
use ksdsl_train_core::run::Description;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// The arguments of `ksn quantize`.
#[derive(clap::Args)]
pub(super) struct Quantize {
    /// A run folder, a checkpoint in one, or a specification
    #[arg(value_name = "RUN|FILE")]
    model: PathBuf,
    #[command(flatten)]
    choice: Choice,
    /// Use the final model of the run instead of the best one
    #[arg(long)]
    last: bool,
    /// The checkpoint for a specification, a safetensors file
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// The data set to calibrate and evaluate on [default: the run's]
    #[arg(long, value_name = "DATA")]
    data: Option<Kind>,
    /// Training images to calibrate on, the first ones
    #[arg(long, value_name = "N", default_value = "256", value_parser = ksdsl_train_core::program::options::count)]
    images: NonZeroU32,
    #[command(flatten)]
    training: train::Options,
    /// Write the quantised network to this C file, and a header beside it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write so many validation images, and the outputs for them, to a header beside the C file
    #[arg(long, value_name = "N", requires = "output", value_parser = ksdsl_train_core::program::options::count)]
    samples: Option<NonZeroU32>,
}

/// A network with what it is evaluated on.
struct Model {
    network: Network,
    source: Source,
    weights: PathBuf,
    kind: Kind,
    seed: u64,
    images: Option<usize>,
}

impl Model {
    /// The steps, without weights with zeros.
    fn program(&self, weights: Option<&[Vec<f32>]>, terminal: &Terminal) -> Ended<Program> {
        let program = c::program(&self.network, weights, &c::Options::default());
        program.map_err(|error| export::failed(&error, &self.source, terminal))
    }

    fn data(&self, sizes: Sizes, terminal: &Terminal) -> Ended<Data> {
        let data = self.kind.open((self.seed, self.images), sizes.image(), &Stop::new());
        let data = data.map_err(|error| terminal.fail(&error.to_string()))?;
        let found = data.validation.sizes();
        match found == sizes {
            true => Ok(data),
            false => {
                let name = &self.network.name;
                Err(terminal.fail(&format!("the data set has {found}; `{name}` is for {sizes}")))
            }
        }
    }
}

/// An error that ends the command.
type Ended<T> = Result<T, Status>;

impl Quantize {
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        match self.quantize(terminal) {
            Ok(status) | Err(status) => status,
        }
    }

    fn quantize(&self, terminal: &Terminal) -> Ended<Status> {
        let model = self.model(terminal)?;
        let output = self.output.as_deref();
        let output = output.map(|path| export::target(Some(path), &model.network, terminal));
        let output = output.transpose()?;
        // Neither is what cannot be written found after minutes of training.
        for path in [output.as_deref(), self.training.save.as_deref()].into_iter().flatten() {
            folder_exists(path, terminal)?;
        }
        let sizes = Classifier::of(model.network.clone(), &[]).map_err(|unfit| {
            terminal.complain(&unfit.to_string(), Some(unfit.fix()));
            Status::Invalid
        })?;
        // What cannot be quantised is known before files are read.
        self.integers(&model.program(None, terminal)?, None, terminal)?;
        let weights = weights::read(&model.weights, &entries(&model.network), terminal)?;
        let mut program = model.program(Some(&weights), terminal)?;
        let data = model.data(sizes.sizes(), terminal)?;
        let mut before = Vec::new();
        if self.training.train.is_some() {
            let ranges = |program: &Program| self.ranges(program, &data);
            let integers = self.integers(&program, Some((&ranges(&program), Visits::All)), terminal)?;
            let single = of_single(&program, &data);
            before = vec![
                ("f32, before training".to_owned(), single),
                ("int8, before training".to_owned(), of_integers(&integers, &data)),
            ];
            let from = (&model.network, weights.as_slice(), model.seed);
            let trained = self.training.trained(from, (&data, ranges), (&program, terminal))?;
            program = model.program(Some(&trained), terminal)?;
        }
        let ranges = self.ranges(&program, &data);
        let all = self.integers(&program, Some((&ranges, Visits::All)), terminal)?;
        let first = self.integers(&program, Some((&ranges, Visits::First)), terminal)?;
        let text = self.report((&model, &data), &program, [&all, &first], before);
        if let Some(output) = &output {
            self.write(output, (&program, &all), &data, terminal)?;
        }
        Ok(terminal.print(&text))
    }

    /// The ranges of a sample of training images.
    fn ranges(&self, program: &Program, data: &Data) -> Ranges {
        let mut ranges = Ranges::new(program);
        let images = data.training.iter().take(self.images.get() as usize);
        images.for_each(|image| ranges.add(program, &[&data.scaling.apply(image.pixels)]));
        ranges
    }

    fn integers(&self, program: &Program, ranges: Option<(&Ranges, Visits)>, terminal: &Terminal) -> Ended<Quantized> {
        let ranges = match ranges {
            Some((ranges, visits)) => ranges.clone().of_visits(program, visits),
            None => Ranges::new(program),
        };
        quantize(program, &ranges).map_err(|error| {
            terminal.complain(&error.to_string(), Some("`ksn export c` writes it in single precision"));
            Status::Invalid
        })
    }

    /// Accuracies and bytes.
    fn report(
        &self,
        (model, data): (&Model, &Data),
        program: &Program,
        [all, first]: [&Quantized; 2],
        before: Vec<(String, f64)>,
    ) -> String {
        let mut rows = before;
        rows.extend([
            ("f32".to_owned(), of_single(program, data)),
            ("int8".to_owned(), of_integers(all, data)),
            ("int8, first visits only".to_owned(), of_integers(first, data)),
        ]);
        let bytes = [c::single(program).bytes(), c::integer(all).bytes()];
        let calibrated = data.training.len().min(self.images.get() as usize);
        format!(
            "{} on {}: {} validation images, calibrated on {calibrated} training images\n\n{}\n{}",
            model.network.name,
            model.kind,
            data.validation.len(),
            accuracies(&rows),
            super::summary::target_table(bytes),
        )
    }

    fn write(
        &self,
        output: &Path,
        (program, integers): (&Program, &Quantized),
        data: &Data,
        terminal: &Terminal,
    ) -> Ended<()> {
        let comment = [format!(
            "Generated by `ksn quantize`, ksn {}. Do not edit.",
            env!("CARGO_PKG_VERSION")
        )];
        export::write(&c::integer(integers), output, &comment, terminal)?;
        let Some(count) = self.samples else { return Ok(()) };
        let text = samples::header(program, integers, data, count.get() as usize);
        let path = output.with_extension("samples.h");
        ksdsl_checkpoint::write_file(&path, text.as_bytes())
            .map_err(|error| terminal.fail(&format!("cannot write {}: {error}", path.display())))
    }

    fn model(&self, terminal: &Terminal) -> Ended<Model> {
        match self.model.extension().is_some_and(|extension| extension == "ksn") {
            true => self.of_specification(terminal),
            false => self.of_run(terminal),
        }
    }

    fn of_specification(&self, terminal: &Terminal) -> Ended<Model> {
        let (Some(weights), Some(kind)) = (&self.weights, &self.data) else {
            terminal.complain(
                "a specification has neither weights nor data",
                Some("add `--weights FILE.safetensors --data DATA`, or give a run folder"),
            );
            return Err(Status::Usage);
        };
        let chosen = self.choice.network(&self.model, terminal);
        let (network, spec) = chosen.map_err(|error| terminal.report(&error))?;
        Ok(Model {
            network,
            source: spec.source().clone(),
            weights: weights.clone(),
            kind: kind.clone(),
            seed: 0,
            images: None,
        })
    }

    fn of_run(&self, terminal: &Terminal) -> Ended<Model> {
        if self.weights.is_some() || self.choice.net.is_some() || !self.choice.set.is_empty() {
            return Err(terminal.fail("`--weights`, `--net` and `--set` are for a specification: a run has its own"));
        }
        if !self.model.exists() {
            let path = self.model.display();
            return Err(terminal.fail(&format!("no run, checkpoint or specification at `{path}`")));
        }
        let (folder, weights) = match self.model.is_dir() {
            true => {
                let name = if self.last {
                    "model.safetensors"
                } else {
                    "best.safetensors"
                };
                (self.model.clone(), self.model.join(name))
            }
            false => {
                let folder = self.model.parent().unwrap_or(Path::new(""));
                (folder.to_path_buf(), self.model.clone())
            }
        };
        let run = Description::of(&folder).map_err(|error| terminal.fail(&error.to_string()))?;
        let (data, images) = settings(&folder).map_err(|error| terminal.fail(&error))?;
        let kind = match &self.data {
            Some(kind) => kind.clone(),
            None => data.parse().map_err(|error: String| terminal.fail(&error))?,
        };
        let mut spec = Spec::parse("run.json", &run.specification).network(&run.network);
        for (name, text) in &run.settings {
            let value = Value::parse(text);
            let Some(value) = value else {
                return Err(terminal.fail(&format!("run.json: `settings.{name}` is `{text}`: no value")));
            };
            spec = spec.set(name, value);
        }
        let (network, _) = spec.compile_one().map_err(|error| terminal.report(&error))?;
        Ok(Model {
            network,
            source: spec.source().clone(),
            weights,
            kind,
            seed: run.recipe.seed,
            images,
        })
    }
}

/// The data set of a run, and how many of its training images it used.
fn settings(folder: &Path) -> Result<(String, Option<usize>), String> {
    const MOST_BYTES: u64 = 1 << 24;
    let path = folder.join("settings.json");
    let failed = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let size = std::fs::metadata(&path).map_err(|error| failed(&error))?.len();
    if size > MOST_BYTES {
        return Err(failed(&format!("{size} bytes, of at most {MOST_BYTES}")));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| failed(&error))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|error| failed(&error))?;
    let data = json.get("data").and_then(serde_json::Value::as_str);
    let data = data.ok_or_else(|| failed(&"it has no `data`"))?.to_owned();
    let images = json.get("images").and_then(serde_json::Value::as_u64);
    Ok((data, images.and_then(|images| usize::try_from(images).ok())))
}

/// Whether the folder of a file to write is there.
fn folder_exists(path: &Path, terminal: &Terminal) -> Ended<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.is_none_or(Path::is_dir) && !path.is_dir() {
        true => Ok(()),
        false => Err(terminal.fail(&format!(
            "cannot write {}: it is a folder, or its folder does not exist",
            path.display()
        ))),
    }
}

/// The class of the largest output, the first of equal ones.
fn argmax<T: PartialOrd + Copy>(outputs: &[T]) -> usize {
    let mut best = 0;
    for (at, value) in outputs.iter().enumerate() {
        if *value > outputs[best] {
            best = at;
        }
    }
    best
}

fn accuracy(images: &Dataset, class: impl Fn(&[f32]) -> usize + Sync, scaling: &Scaling) -> f64 {
    let mut images: Vec<_> = images.iter().map(|image| (image, false)).collect();
    in_parallel(&mut images, |(image, right)| {
        *right = class(&scaling.apply(image.pixels)) == image.label
    });
    100.0 * images.iter().filter(|(_, right)| *right).count() as f64 / images.len().max(1) as f64
}

/// The accuracy in single precision.
fn of_single(program: &Program, data: &Data) -> f64 {
    let class = |image: &[f32]| argmax(&run(program, &[image], |_, _| {})[0]);
    accuracy(&data.validation, class, &data.scaling)
}

/// The accuracy in integers.
fn of_integers(of: &Quantized, data: &Data) -> f64 {
    let scale = of.scales[of.program.inputs[0].buffer];
    let class = |image: &[f32]| argmax(&infer(of, &[&quantized(image, scale)])[0]);
    accuracy(&data.validation, class, &data.scaling)
}

/// A line for each accuracy, with its distance from the first.
fn accuracies(rows: &[(String, f64)]) -> String {
    let header = format!("{:<28}accuracy\n", "");
    let first = rows.first().map_or(0.0, |row| row.1);
    let line = |(at, (name, accuracy)): (usize, &(String, f64))| match at {
        0 => format!("{name:<28}{accuracy:6.2} %\n"),
        _ => format!("{name:<28}{accuracy:6.2} % {:+.2}\n", accuracy - first),
    };
    header + &rows.iter().enumerate().map(line).collect::<String>()
}
