use super::{Comparison, Facts, Run};
use crate::report::picture::tests::{history, show};

fn run(network: &str, parameters: u64, seed: u64, floor: f64) -> Run {
    Run {
        name: format!("{network}-{seed}"),
        facts: Facts {
            settings: Default::default(),
            network: network.to_owned(),
            parameters,
            multiply_adds: 1_000_000,
            seed,
        },
        history: history(30, 5.0 + seed as f64, floor),
    }
}

fn comparison() -> Comparison {
    let nets = [
        ("se_resnet_unshared", 699_210, 0.02),
        ("se_resnet_shared", 280_250, 0.05),
        ("convmixer_unshared", 1_300_000, 0.03),
        ("convmixer_shared", 84_410, 0.2),
    ];
    let runs = nets.into_iter().flat_map(|(net, parameters, floor)| {
        (0..3).map(move |seed| run(net, parameters, seed, floor + 0.02 * seed as f64))
    });
    Comparison { runs: runs.collect() }
}

#[test]
fn runs_of_a_network_are_together() {
    let comparison = comparison();
    let groups: Vec<usize> = comparison.groups().iter().map(Vec::len).collect();
    assert_eq!(groups, [3; 4]);
    assert_eq!(comparison.table().row_iter().count(), 12);
    let table = comparison.networks().to_string();
    assert!(table.contains("280,250") && table.contains("21.6 %"), "{table}");
}

#[test]
fn the_table_has_the_best_and_the_last_epoch() {
    let mut run = run("net", 5_000, 0, 0.02);
    for (row, (top1, loss)) in run
        .history
        .epochs
        .iter_mut()
        .zip([(0.5, 2.0), (0.75, 1.5), (0.7, 1.25)])
    {
        (row.validation_top1, row.validation_loss) = (Some(top1), Some(loss));
    }
    run.history.epochs.truncate(3);
    let comparison = Comparison { runs: vec![run] };
    let table = comparison.table().to_string();
    let words: Vec<&str> = table.lines().nth(3).unwrap().split_whitespace().collect();
    // 3 epochs of 1438 images in 2.3 seconds each.
    let expected = "net-0 net 5,000 3 75.00 % (epoch 2) 70.00 % 6.9 s 625";
    assert_eq!(words.join(" "), expected);
    let csv = String::from_utf8(comparison.csv().unwrap()).unwrap();
    let expected = "run,network,seed,parameters,multiply_adds,epochs,best_top1,best_epoch,last_top1,seconds,images_per_second,data_wait_fraction,best_loss,last_loss,last_bits_per_byte\nnet-0,net,0,5000,1000000,3,0.75,2,0.7,6.8999999999999995,625.2173913043479,0.0,1.5,1.25,\n";
    assert_eq!(csv, expected);
}

/// Language models have losses where classifiers have accuracies; the best epoch is that of the lowest loss, though another
/// has a higher accuracy.
#[test]
fn language_models_are_compared_by_loss() {
    let of = |seed: u64| {
        let mut run = run("net", 5_000, seed, 0.02);
        for (row, (top1, loss)) in run.history.epochs.iter_mut().zip([(0.5, 2.0), (0.4, 1.5), (0.3, 1.75)]) {
            (row.validation_top1, row.validation_loss) = (Some(top1), Some(loss + seed as f64));
            row.validation_bits_per_byte = Some(loss / std::f64::consts::LN_2);
        }
        run.history.epochs.truncate(3);
        run
    };
    let comparison = Comparison {
        runs: vec![of(0), of(1)],
    };
    let table = comparison.table().to_string();
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines[1],
        "run network parameters epochs best loss last loss time tokens/s"
    );
    assert_eq!(lines[3], "net-0 net 5,000 3 1.5000 (epoch 2) 1.7500 6.9 s 625");
    assert!(comparison.networks().to_string().contains("2.2500 (1.7500 to 2.7500)"));
    assert!(
        comparison
            .picture()
            .unwrap()
            .svg()
            .contains("Final validation loss against parameters")
    );
    // With a classifier beside them, all are compared by accuracy.
    let mut mixed = comparison.clone();
    mixed.runs.push(run("other", 5_000, 0, 0.02));
    assert!(mixed.table().to_string().contains("best top-1"));
}

#[test]
fn the_picture_names_all_networks() {
    let comparison = comparison();
    let picture = comparison.picture().unwrap();
    show(&picture, "comparison");
    for text in [
        "se_resnet_shared (280k parameters, 3 runs)",
        "convmixer_shared (84.4k parameters, 3 runs)",
    ] {
        assert!(picture.svg().contains(text), "{text}");
    }
    show(
        &Comparison {
            runs: vec![run("alone", 5_000, 0, 0.0)],
        }
        .picture()
        .unwrap(),
        "comparison_one",
    );
    Comparison::default().picture().unwrap();
}

#[test]
fn a_folder_without_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Comparison::read([folder.path()]).unwrap_err().to_string();
    assert!(error.contains(&folder.path().display().to_string()), "{error}");
}
