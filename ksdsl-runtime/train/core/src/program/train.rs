//! `train`: trains one network or several, each in its own run folder.

use super::choose::{folder, folder_name, plain, recipe};
use super::data::{Kind, Sets};
use super::job::Job;
use super::output::{note, print};
use super::run_options::RunOptions;
use super::runs::{Trained, all};
use super::settings::{self, Origin, Settings};
use super::{Done, Net, Program, Task, Tried};
use crate::data::DataError;
use crate::interrupt::Stop;
use crate::recipe::Recipe;
use crate::record::Observer;
use crate::report::{Comparison, CsvLog, Pictures, Progress, TensorBoard, result_table};
use crate::run::{Companion, Opening};
use crate::text::{Text, Tokens, Vocabulary};
use crate::trainer::{End, Outcome, beginning};
use clap::Args;
use ksdsl_engine::budget::MemoryBudget;
use std::error::Error;
use std::io::ErrorKind;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

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

/// Networks with what their runs have in common.
pub(super) struct Plan<'o> {
    pub(super) program: &'o dyn Program,
    pub(super) options: &'o RunOptions,
    pub(super) kind: Kind,
    /// What the networks are called, and their folders, unless that is by network and data set.
    pub(super) label: Option<&'o str>,
    /// Whether existing runs are resumed.
    resume: bool,
    pub(super) stop: Stop,
}

