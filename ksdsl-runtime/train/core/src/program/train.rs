//! `train`: trains one network or several, each in its own run folder.

use super::choose::{folder, folder_name, recipe};
use super::data::{Data, Kind};
use super::device::{Place, Precision};
use super::job::Job;
use super::options::{self, count, rate};
use super::output::{note, print};
use super::settings::{self, Origin, Settings};
use super::{Done, Net, Program};
use crate::data::DataError;
use crate::interrupt::{Stop, Warning};
use crate::recipe::Recipe;
use crate::report::{Comparison, CsvLog, Pictures, Progress, TensorBoard, result_table};
use crate::run::{Companion, Opening};
use crate::trainer::{End, Outcome};
use clap::{Args, ValueEnum};
use std::error::Error;
use std::io::ErrorKind;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The options of runs.
#[derive(Args)]
pub struct RunOptions {
    /// Data set: digits, procedural, procedural:FOLDER, cifar10:PATH, cifar100:PATH (archive or folder) or folder:PATH
    /// (one folder of images for each class) [default: digits]
    #[arg(long, value_name = "DATA")]
    data: Option<Kind>,
    /// Train on the first N images only
    #[arg(long, value_name = "N", value_parser = count)]
    images: Option<NonZeroU32>,
    /// Number of epochs [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) epochs: Option<NonZeroU32>,
    /// Batch size [default: the recipe's]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) batch: Option<NonZeroU32>,
    /// Learning rate; with a schedule, the peak learning rate [default: the recipe's]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) lr: Option<f64>,
    /// Training recipe: se_resnet or convmixer for the paper's recipes, or a JSON file with a recipe, such as `recipe`
    /// in a run's run.json [default: the network's own]
    #[arg(long, value_name = "RECIPE")]
    pub(super) recipe: Option<String>,
    /// Random seed for initialisation, shuffling, augmentation and the validation split [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Number of seeds to train with, counting up from --seed [default: 1]
    #[arg(long, value_name = "N", value_parser = count)]
    seeds: Option<NonZeroU32>,
    /// Device to train on: cpu, or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Place,
    /// Precision of matrix products on a GPU
    #[arg(long, value_name = "PRECISION", default_value = "full")]
    precision: Precision,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = options::threads)]
    threads: Option<NonZeroU32>,
    /// What to do on SIGUSR1, which Slurm sends before a job's time limit
    #[arg(long, value_name = "WHAT", default_value = "checkpoint")]
    on_usr1: OnUsr1,
    /// Folder for the run folders
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    pub(super) out: PathBuf,
}

/// What to do on SIGUSR1.
#[derive(Clone, Copy, ValueEnum)]
enum OnUsr1 {
    /// Write a checkpoint after the current step and continue
    Checkpoint,
    /// Write a checkpoint after the current step and stop
    Stop,
}

impl RunOptions {
    fn warning(&self) -> Warning {
        match self.on_usr1 {
            OnUsr1::Checkpoint => Warning::Checkpoint,
            OnUsr1::Stop => Warning::Stop,
        }
    }

    fn kind(&self) -> Kind {
        self.data.clone().unwrap_or(Kind::Digits)
    }

    fn images(&self) -> Option<usize> {
        self.images.map(|images| images.get() as usize)
    }

    fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.seed.unwrap_or(0);
        let count = self.seeds.map_or(1, NonZeroU32::get);
        (0..count).map(move |i| first.wrapping_add(u64::from(i)))
    }

    /// Whether an option was given that a resumed run takes from its own settings.
    fn describes_a_run(&self) -> bool {
        let counts = [self.images, self.epochs, self.batch, self.seeds];
        counts.iter().any(Option::is_some)
            || self.data.is_some()
            || self.lr.is_some()
            || self.recipe.is_some()
            || self.seed.is_some()
    }
}

/// The options of `train`, besides those that choose networks.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    runs: RunOptions,
    /// Resume the run in folder RUN; without RUN, resume this command's runs in --out and start the missing ones
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
}

impl Options {
    /// The folder of the run to resume, if one is given.
    pub fn resumed(&self) -> Option<&Path> {
        self.resume.as_ref()?.as_deref()
    }
}

/// What all runs of a command have in common.
pub(super) struct Plan<'o> {
    program: &'o dyn Program,
    options: &'o RunOptions,
    /// Whether existing runs are resumed.
    resume: bool,
    pub(super) stop: Stop,
}

/// Runs the command; `chosen`: networks are chosen on the command line.
///
/// # Errors
/// If options contradict each other, the data does not fit, or training fails.
pub fn run(program: &dyn Program, options: &Options, chosen: bool) -> Done {
    let plan = Plan::new(program, &options.runs, options.resume.is_some())?;
    let done = match options.resumed() {
        Some(folder) if chosen || options.runs.describes_a_run() => {
            let folder = folder.display();
            Err(format!(
                "the run `{folder}` resumes with its own settings: besides --resume, only --threads, --device, --precision and --on-usr1 can be given"
            )
            .into())
        }
        Some(folder) => plan.resume(folder),
        None => plan.all().and_then(|runs| plan.end(&runs)),
    };
    done.or_else(|error| stopped(&plan.stop, error))
}

/// The exit code if a signal interrupted the generation of a data set.
///
/// # Errors
/// Any other error.
pub fn stopped(stop: &Stop, error: Box<dyn Error>) -> Done {
    let is_stop = matches!(
        error.downcast_ref(),
        Some(DataError::Write { source, .. }) if source.kind() == ErrorKind::Interrupted
    );
    match stop.exit_code().filter(|_| is_stop) {
        Some(code) => {
            note(error);
            Ok(ExitCode::from(code))
        }
        None => Err(error),
    }
}

