//! The book's tables and pictures of the studies on CIFAR follow from the records of their runs.

use indicatif::HumanCount;
use ksdsl_train::report::picture::{Picture, comparison, sweep};
use ksdsl_train::report::{Comparison, EpochRow, Facts, History, NETWORK, Point, Run, Sweep};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A row of the records.
#[derive(Clone, Deserialize)]
struct Row {
    data: String,
    /// The network of the paper's study, the label of the others.
    network: String,
    seed: u64,
    parameters: u64,
    epoch: u32,
    steps: u64,
    training_loss: f64,
    learning_rate: f64,
    images: usize,
    seconds: f64,
    validation_loss: f64,
    validation_top1: f64,
    validation_top5: f64,
}

/// The epochs of runs, by seed.
type Seeds = BTreeMap<u64, Vec<Row>>;

/// The runs of a study, by data and network.
struct Study {
    epochs: u32,
    networks: Vec<((String, String), Seeds)>,
}

impl Study {
    fn read(name: &str, epochs: u32) -> Self {
        let text = std::fs::read_to_string(here(&format!("cifar/{name}.csv"))).unwrap();
        let mut study = Self {
            epochs,
            networks: Vec::new(),
        };
        for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
            let row: Row = row.unwrap();
            let key = (row.data.replace("cifar", "CIFAR-"), row.network.clone());
            if study.networks.last().is_none_or(|(last, _)| *last != key) {
                study.networks.push((key, Seeds::new()));
            }
            let seeds = &mut study.networks.last_mut().unwrap().1;
            seeds.entry(row.seed).or_default().push(row);
        }
        study
    }

    /// The rows of its table: `| data and network | parameters |`, and what follows.
    fn rows(&self, named: impl Fn(&str, &str) -> String) -> Vec<(String, String)> {
        let row = |((data, network), seeds): &((String, String), Seeds)| {
            let mut last = Vec::new();
            for rows in seeds.values() {
                assert!(rows.iter().map(|row| row.epoch).eq(1..=self.epochs), "{data} {network}");
                last.push(&rows[rows.len() - 1]);
            }
            let count = last.len() as f64;
            let top1 = last.iter().map(|row| 100.0 * row.validation_top1);
            let (least, most) = (top1.clone().fold(f64::MAX, f64::min), top1.clone().fold(0.0, f64::max));
            let mean = top1.sum::<f64>() / count;
            let loss = last.iter().map(|row| row.training_loss).sum::<f64>() / count;
            let parameters = HumanCount(last[0].parameters);
            let begin = format!("| {} | {parameters} |", named(data, network));
            let seeds = last.len();
            (
                begin,
                format!("| {seeds} | {mean:.2} | {least:.2} to {most:.2} | {loss:.3} |"),
            )
        };
        self.networks.iter().map(row).collect()
    }

    /// Networks for charts.
    fn points(&self, data: &str) -> Vec<Point> {
        let of_data = self.networks.iter().filter(|((of, _), _)| of == data);
        let point = |((_, network), seeds): &((String, String), Seeds)| Point {
            values: vec![network.clone()],
            parameters: seeds[seeds.keys().next().unwrap()][0].parameters,
            runs: seeds.values().map(|rows| run(rows)).collect(),
        };
        of_data.map(point).collect()
    }
}

fn run(rows: &[Row]) -> Run {
    let epoch = |row: &Row| EpochRow {
        epoch: row.epoch,
        steps: row.steps,
        training_loss: row.training_loss,
        learning_rate: row.learning_rate,
        images: row.images,
        seconds: row.seconds,
        validation_loss: Some(row.validation_loss),
        validation_top1: Some(row.validation_top1),
        validation_top5: Some(row.validation_top5),
        ..EpochRow::default()
    };
    Run {
        name: format!("{}-{}", rows[0].network, rows[0].seed),
        facts: Facts {
            network: rows[0].network.clone(),
            settings: BTreeMap::new(),
            parameters: rows[0].parameters,
            multiply_adds: 0,
            seed: rows[0].seed,
        },
        history: History {
            epochs: rows.iter().map(epoch).collect(),
            ..History::default()
        },
    }
}

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const PAGE: &str = "../docs/book/src/cifar.md";

#[test]
fn the_tables_are_those_of_the_records() {
    let page = std::fs::read_to_string(here(PAGE)).unwrap();
    let of_paper = Study::read("paper", 15).rows(|data, network| format!("{data} | `{network}`"));
    let own = |name, epochs| Study::read(name, epochs).rows(|_, label| label.to_owned());
    let all = [of_paper, own("depth", 8), own("mappings", 10), own("untie", 15)].concat();
    for (begin, end) in &all {
        let line = page.lines().find(|line| line.starts_with(begin));
        let line = line.unwrap_or_else(|| panic!("no row begins with {begin}"));
        assert!(line.ends_with(end), "{line}\nends with {end}");
    }
    // A row of results ends with a loss; no other rows are like them.
    let is_result = |line: &&str| line.starts_with("| ") && line.contains(" to ") && line.ends_with(" |");
    let results = page.lines().filter(is_result);
    let results = results.filter(|line| {
        line.split(" | ")
            .last()
            .is_some_and(|cell| cell.trim_end_matches(" |").parse::<f64>().is_ok())
    });
    assert_eq!(results.count(), all.len());
}

/// `UPDATE_EXPECT=1` draws the pictures anew.
#[test]
fn the_pictures_are_those_of_the_records() {
    let mappings = Sweep {
        names: vec![NETWORK.to_owned()],
        points: Study::read("mappings", 10).points("CIFAR-10"),
    };
    check("cifar-mappings", &sweep(&mappings).unwrap());
    let paper = Study::read("paper", 15);
    let chosen = ["se_2_none", "se_2_all", "se_2_wide", "cm_none", "cm_all"];
    let points = paper.points("CIFAR-10").into_iter();
    let runs = points.filter(|point| chosen.contains(&point.values[0].as_str()));
    let compared = Comparison {
        runs: runs.flat_map(|point| point.runs).collect(),
    };
    check("cifar-paper", &comparison(&compared).unwrap());
    let depth = Study::read("depth", 8).points("CIFAR-10");
    let compared = Comparison {
        runs: depth.into_iter().flat_map(|point| point.runs).collect(),
    };
    check("cifar-depth", &comparison(&compared).unwrap());
}

fn check(name: &str, picture: &Picture) {
    let path = here(&format!("../docs/book/src/pictures/{name}.svg"));
    let drawn = picture.svg();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, drawn).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == drawn,
        "{} is not what the records draw: UPDATE_EXPECT=1",
        path.display()
    );
}
