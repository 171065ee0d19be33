//! Logs truncated or corrupted at any byte give rows, or an error that names the file.

use ksdsl_train::report::History;
use std::fs;

const STEPS: &str = "\
step,epoch,loss,learning_rate,gradient_norm,images,seconds,data_wait_seconds
1,1,2.302585092994046,0.1,,128,0.25,0.001
2,1,1.5,0.0999,3.5,128,0.25,0
";
const EPOCHS: &str = "\
epoch,steps,training_loss,learning_rate,images,seconds,data_wait_seconds,validation_loss,validation_top1,validation_top5,averaged_loss,averaged_top1,averaged_top5
1,2,1.9,0.0999,256,0.5,0.001,2.0,0.25,0.75,,,
2,4,1.5,0.05,256,0.5,0.001,1.7,0.5,0.875,1.6,0.5,1
";

/// The number of rows a folder with this file has.
fn rows(name: &str, content: &[u8]) -> Result<usize, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), content).unwrap();
    match History::read(folder.path()) {
        Ok(history) => Ok(history.steps.len() + history.epochs.len()),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(name), "{message}");
            Err(message)
        }
    }
}

#[test]
fn records_cut_off_or_changed_end_in_rows_or_an_error() {
    for (name, text) in [(History::STEPS, STEPS), (History::EPOCHS, EPOCHS)] {
        let whole = text.as_bytes();
        assert_eq!(rows(name, whole).unwrap(), 2);
        for at in 0..whole.len() {
            if let Ok(count) = rows(name, &whole[..at]) {
                assert!(count < 2, "{name}, {at} bytes");
            }
            for change in [0x01, 0x10, 0xFF] {
                let mut damaged = whole.to_vec();
                damaged[at] ^= change;
                let _ = rows(name, &damaged);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn what_has_no_end_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join(History::STEPS)).unwrap();
    let history = History::read(folder.path()).unwrap();
    assert!(history.steps.is_empty() && history.epochs.is_empty());
}
