use super::CsvLog;
use crate::metrics::Meter;
use crate::record::{Epoch, Observer, Start, Step};
use crate::report::History;
use std::fs;
use std::path::Path;

/// Two steps are an epoch.
pub(in crate::report) fn start(done: u64) -> Start<'static> {
    Start {
        unit: "images",
        network: "tiny",
        parameters: 12_345,
        classes: &[],
        epochs: 4,
        steps_per_epoch: 2,
        beginning: 0,
        done,
        folder: None,
    }
}

pub(in crate::report) fn step(number: u64) -> Step {
    Step {
        epoch: number.div_ceil(2) as u32,
        number,
        loss: 1.0 / (number as f64 + 0.1),
        rate: 0.1 + 0.2,
        gradient_norm: (number % 2 == 1).then_some(3.5),
        images: 64,
        seconds: 0.25,
        waited: 0.01,
        processor: Some(0.4),
    }
}

pub(in crate::report) fn epoch(number: u32) -> Epoch {
    let mut meter = Meter::new(2);
    meter.add(&[1.0f32, 0.0, f32::from(number as u16), 1.5], &[0, 1]);
    Epoch {
        number,
        steps: 2 * u64::from(number),
        training_loss: 0.5,
        rate: 0.05,
        seconds: 0.5,
        waited: 0.02,
        processor: Some(0.8),
        images: 128,
        evaluation: number.is_multiple_of(2).then(|| meter.evaluation()),
        averaged: None,
    }
}

/// Tells an observer of these steps, and of an epoch after every second.
pub(in crate::report) fn tell(observer: &mut dyn Observer, steps: std::ops::RangeInclusive<u64>) {
    for number in steps {
        observer.step(&step(number)).unwrap();
        if number.is_multiple_of(2) {
            observer.epoch(&epoch((number / 2) as u32)).unwrap();
        }
    }
}

fn files(folder: &Path) -> [String; 2] {
    [History::STEPS, History::EPOCHS].map(|name| fs::read_to_string(folder.join(name)).unwrap())
}

fn whole_run(folder: &Path) -> [String; 2] {
    let mut log = CsvLog::new(folder);
    log.start(&start(0)).unwrap();
    tell(&mut log, 1..=8);
    log.end().unwrap();
    files(folder)
}

#[test]
fn numbers_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let [steps, epochs] = whole_run(folder.path());
    assert!(steps.starts_with("step,epoch,loss,learning_rate,gradient_norm,images,seconds,data_wait_seconds\n1,1,0.9090909090909091,0.30000000000000004,3.5,64,0.25,0.01\n2,1,"));
    let header = "epoch,steps,training_loss,learning_rate,images,seconds,data_wait_seconds,validation_loss,validation_top1,validation_top5,averaged_loss,averaged_top1,averaged_top5,validation_bits_per_byte,averaged_bits_per_byte,processor_seconds\n";
    assert!(
        epochs.starts_with(&format!("{header}1,2,0.5,0.05,128,0.5,0.02,,,,,,,,,0.8\n2,4,")),
        "{epochs}"
    );
    let history = History::read(folder.path()).unwrap();
    assert_eq!(
        history.steps,
        (1..=8).map(|number| (&step(number)).into()).collect::<Vec<_>>()
    );
    assert_eq!(
        history.epochs,
        (1..=4).map(|number| (&epoch(number)).into()).collect::<Vec<_>>()
    );
    assert_eq!(history.seconds(), 2.0);
    assert_eq!(history.images_per_second(), Some(256.0));
}

/// Whatever was written after the checkpoint, and however it was truncated, nothing is double and nothing lacks.
#[test]
fn a_resumed_run_has_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole_run(folder.path());
    for done in 1..8 {
        let mut log = CsvLog::new(folder.path());
        log.start(&start(done)).unwrap();
        tell(&mut log, done + 1..=8);
        log.end().unwrap();
        assert_eq!(files(folder.path()), whole, "after {done} steps");
        for cut in [1, 5, 9] {
            let steps = &whole[0][..whole[0].len() - cut];
            fs::write(folder.path().join(History::STEPS), steps).unwrap();
            let mut log = CsvLog::new(folder.path());
            log.start(&start(done)).unwrap();
            tell(&mut log, done + 1..=8);
            log.end().unwrap();
            assert_eq!(files(folder.path()), whole, "after {done} steps, cut off by {cut}");
        }
    }
}

/// A checkpoint of the last step of an epoch, written before its evaluation.
#[test]
fn an_epoch_that_is_told_twice_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole_run(folder.path());
    let mut log = CsvLog::new(folder.path());
    log.start(&start(4)).unwrap();
    log.epoch(&epoch(2)).unwrap();
    tell(&mut log, 5..=8);
    log.end().unwrap();
    assert_eq!(files(folder.path()), whole);
}

