use super::proto::{Event, What};
use super::{TensorBoard, event_files, frame};
use crate::record::Observer as _;
use crate::report::csv::tests::{start, tell};
use prost::Message as _;
use std::fs;
use std::path::Path;

/// The events of all files: their step, tag and value; of others their kind.
fn events(folder: &Path) -> Vec<(i64, String, f32)> {
    let mut events = Vec::new();
    for path in event_files(folder).unwrap() {
        let bytes = fs::read(path).unwrap();
        let mut at = 0;
        while let Some((event, next)) = frame::read(&bytes, at) {
            at = next;
            let event = Event::decode(event).unwrap();
            match event.what.unwrap() {
                What::Summary(summary) => {
                    let value = |value: super::Value| (event.step, value.tag, value.simple_value.unwrap());
                    events.extend(summary.value.into_iter().map(value));
                }
                What::FileVersion(version) => events.push((event.step, version, 0.0)),
                What::SessionLog(log) => events.push((event.step, "session".to_owned(), log.status as f32)),
            }
        }
        assert_eq!(at, bytes.len(), "an event is damaged");
    }
    events
}

/// Without the entries that say how a file and a session begin.
fn scalars(folder: &Path) -> Vec<(i64, String, f32)> {
    let kept = |(_, tag, _): &(i64, String, f32)| tag.contains('_') || tag.contains('/') || tag == "learning_rate";
    events(folder).into_iter().filter(kept).collect()
}

fn whole_run(folder: &Path) {
    let mut board = TensorBoard::new(folder);
    board.start(&start(0)).unwrap();
    tell(&mut board, 1..=8);
    board.end().unwrap();
}

/// The bytes that TensorFlow's own writer makes:
///
/// ```python
/// from tensorboard.compat.proto.event_pb2 import Event            # tensorboard 2.21
/// from tensorboard.compat.proto.summary_pb2 import Summary
/// from tensorboard.summary.writer.record_writer import RecordWriter
/// import io; f = io.BytesIO()
/// RecordWriter(f).write(Event(wall_time=1.5, step=300, summary=Summary(value=[
///     Summary.Value(tag="rate", simple_value=0.0)])).SerializeToString())
/// print(f.getvalue().hex())
/// ```
#[test]
fn an_event_has_the_bytes_that_tensorboard_writes() {
    let event = Event {
        wall_time: 1.5,
        step: 300,
        what: Some(What::Summary(super::Summary {
            value: vec![super::Value {
                tag: "rate".to_owned(),
                simple_value: Some(0.0),
            }],
        })),
    };
    let mut bytes = Vec::new();
    frame::write(&mut bytes, &event.encode_to_vec()).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, HEX);
}

const HEX: &str = "1b000000000000001a0d9e1309000000000000f83f10ac022a0d0a0b0a04726174651500000000798fc718";

#[test]
fn steps_and_epochs_become_curves() {
    let folder = tempfile::tempdir().unwrap();
    whole_run(folder.path());
    let events = events(folder.path());
    assert_eq!(events[0], (0, "brain.Event:2".to_owned(), 0.0));
    assert_eq!(events[1], (1, "loss/training_step".to_owned(), (1.0f64 / 1.1) as f32));
    assert_eq!(events[2], (1, "learning_rate".to_owned(), 0.3));
    let of = |tag: &str| {
        events
            .iter()
            .filter(|(_, name, _)| name == tag)
            .map(|event| event.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("loss/training_step"), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(of("gradient_norm"), [1, 3, 5, 7]);
    assert_eq!(of("loss/training"), [2, 4, 6, 8]);
    assert_eq!(of("accuracy/validation_top_1"), [4, 8]);
    assert_eq!(of("accuracy/validation_top_1_averaged"), [0; 0]);
}

#[test]
fn a_resumed_run_has_the_same_events() {
    let folder = tempfile::tempdir().unwrap();
    whole_run(folder.path());
    let whole = scalars(folder.path());
    for done in 1..8 {
        // A killed process leaves a part of an event.
        let last = event_files(folder.path()).unwrap().pop().unwrap();
        let bytes = fs::read(&last).unwrap();
        fs::write(&last, &bytes[..bytes.len() - 3]).unwrap();
        let mut board = TensorBoard::new(folder.path());
        board.start(&start(done)).unwrap();
        tell(&mut board, done + 1..=8);
        board.end().unwrap();
        assert_eq!(scalars(folder.path()), whole, "after {done} steps");
        // A TensorBoard that has read the stale events is told from which step on they are stale.
        assert!(events(folder.path()).contains(&(done as i64 + 1, "session".to_owned(), 1.0)));
    }
    assert_eq!(event_files(folder.path()).unwrap().len(), 8);
    whole_run(folder.path());
    assert_eq!(event_files(folder.path()).unwrap().len(), 1);
}

#[test]
fn damaged_records_are_found() {
    let mut bytes = Vec::new();
    frame::write(&mut bytes, b"one").unwrap();
    let second = bytes.len();
    frame::write(&mut bytes, b"another").unwrap();
    assert_eq!(frame::read(&bytes, 0), Some((&b"one"[..], second)));
    for at in second..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert_eq!(frame::read(&damaged, second), None, "byte {at}");
        assert_eq!(frame::read(&bytes[..at], second), None, "cut off at {at}");
    }
}

/// Links in the folder lead to what is somebody else's.
#[cfg(unix)]
#[test]
fn what_a_link_leads_to_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    let events = folder.path().join("events");
    fs::create_dir(&events).unwrap();
    let link = events.join("events.out.tfevents.00003");
    std::os::unix::fs::symlink(&precious, &link).unwrap();
    for done in [2, 0] {
        let mut board = TensorBoard::new(&events);
        board.start(&start(done)).unwrap();
        board.end().unwrap();
        assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    }
    assert!(fs::symlink_metadata(link).unwrap().is_symlink());
}