/// Runs the command; `chosen`: networks are chosen on the command line.
///
/// # Errors
/// If options contradict each other, the data does not fit, or training fails.
pub fn run(program: &dyn Program, options: &Options, chosen: bool) -> Done {
    let stop = Stop::on_signals(options.runs.warning())?;
    let plan = Plan::new((program, None), &options.runs, options.resume.is_some(), stop)?;
    let done = match options.resumed() {
        Some(folder) if chosen || options.runs.describes_a_run() => {
            let folder = folder.display();
            Err(format!(
                "the run `{folder}` resumes with its own settings: besides --resume, only --threads, --device, --precision, --budget and --on-usr1 can be given"
            )
            .into())
        }
        Some(folder) => plan.resume(folder),
        None => all(std::slice::from_ref(&plan), &mut |_| Ok(())).and_then(|runs| plan.end(&runs)),
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
    /// Prepares the device, and checks what can be without data.
    pub(super) fn new(
        (program, label): (&'o dyn Program, Option<&'o str>),
        options: &'o RunOptions,
        resume: bool,
        stop: Stop,
    ) -> Result<Self, Box<dyn Error>> {
        threads(options.threads);
        program.prepare(options.device, options.precision)?;
        let kind = options.data.clone().unwrap_or_else(|| program.default_data());
        program.accepts(&kind)?;
        match &kind {
            Kind::Text(_) if options.images.is_some() => {
                return Err("--images is for images: the data set is a text".into());
            }
            Kind::Sudoku(_) if options.images.is_some() => {
                return Err("--images is for images: puzzles are generated".into());
            }
            Kind::Text(_) => {}
            _ if options.tokens.is_some() => {
                return Err("--tokens is for texts: choose one with --data text:PATH".into());
            }
            _ => {}
        }
        Ok(Self {
            program,
            options,
            kind,
            label,
            resume,
            stop,
        })
    }

    /// Shows the runs, unless they were stopped.
    fn end(&self, runs: &[Trained]) -> Done {
        if let Some(code) = self.stop.exit_code() {
            return Ok(ExitCode::from(code));
        }
        self.show(runs)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The networks to train with one seed, with their recipes.
    pub(super) fn networks(&self, sets: &Sets, seed: u64) -> Tried<Vec<(Box<dyn Net>, Recipe)>> {
        let nets = self.program.networks(sets)?.into_iter();
        nets.map(|net| {
            let checked = recipe(net.recipe(), self.options, seed).and_then(|recipe| {
                // How many epochs steps are only data say.
                if recipe.steps.is_none() {
                    beginning(net.facts(), recipe.epochs).map_err(|error| error.to_string())?;
                }
                net.trained(&recipe)?;
                if let Some(budget) = self.options.budget {
                    net.within(&recipe, budget)?;
                }
                Ok(recipe)
            });
            let recipe = checked.map_err(|error| match self.label {
                Some(label) => format!("`{label}`: {error}").into(),
                None => error,
            })?;
            Ok((net, recipe))
        })
        .collect()
    }

    /// Trains a network in the folder that its name has.
    pub(super) fn train_named(&self, net: &dyn Net, sets: &Sets, recipe: Recipe) -> Result<Trained, Box<dyn Error>> {
        let (options, kind) = (self.options, &self.kind);
        let name = match self.label {
            Some(label) => format!("{}-{}", plain(label), recipe.seed),
            None => folder_name(kind.word(), net.facts(), recipe.seed),
        };
        let (folder, opening) = folder(&options.out, self.resume, &name);
        let name = &net.facts().name;
        let settings = match sets {
            Sets::Images(data) => Settings::new(name, kind, options.images(), data),
            Sets::Text(_) => Settings::of_tokens(name, kind, Some(&options.tokens.clone().unwrap_or_default())),
            Sets::Puzzles(_) => Settings::of_tokens(name, kind, None),
        };
        let outcome = self.train(net, sets, recipe, (&folder, opening), &settings)?;
        let label = self.label.map(str::to_owned);
        Ok(Trained { label, folder, outcome })
    }

    /// Resumes the run in a folder with its own settings.
    fn resume(&self, folder: &Path) -> Done {
        let origin = Origin::read(folder)?;
        let recipe = &origin.description.recipe;
        let net = self.program.of_run(&origin.description)?;
        let part = (recipe.seed, origin.settings.images);
        let sets = match (origin.kind()?, net.task()) {
            (Kind::Text(text), Task::NextToken(model)) => {
                origin.check_description(&*net)?;
                let text = Text::open(&text, Vocabulary::Known(Tokens::load(folder)?))?;
                model.check(&text)?;
                Sets::Text(text)
            }
            (Kind::Sudoku(sudoku), Task::Puzzles(_)) => {
                origin.check_description(&*net)?;
                Sets::Puzzles(sudoku)
            }
            (kind, task) => {
                let data = kind.open(part, task.picture_size(), &self.stop)?;
                origin.check(&*net)?;
                origin.check_names(data.validation.names())?;
                Sets::Images(data)
            }
        };
        let place = (folder, Opening::Resume);
        let outcome = self.train(&*net, &sets, recipe.clone(), place, &origin.settings)?;
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
        sets: &Sets,
        recipe: Recipe,
        (path, opening): (&Path, Opening),
        settings: &Settings,
    ) -> Result<Outcome, Box<dyn Error>> {
        let label = self.label.map_or_else(|| net.facts().label(), str::to_owned);
        let name = format!("{label}, seed {}:", recipe.seed);
        let mut progress = Progress::new(name.clone());
        let mut log = CsvLog::new(path);
        let mut board = TensorBoard::new(path.join("tensorboard"));
        let mut pictures = Pictures::new(path);
        let mut companions = match sets {
            Sets::Images(_) | Sets::Puzzles(_) => Vec::new(),
            Sets::Text(text) => text.tokens.companions(),
        };
        companions.push(Companion {
            name: settings::NAME.to_owned(),
            content: settings.to_json()?,
        });
        let observers: Vec<&mut dyn Observer> = vec![&mut progress, &mut log, &mut board, &mut pictures];
        let folder = (path.to_owned(), opening);
        if let Some(budget) = self.options.budget {
            note(format_args!("{name} {}", net.within(&recipe, budget)?));
        }
        if let Some(trained) = net.trained(&recipe)? {
            let all = net.facts().parameters;
            note(format_args!("{name} trains {trained} of {all} parameters"));
        }
        let outcome = self.run((net, sets), recipe, (folder, companions), observers)?;
        drop(progress);
        self.report((net, &name), &outcome, path);
        Ok(outcome)
    }

    /// Runs the training.
    fn run<'r>(
        &'r self,
        (net, sets): (&dyn Net, &'r Sets),
        recipe: Recipe,
        (folder, companions): ((PathBuf, Opening), Vec<Companion>),
        observers: Vec<&'r mut dyn Observer>,
    ) -> Result<Outcome, Box<dyn Error>> {
        fn job<'j, D>(
            data: &'j D,
            recipe: Recipe,
            (folder, companions): ((PathBuf, Opening), Vec<Companion>),
            observers: Vec<&'j mut dyn Observer>,
            (stop, memory): (&Stop, Option<MemoryBudget>),
        ) -> Job<'j, D> {
            Job {
                folder: Some(folder),
                companions,
                observers,
                stop: stop.clone(),
                memory,
                ..Job::new(data, recipe)
            }
        }
        let (files, place) = ((folder, companions), self.options.device);
        let limits = (&self.stop, self.options.budget);
        match (net.task(), sets) {
            (Task::Classes(model), Sets::Images(data)) => {
                Ok(model.train(job(data, recipe, files, observers, limits), place)?)
            }
            (Task::NextToken(model), Sets::Text(text)) => {
                model.train(job(text, recipe, files, observers, limits), place)
            }
            (Task::Puzzles(model), Sets::Puzzles(sudoku)) => {
                model.train(job(sudoku, recipe, files, observers, limits), place)
            }
            _ => Err(format!("`{}` is not for {}", net.facts().label(), self.kind).into()),
        }
    }

    /// Says how a run ended.
    fn report(&self, (net, name): (&dyn Net, &str), outcome: &Outcome, path: &Path) {
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
                let measure = match net.task() {
                    Task::Classes(_) => format!("accuracy {:.2} %", 100.0 * best.top1),
                    Task::Puzzles(_) => format!("solved {:.2} %", 100.0 * best.top1),
                    Task::NextToken(_) => format!("loss {:.4}", best.loss),
                };
                note(format_args!(
                    "{name} best validation {measure} (epoch {}); saved in {path}",
                    best.epoch
                ));
            }
            None => note(format_args!("{name} saved in {path}")),
        }
    }

    /// Prints the results of the runs.
    fn show(&self, runs: &[Trained]) -> Result<(), Box<dyn Error>> {
        let folders = runs.iter().map(|run| &run.folder);
        let comparison = Comparison::read(folders)?;
        if let [Trained { folder, outcome, .. }] = runs {
            print(comparison.networks())?;
            if let Some(evaluation) = outcome.averaged.as_ref().or(outcome.evaluation.as_ref()) {
                print(format_args!("\n{}", result_table(evaluation)))?;
            }
            return print(format_args!("\nmodels, logs and plots: {}", folder.display()));
        }
        comparison.save(&self.options.out)?;
        print(comparison.networks())?;
        print("\nmodels, logs and plots:")?;
        for run in runs {
            print(format_args!("  {}", run.folder.display()))?;
        }
        print(format_args!("  {}", self.options.out.join("comparison.svg").display()))
    }
}
