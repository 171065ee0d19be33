//! Signals that a run in a process of its own gets.

use crate::child::Run;
use crate::support::{differences, saved, sgd, train_in, uninterrupted};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Steps of the last checkpoint in a folder.
fn saved_steps(folder: &Path) -> u64 {
    let last = ksdsl_checkpoint::File::read(&folder.join("last.safetensors")).unwrap();
    let progress: serde_json::Value = serde_json::from_slice(last.get("progress").unwrap().data).unwrap();
    progress["steps"].as_u64().unwrap()
}

/// 128 and the signal's number, as POSIX has it of shells: 15 is SIGTERM, 1 SIGHUP, 10 SIGUSR1 on Linux.
///
/// Elsewhere: <https://github.com/Lightning-AI/pytorch-lightning/issues/1455>
#[test]
fn a_signal_stops_after_the_step_with_a_checkpoint_and_its_exit_code() {
    for (signal, before, code) in [
        ("TERM", "", 143),
        ("HUP", "", 129),
        ("INT", "", 130),
        ("USR1", "export KSDSL_TEST_USR1_STOPS=1;", 138),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let before = format!("{before} export KSDSL_TEST_EVERY=1000;");
        let mut run = Run::new(folder.path(), "sgd", 300, &before);
        run.wait_for("step 2").unwrap();
        run.signal(signal);
        assert_eq!(run.wait_for("end ").as_deref(), Some("Interrupted"), "{signal}");
        assert_eq!(run.child.wait().unwrap().code(), Some(code), "{signal}");
        assert!((2..6).contains(&saved_steps(folder.path())), "{signal}");
        train_in(folder.path(), &sgd()).unwrap();
        assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
    }
}

/// As `nohup` has it, and a shell of what a script starts in the background.
///
/// Elsewhere: <https://github.com/open-mmlab/mmsegmentation/issues/1998>,
/// <https://github.com/pytorch/pytorch/issues/67538>
#[cfg(target_os = "linux")]
#[test]
fn what_is_inherited_as_ignored_stays_ignored() {
    for signal in ["HUP", "INT", "TERM", "USR1"] {
        let folder = tempfile::tempdir().unwrap();
        let before = format!("trap '' {signal}; export KSDSL_TEST_EVERY=1000;");
        let mut run = Run::new(folder.path(), "sgd", 60, &before);
        run.wait_for("step 1").unwrap();
        for _ in 0..2 {
            run.signal(signal);
            thread::sleep(Duration::from_millis(20));
        }
        run.wait_for("step 4").unwrap();
        assert_eq!(saved_steps(folder.path()), 0, "{signal}");
        assert_eq!(run.wait_for("end ").as_deref(), Some("Finished"), "{signal}");
        assert_eq!(run.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// Elsewhere: <https://github.com/kyutai-labs/pocket-tts/pull/277>
#[test]
fn a_warning_writes_a_checkpoint_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 200, "export KSDSL_TEST_EVERY=1000;");
    run.wait_for("step 1").unwrap();
    assert_eq!(saved_steps(folder.path()), 0);
    run.signal("USR1");
    run.wait_for("step 4").unwrap();
    assert!((1..4).contains(&saved_steps(folder.path())));
    assert_eq!(run.wait_for("end ").as_deref(), Some("Finished"));
    assert_eq!(run.child.wait().unwrap().code(), Some(0));
    assert_eq!(differences(&uninterrupted(&sgd()), &saved(folder.path())), [""; 0]);
}

/// A terminal that closes sends SIGHUP, a system that stops SIGTERM soon after: both are one wish.
#[test]
fn different_signals_do_not_end_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = Run::new(folder.path(), "sgd", 500, "export KSDSL_TEST_EVERY=1000;");
    run.wait_for("step 2").unwrap();
    for signal in ["HUP", "TERM", "HUP", "INT"] {
        run.signal(signal);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run.wait_for("end ").as_deref(), Some("Interrupted"));
    assert_eq!(run.child.wait().unwrap().code(), Some(129), "the first one's");
    assert!(saved_steps(folder.path()) >= 2);
}
