//! Memory of passes: as measured, and by hand.

use crate::net;
use ksdsl::compile::{Options, compile};
use ksdsl::source::Source;
use ksdsl::summary::Summary;

/// Measured with the runtime on a processor with AVX-512; `the_file_says_what_is_measured` of the package `tests`
/// measures again.
const MEASURED: &str = include_str!("../data/memory.csv");
const NETS: &str = include_str!("../data/memory.ksn");

#[test]
fn predictions_are_what_is_measured() {
    let networks = compile(&Source::new("memory.ksn", NETS), &Options::default()).networks;
    let rows: Vec<(&str, &str)> = MEASURED.lines().skip(1).filter_map(|row| row.split_once(',')).collect();
    for network in &networks {
        assert!(
            rows.iter().any(|(name, _)| *name == network.name),
            "{} was not measured",
            network.name
        );
    }
    let mut wrong = Vec::new();
    for (name, figures) in rows {
        let network = networks.iter().find(|network| network.name == name).expect(name);
        let figures: Vec<u64> = figures
            .split(',')
            .map(|figure| figure.parse().expect("bytes"))
            .collect();
        let memory = Summary::new(network, figures[0]).memory;
        let predicted = [memory.inference_bytes, memory.prepared_bytes, memory.training_bytes];
        for ((pass, predicted), measured) in ["inference", "prepared", "training"]
            .iter()
            .zip(predicted)
            .zip(&figures[1..])
        {
            let ratio = predicted as f64 / *measured as f64;
            // The runtime rounds sizes up, so that predictions are rather too small.
            if !(0.988..1.003).contains(&ratio) {
                wrong.push(format!("{name}, {pass}: {predicted} instead of {measured}, {ratio:.3}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// In inference a batch goes through in slices: units of 2 MiB of the largest activation, as many at a time as there
/// are threads, and equally many in each slice. An image is 64 KiB, so a unit has 32. The one buffer starts 25 lines of 64
/// bytes apart from where the next would start within a page, as all large ones do.
#[test]
fn slices_are_whole_units() {
    for (batch, threads, images) in [
        (32, 1, 32),
        (33, 1, 32),
        (31, 4, 31),
        (64, 2, 64),
        // Two units: both at a time, in one slice of all.
        (40, 4, 40),
        // Five units on three threads: two slices, of three and of two.
        (160, 3, 96),
        (150, 3, 96),
        // Seven on two: four slices, of two.
        (7 * 32, 2, 64),
        // Seven on four: two slices, of four.
        (7 * 32, 4, 128),
    ] {
        let memory = Summary::on_threads(&net("net n { input 1 x 128 x 128; relu }"), batch, threads).memory;
        let expected = u128::from(images * 64 * 1024_u64 + 25 * 64);
        assert_eq!(
            [memory.inference_bytes, memory.prepared_bytes],
            [expected; 2],
            "{batch} images, {threads} threads"
        );
    }
}
