//! A run in a process of its own: this program, told by its environment to be that process.

use crate::support::{adam, data, model, sgd};
use ksdsl_runtime::prelude::Cpu;
use ksdsl_train::Trainer;
use ksdsl_train::data::Scaling;
use ksdsl_train::interrupt::{Stop, Warning};
use ksdsl_train::record::{Observer, Start, Step};
use ksdsl_train::source::Plain;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag::register_conditional_default;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Once};
use std::thread;
use std::time::Duration;

/// The variables that tell the process what to do.
const FOLDER: &str = "KSDSL_TEST_FOLDER";
const RECIPE: &str = "KSDSL_TEST_RECIPE";
const NAP: &str = "KSDSL_TEST_NAP";
/// Set where SIGUSR1 stops.
const STOPS: &str = "KSDSL_TEST_USR1_STOPS";
/// The number of steps between checkpoints.
const EVERY: &str = "KSDSL_TEST_EVERY";

/// Says on standard output when the run begins and when a step is done, and naps after each.
struct Talk {
    nap: Duration,
}

impl Observer for Talk {
    fn start(&mut self, start: &Start<'_>) -> io::Result<()> {
        writeln!(io::stdout(), "start {}", start.done)
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        writeln!(io::stdout(), "step {}", step.number)?;
        thread::sleep(self.nap);
        Ok(())
    }
}

/// No test, but what the process does.
#[test]
#[ignore = "what other tests run in a process of its own"]
fn process() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let recipe = match env::var(RECIPE).unwrap().as_str() {
        "sgd" => sgd(),
        _ => adam(),
    };
    let nap = env::var(NAP).unwrap().parse().unwrap();
    let mut talk = Talk {
        nap: Duration::from_millis(nap),
    };
    let warning = match env::var_os(STOPS) {
        Some(_) => Warning::Stop,
        None => Warning::Checkpoint,
    };
    let every = env::var(EVERY).map_or(2, |every| every.parse().unwrap());
    let stop = Stop::on_signals(warning).unwrap();
    let (training, validation) = data();
    let scaling = Scaling::of(&training);
    let mut source = Plain::new(&training, recipe.batch.try_into().unwrap(), &scaling, recipe.seed);
    let mut model = model(recipe.seed);
    let outcome = Trainer::new(recipe)
        .validation(&validation, &scaling)
        .observer(&mut talk)
        .stop(stop.clone())
        .checkpoint_every_steps(every)
        .start_or_resume(folder)
        .train(&mut model, &mut source, &Cpu::default());
    match outcome {
        Ok(outcome) => {
            writeln!(io::stdout(), "end {:?}", outcome.end).unwrap();
            std::process::exit(stop.exit_code().map_or(0, i32::from));
        }
        Err(error) => {
            writeln!(io::stdout(), "error {error}").unwrap();
            std::process::exit(1);
        }
    }
}

/// Such a process, and what it says.
pub(crate) struct Run {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

/// From now on processes take signals as by default, even where this one inherited them as ignored, as background
/// jobs of a script do: unlike what is ignored, a handler is not inherited. This one does what is the default.
fn take_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for signal in [SIGHUP, SIGINT, SIGTERM, SIGUSR1] {
            register_conditional_default(signal, Arc::new(AtomicBool::new(true))).unwrap();
        }
    });
}

impl Run {
    /// Begins or resumes the run of a folder, in a shell that first does `before`.
    pub(crate) fn new(folder: &Path, recipe: &str, nap: u64, before: &str) -> Self {
        take_signals();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap())
            .args(["child::process", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(RECIPE, recipe)
            .env(NAP, nap.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// What it says from now on.
    pub(crate) fn lines(&mut self) -> &mut impl BufRead {
        &mut self.lines
    }

    /// The next line with this beginning, without it; `None` if the process ended before.
    pub(crate) fn wait_for(&mut self, beginning: &str) -> Option<String> {
        let mut line = String::new();
        while self.lines.read_line(&mut line).unwrap() > 0 {
            if let Some(rest) = line.strip_prefix(beginning) {
                return Some(rest.trim().to_owned());
            }
            line.clear();
        }
        None
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}
