//! Runs that are killed at random moments, and interrupted.

use crate::child::Run;
use crate::support::{adam, differences, saved, sgd, train_in, uninterrupted};
use ksdsl_train::Recipe;
use ksdsl_train::run::RunError;
use ksdsl_train::trainer::{End, TrainError};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The signal that nobody can catch.
const KILL: i32 = 9;

/// Ten times, a run is killed at a random moment, and its resumptions maybe as well; the last one ends it. The
/// moments go from before the first step to nearly the last. Checkpoints are written after every second step
/// and at the end of each epoch, which takes about as long as the steps: many kills hit one that is being
/// written.
fn survives_kills(name: &str, recipe: &Recipe, seed: u64) {
    let expected = uninterrupted(recipe);
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), name, 0, "");
    run.wait_for("start ").unwrap();
    let begun = Instant::now();
    assert_eq!(run.wait_for("end ").as_deref(), Some("Finished"));
    run.child.wait().unwrap();
    let whole = begun.elapsed();
    assert_eq!(differences(&expected, &saved(folder.path())), [""; 0]);

    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut kills = 0;
    while kills < 10 {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..rng.gen_range(1..=3) {
            kills += u32::from(killed(folder.path(), name, whole.mul_f64(rng.gen_range(0.0..0.9))));
        }
        train_in(folder.path(), recipe).unwrap();
        assert_eq!(
            differences(&expected, &saved(folder.path())),
            [""; 0],
            "after kill {kills}"
        );
    }
}

/// Lets a run start or resume, waits for some time and kills it; whether it was still running.
fn killed(folder: &Path, name: &str, time: Duration) -> bool {
    let mut run = Run::new(folder, name, 0, "");
    run.wait_for("start ").unwrap();
    thread::sleep(time);
    run.child.kill().unwrap();
    run.child.wait().unwrap().signal() == Some(KILL)
}

/// Elsewhere: <https://github.com/Lightning-AI/pytorch-lightning/issues/688>,
/// <https://github.com/Lightning-AI/pytorch-lightning/issues/19970>
#[test]
fn runs_by_descent_survive_kills() {
    survives_kills("sgd", &sgd(), 1);
}

#[test]
fn runs_by_adam_survive_kills() {
    survives_kills("adam", &adam(), 2);
}

#[test]
fn an_interruption_stops_after_the_step_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 300, "");
    assert_eq!(run.wait_for("step 3").as_deref(), Some(""));
    run.signal("INT");
    assert_eq!(run.wait_for("end ").as_deref(), Some("Interrupted"));
    assert_eq!(run.child.wait().unwrap().code(), Some(130));
    let mut run = Run::new(folder.path(), "sgd", 0, "");
    let done: u64 = run.wait_for("start ").unwrap().parse().unwrap();
    assert!((3..17).contains(&done), "{done}");
    assert_eq!(run.wait_for("end ").as_deref(), Some("Finished"));
    run.child.wait().unwrap();
    assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
}

#[test]
fn a_second_interruption_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 60_000, "");
    run.wait_for("step 1").unwrap();
    run.signal("INT");
    thread::sleep(Duration::from_millis(200));
    assert!(run.child.try_wait().unwrap().is_none(), "one is a wish");
    // Signals that come before the first one was seen are one.
    let status = loop {
        run.signal("INT");
        thread::sleep(Duration::from_millis(50));
        if let Some(status) = run.child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
}

/// Where a file may not grow: writing a checkpoint fails in the middle, as on a full disk.
///
/// Elsewhere: <https://github.com/harvard-edge/cs249r_book/pull/2068>
#[test]
fn a_checkpoint_that_does_not_fit_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last.safetensors");
    let mut run = Run::new(folder.path(), "sgd", 300, "");
    run.wait_for("step 3").unwrap();
    run.signal("INT");
    run.child.wait().unwrap();
    let before = std::fs::read(&last).unwrap();
    assert!(before.len() > 8192);

    let mut run = Run::new(folder.path(), "sgd", 0, "trap '' XFSZ; ulimit -f 4;");
    let error = run.wait_for("error ").unwrap();
    assert!(
        error.contains("cannot write") && error.contains("last.safetensors"),
        "{error}"
    );
    assert!(error.ends_with("earlier checkpoints are unchanged"), "{error}");
    assert_eq!(run.child.wait().unwrap().code(), Some(1));
    assert!(std::fs::read(&last).unwrap() == before);

    assert_eq!(train_in(folder.path(), &sgd()).unwrap().end, End::Finished);
    assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
}

/// Elsewhere: <https://github.com/deepinv/deepinv/pull/550>
#[test]
fn two_programs_cannot_work_on_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 60_000, "");
    run.wait_for("step 1").unwrap();
    let error = train_in(folder.path(), &sgd()).unwrap_err();
    assert!(matches!(error, TrainError::Run(RunError::Busy(_))), "{error}");
    run.child.kill().unwrap();
    run.child.wait().unwrap();
}
