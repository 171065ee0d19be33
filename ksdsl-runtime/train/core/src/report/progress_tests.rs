use super::{Now, Progress, rate, time};
use crate::record::Observer as _;
use crate::report::csv::tests::{epoch, start, step, tell};

#[test]
fn without_a_terminal_an_epoch_is_a_line() {
    let mut text = Vec::new();
    let mut progress = Progress::plain("tiny", &mut text);
    progress.cores = 2;
    progress.start(&start(0)).unwrap();
    tell(&mut progress, 1..=4);
    progress.end().unwrap();
    drop(progress);
    let text = String::from_utf8(text).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "tiny epoch 1/4: training loss 0.5000, 256 images/s, 4.00 % waiting for data, 80 % of 2 cores, 0.5 s"
    );
    // Of the two images of `epoch(2)` one has logits 2.0 and 1.5 and is of class 1.
    let validation = ((1.0 + (-1f64).exp()).ln() + (1.0 + 0.5f64.exp()).ln()) / 2.0;
    let expected = format!(
        "tiny epoch 2/4: training loss 0.5000, validation loss {validation:.4}, accuracy 50.00 %, 256 images/s, "
    );
    assert!(lines[1].starts_with(&expected), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}

#[test]
fn the_bar_says_speed_loss_rate_and_waiting() {
    let mut now = Now::default();
    now.add(&step(1));
    assert_eq!(
        now.text("images", 1),
        "256 images/s, loss 0.9091, learning rate 0.3000, 4 % waiting for data, 160 % of 1 core"
    );
    // The next loss counts a twentieth.
    now.add(&step(2));
    let loss = 0.95 / 1.1 + 0.05 / 2.1;
    assert!(
        now.text("images", 1).contains(&format!("loss {loss:.4}")),
        "{}",
        now.text("images", 1)
    );
}

#[test]
fn the_best_epoch_is_told() {
    let mut progress = Progress::plain("tiny", Vec::new());
    progress.start(&start(0)).unwrap();
    progress.epoch(&epoch(2)).unwrap();
    progress.epoch(&epoch(4)).unwrap();
    // Both are half right; the second is surer of its mistake.
    let message = progress.message();
    assert!(
        message.ends_with("validation accuracy 50.00 % (epoch 4), best 50.00 % (epoch 2)"),
        "{message}"
    );
}

#[test]
fn times_and_rates_are_for_people() {
    assert_eq!(
        [8.74, 59.9, 59.96, 185.0, 7_620.0].map(time),
        ["8.7 s", "59.9 s", "0 min 59 s", "3 min 05 s", "2 h 07 min"]
    );
    assert_eq!(
        [0.1, 0.0012, 0.000_25, 0.0].map(rate),
        ["0.1000", "0.0012", "2.50e-4", "0.0000"]
    );
}
