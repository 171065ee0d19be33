//! The book's table of the study on CIFAR follows from the records of its runs.

use indicatif::HumanCount;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[derive(Deserialize)]
struct Row {
    data: String,
    net: String,
    seed: u64,
    parameters: u64,
    epoch: u32,
    training_loss: f64,
    validation_top1: f64,
}

/// The number of epochs of every run.
const EPOCHS: u32 = 15;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_table_is_that_of_the_records() {
    let text = read("cifar/runs.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<Row> = reader.deserialize().map(Result::unwrap).collect();
    let mut runs: BTreeMap<(&str, &str), BTreeMap<u64, Vec<&Row>>> = BTreeMap::new();
    for row in &rows {
        let of_net = runs.entry((&row.data, &row.net)).or_default();
        of_net.entry(row.seed).or_default().push(row);
    }
    let page = read("../docs/book/src/cifar.md");
    let mut seen = 0;
    for ((data, net), seeds) in &runs {
        let mut last = Vec::new();
        for epochs in seeds.values() {
            assert!(epochs.iter().map(|row| row.epoch).eq(1..=EPOCHS), "{data} {net}");
            last.push(epochs[epochs.len() - 1]);
        }
        let count = last.len() as f64;
        let top1 = last.iter().map(|row| 100.0 * row.validation_top1);
        let (least, most) = (top1.clone().fold(f64::MAX, f64::min), top1.clone().fold(0.0, f64::max));
        let loss = last.iter().map(|row| row.training_loss).sum::<f64>() / count;
        let mean = top1.sum::<f64>() / count;
        let data = data.replace("cifar", "CIFAR-");
        let parameters = HumanCount(last[0].parameters);
        let mut end = String::new();
        write!(
            end,
            "| {} | {mean:.2} | {least:.2} to {most:.2} | {loss:.3} |",
            last.len()
        )
        .unwrap();
        let begin = format!("| {data} | `{net}` | {parameters} |");
        let line = page.lines().find(|line| line.starts_with(&begin));
        let line = line.unwrap_or_else(|| panic!("no row begins with {begin}"));
        assert!(line.ends_with(&end), "{line}\nends with {end}");
        seen += 1;
    }
    let rows = page.lines().filter(|line| line.starts_with("| CIFAR-")).count();
    assert_eq!(rows, seen);
}