#[test]
fn a_new_run_replaces_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let whole = whole_run(folder.path());
    fs::write(folder.path().join(History::STEPS), "anything\nat all\n").unwrap();
    assert_eq!(whole_run(folder.path()), whole);
}

#[test]
fn what_was_flushed_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = CsvLog::new(folder.path());
    log.start(&start(0)).unwrap();
    tell(&mut log, 1..=3);
    log.flush().unwrap();
    let history = History::read(folder.path()).unwrap();
    assert_eq!((history.steps.len(), history.epochs.len()), (3, 1));
}

#[test]
fn a_line_that_is_no_record_is_named() {
    let folder = tempfile::tempdir().unwrap();
    whole_run(folder.path());
    let path = folder.path().join(History::STEPS);
    let text = fs::read_to_string(&path).unwrap().replace("\n3,2,", "\nthree,2,");
    fs::write(&path, text).unwrap();
    let error = CsvLog::new(folder.path()).start(&start(5)).unwrap_err().to_string();
    assert!(error.contains("steps.csv") && error.contains("line: 4"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let folder = file.path().join("run");
    let error = CsvLog::new(&folder).start(&start(0)).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot create `{}`", folder.display())),
        "{error}"
    );
}

/// Rows that no run writes, one change each to a file that one wrote: the file, what is replaced, and the complaint.
#[test]
fn records_that_no_run_writes_are_refused() {
    let steps = "step,epoch,loss,learning_rate,gradient_norm,images,seconds,data_wait_seconds\n\
                 1,1,2.3,0.1,1.0,64,0.5,0.1\n2,1,NaN,0.1,,64,0.5,0.1\n";
    let epochs = "epoch,steps,training_loss,learning_rate,images,seconds,data_wait_seconds,validation_loss,validation_top1,validation_top5,averaged_loss,averaged_top1,averaged_top5\n\
                  1,6,2.2,0.1,88,1.5,0.2,inf,0.5,0.9,,,\n2,12,1e300,0.1,88,1.5,0.2,1.9,0.6,0.95,,,\n";
    let folder = tempfile::tempdir().unwrap();
    let read = |steps: &str, epochs: &str| {
        fs::write(folder.path().join("steps.csv"), steps).unwrap();
        fs::write(folder.path().join("epochs.csv"), epochs).unwrap();
        History::read(folder.path())
    };
    let history = read(steps, epochs).unwrap();
    assert_eq!((history.steps.len(), history.epochs.len()), (2, 2));
    for (from, to, expected) in [
        (
            "2,1,NaN",
            "1,1,NaN",
            "record 2: `step` is 1, but the previous row has 1",
        ),
        (
            "1,1,2.3",
            "0,1,2.3",
            "record 1: `step` is 0, but the previous row has 0",
        ),
        (
            "2.3,0.1,",
            "2.3,-0.1,",
            "record 1: invalid value -0.1 of `learning_rate`",
        ),
        ("2.3,0.1,", "2.3,NaN,", "record 1: invalid value NaN of `learning_rate`"),
        (
            ",64,0.5,0.1\n2",
            ",18446744073709551615,0.5,0.1\n2",
            "invalid value 184",
        ),
        ("0.5,0.1\n2", "inf,0.1\n2", "invalid value inf of `seconds`"),
        ("0.5,0.1\n2", "0.5,-3\n2", "invalid value -3 of `data_wait_seconds`"),
        (",loss", ",losss", "losss"),
    ] {
        let error = read(&steps.replacen(from, to, 1), epochs).unwrap_err().to_string();
        assert!(
            error.contains("steps.csv`") && error.contains(expected),
            "{error}, not {expected}"
        );
    }
    for (from, to, expected) in [
        ("\n2,12", "\n1,12", "record 2: `epoch` is 1, but the previous row has 1"),
        ("0.5,0.9", "1.5,0.9", "record 1: invalid value 1.5 of `validation_top1`"),
        ("0.5,0.9", "0.5,NaN", "record 1: invalid value NaN of `validation_top5`"),
        ("88,1.5", "88,1e300", "record 1: invalid value 1"),
        ("top5", "top6", "top6"),
    ] {
        let error = read(steps, &epochs.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(
            error.contains("epochs.csv`") && error.contains(expected),
            "{error}, not {expected}"
        );
    }
}

/// Records can go to a device, by a link; there they are not found again.
#[cfg(unix)]
#[test]
fn records_can_go_to_a_device() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/null", folder.path().join("steps.csv")).unwrap();
    fs::write(folder.path().join("elsewhere.csv"), "").unwrap();
    std::os::unix::fs::symlink("elsewhere.csv", folder.path().join("epochs.csv")).unwrap();
    for done in [0, 12] {
        let mut log = CsvLog::new(folder.path());
        log.start(&start(done)).unwrap();
        log.end().unwrap();
    }
    let is_link = |name: &str| fs::symlink_metadata(folder.path().join(name)).unwrap().is_symlink();
    assert!(is_link("steps.csv") && is_link("epochs.csv"));
}