/// Sets the number of threads, if one is given.
pub fn threads(threads: Option<NonZeroU32>) {
    if let Some(threads) = threads {
        ksdsl_cpu::set_threads(threads.try_into().unwrap_or(NonZeroUsize::MAX));
    }
}

impl<'o> Plan<'o> {
    /// Prepares device and signals.
    pub(super) fn new(program: &'o dyn Program, options: &'o RunOptions, resume: bool) -> Result<Self, Box<dyn Error>> {
        threads(options.threads);
        program.prepare(options.device, options.precision)?;
        program.accepts(&options.kind())?;
        Ok(Self {
            program,
            options,
            resume,
            stop: Stop::on_signals(options.warning())?,
        })
    }

    /// Trains every network with every seed, until a stop is requested.
    pub(super) fn all(&self) -> Result<Vec<(PathBuf, Outcome)>, Box<dyn Error>> {
        let options = self.options;
        let mut runs = Vec::new();
        for seed in options.seeds() {
            let part = (seed, options.images());
            let data = options.kind().open(part, self.program.picture_size(), &self.stop)?;
            runs.extend(self.of_seed(seed, &data)?);
            if self.stop.is_requested() {
                break;
            }
        }
        Ok(runs)
    }

    /// Shows the runs, unless they were stopped.
    fn end(&self, runs: &[(PathBuf, Outcome)]) -> Done {
        if let Some(code) = self.stop.exit_code() {
            return Ok(ExitCode::from(code));
        }
        self.show(runs)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Trains all networks with one seed.
    fn of_seed(&self, seed: u64, data: &Data) -> Result<Vec<(PathBuf, Outcome)>, Box<dyn Error>> {
        let options = self.options;
        let mut runs = Vec::new();
        for net in self.program.networks(data.training.sizes())? {
            let recipe = recipe(net.recipe(), options, seed)?;
            let kind = options.kind();
            let name = folder_name(kind.word(), net.facts(), seed);
            let (folder, opening) = folder(&options.out, self.resume, &name);
            let settings = Settings::new(&net.facts().name, &kind, options.images(), data);
            let outcome = self.train(&*net, data, recipe, (&folder, opening), &settings)?;
            runs.push((folder, outcome));
            if self.stop.is_requested() {
                break;
            }
        }
        Ok(runs)
    }

    /// Resumes the run in a folder with its own settings.
    fn resume(&self, folder: &Path) -> Done {
        let origin = Origin::read(folder)?;
        let recipe = &origin.description.recipe;
        let net = self.program.of_run(&origin.description)?;
        let part = (recipe.seed, origin.settings.images);
        let data = origin.kind()?.open(part, net.sizes().image(), &self.stop)?;
        origin.check(&*net)?;
        origin.check_names(data.validation.names())?;
        let place = (folder, Opening::Resume);
        let outcome = self.train(&*net, &data, recipe.clone(), place, &origin.settings)?;
        let evaluation = outcome.averaged.or(outcome.evaluation);
        if let Some(code) = self.stop.exit_code() {
            return Ok(ExitCode::from(code));
        }
        note(format_args!("{} is in {}", net.facts().label(), folder.display()));
        if let Some(evaluation) = evaluation {
            print(result_table(&evaluation))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Trains one network in its run folder.
    fn train(
        &self,
        net: &dyn Net,
        data: &Data,
        recipe: Recipe,
        (path, opening): (&Path, Opening),
        settings: &Settings,
    ) -> Result<Outcome, Box<dyn Error>> {
        let name = format!("{}, seed {}:", net.facts().label(), recipe.seed);
        let mut progress = Progress::new(name.clone());
        let mut log = CsvLog::new(path);
        let mut board = TensorBoard::new(path.join("tensorboard"));
        let mut pictures = Pictures::new(path);
        let job = Job {
            data,
            recipe,
            folder: Some((path.to_owned(), opening)),
            companions: vec![Companion {
                name: settings::NAME.to_owned(),
                content: settings.to_json()?,
            }],
            observers: vec![&mut progress, &mut log, &mut board, &mut pictures],
            stop: self.stop.clone(),
        };
        let outcome = net.train(job, self.options.device)?;
        drop(progress);
        let path = path.display();
        match outcome.best {
            _ if outcome.end == End::Interrupted => {
                let steps = outcome.steps;
                note(format_args!(
                    "{name} stopped after step {steps}; resume with: {} train --resume {path}",
                    self.program.name()
                ));
            }
            Some(best) => {
                let accuracy = 100.0 * best.top1;
                note(format_args!(
                    "{name} best validation accuracy {accuracy:.2} % (epoch {}); saved in {path}",
                    best.epoch
                ));
            }
            None => note(format_args!("{name} saved in {path}")),
        }
        Ok(outcome)
    }

    /// Prints the results of the runs.
    fn show(&self, runs: &[(PathBuf, Outcome)]) -> Result<(), Box<dyn Error>> {
        let folders = runs.iter().map(|(folder, _)| folder);
        let comparison = Comparison::read(folders)?;
        if let [(folder, outcome)] = runs {
            print(comparison.networks())?;
            if let Some(evaluation) = outcome.averaged.as_ref().or(outcome.evaluation.as_ref()) {
                print(format_args!("\n{}", result_table(evaluation)))?;
            }
            return print(format_args!("\nmodels, logs and plots: {}", folder.display()));
        }
        comparison.save(&self.options.out)?;
        print(comparison.networks())?;
        print("\nmodels, logs and plots:")?;
        for (folder, _) in runs {
            print(format_args!("  {}", folder.display()))?;
        }
        print(format_args!("  {}", self.options.out.join("comparison.svg").display()))
    }
}
