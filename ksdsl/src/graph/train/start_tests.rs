//! Trainings that start from a checkpoint.

use super::sha256;
use crate::graph::train::{Classes, LoadError, Model, Subject};
use crate::ir::Network;
use crate::spec::Spec;
use ksdsl_checkpoint::{File, Kind, Tensor, to_bytes};
use ksdsl_cpu::{CpuBuf, CpuExec};
use ksdsl_train_core::Recipe;
use ksdsl_train_core::optim::floats;
use ksdsl_train_core::trainer::Trainer;
use std::path::Path;

const NETS: &str = "
net family(classes, extra = false, shared = true) {
    input 2 x 4 x 4
    stage body { repeat 2 { conv(2, kernel = 3, pad = 1); batch_norm; relu } }
    when extra { stage top { conv(2, kernel = 1) } }
    global_avg_pool
    head: linear(classes)
    share isomorphic conv in body as body when shared
}";

fn network(set: &[(&str, i64)]) -> Network {
    let spec = Spec::parse("family.ksn", NETS);
    let spec = set.iter().fold(spec, |spec, (name, value)| match *name {
        "classes" => spec.set("classes", *value),
        name => spec.set(name, *value == 1),
    });
    spec.compile_one().unwrap().0
}

const SEED: u64 = 7;

/// The values of tensors in training, before the first step.
fn started(network: Network, file: &Path, except: &[&str]) -> Result<impl Fn(&str) -> Vec<f32>, LoadError> {
    let mut subject = Subject::new(network, &[]);
    let except: Vec<String> = except.iter().map(|&pattern| pattern.to_owned()).collect();
    assert!(
        subject.start_from(file, &except)?.is_none(),
        "the file states its sharing"
    );
    let weights = subject.facts().weights.clone().unwrap();
    assert_eq!(weights.file, file.display().to_string());
    assert_eq!((weights.sha256, weights.except), (sha256(file).unwrap(), except));
    let recipe = Recipe {
        seed: SEED,
        ..Recipe::default()
    };
    let classes = Classes {
        classes: 2,
        validation: None,
    };
    let training = subject.training(CpuExec, &Trainer::new(recipe), classes).unwrap();
    Ok(move |key: &str| training.model().graph().values(key).unwrap().unwrap())
}

/// A checkpoint of a network with the initial values of a seed.
fn checkpoint(folder: &Path, network: &Network, seed: u64) -> std::path::PathBuf {
    let path = folder.join(format!("{seed}.safetensors"));
    Model::new(network, seed).save(&path).unwrap();
    path
}

fn stored(path: &Path, key: &str) -> Vec<f32> {
    floats(File::read(path).unwrap().get(key).unwrap().data)
}

fn fresh(network: &Network, key: &str) -> Vec<f32> {
    Model::new(network, SEED).graph().values(key).unwrap().unwrap()
}

#[test]
fn all_tensors_start_as_the_checkpoint_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let own = network(&[("classes", 3)]);
    let file = checkpoint(folder.path(), &own, 1);
    let values = started(own.clone(), &file, &[]).unwrap();
    for key in [
        "shared.body.weight",
        "body.1.batch_norm.running_var",
        "head.weight",
        "head.bias",
    ] {
        assert_eq!(values(key), stored(&file, key), "{key}");
    }
    assert_ne!(values("head.weight"), fresh(&own, "head.weight"));
}

/// NIST's example of one block, FIPS 180-2 B.1.
#[test]
fn the_digest_is_sha_256() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abc");
    std::fs::write(&path, "abc").unwrap();
    assert_eq!(
        sha256(&path).unwrap(),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
}

/// Another number of classes, a layer that only one of them has: these start as in a network without a checkpoint.
#[test]
fn exceptions_start_from_random_values() {
    let folder = tempfile::tempdir().unwrap();
    let old = checkpoint(folder.path(), &network(&[("classes", 3)]), 1);
    let deep = checkpoint(folder.path(), &network(&[("classes", 3), ("extra", 1)]), 2);
    let own = network(&[("classes", 5)]);
    let values = started(own.clone(), &old, &["head"]).unwrap();
    assert_eq!(values("shared.body.weight"), stored(&old, "shared.body.weight"));
    for key in ["head.weight", "head.bias"] {
        assert_eq!(values(key), fresh(&own, key));
    }
    // What only the file has need not be there, either.
    let values = started(own.clone(), &deep, &["top", "head"]).unwrap();
    assert_eq!(values("shared.body.weight"), stored(&deep, "shared.body.weight"));
    let own = network(&[("classes", 3), ("extra", 1)]);
    let values = started(own.clone(), &old, &["top.conv"]).unwrap();
    assert_eq!(values("head.weight"), stored(&old, "head.weight"));
    assert_eq!(values("top.conv.weight"), fresh(&own, "top.conv.weight"));
    // A shared tensor by its name, and by those of all layers.
    for patterns in [
        &["shared"][..],
        &["body[*].conv"],
        &["body[0].conv.weight", "body[1].conv"],
    ] {
        let values = started(own.clone(), &deep, patterns).unwrap();
        assert_eq!(values("shared.body.weight"), fresh(&own, "shared.body.weight"));
        let norm = "body.0.batch_norm.weight";
        assert_eq!(values(norm), stored(&deep, norm));
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let own = network(&[("classes", 3)]);
    let file = checkpoint(folder.path(), &own, 1);
    let error = |set: &[(&str, i64)], file: &Path, except: &[&str]| match started(network(set), file, except) {
        Ok(_) => panic!("{set:?} starts"),
        Err(error) => error.to_string(),
    };
    let shape = error(&[("classes", 5)], &file, &[]);
    assert!(
        shape.contains("`head.weight` has the shape [3, 2], expected [5, 2]"),
        "{shape}"
    );
    let missing = error(&[("classes", 3), ("extra", 1)], &file, &["head"]);
    assert!(
        missing.contains("`top.conv.weight` is missing") && !missing.contains("head"),
        "{missing}"
    );
    let unshared = error(&[("classes", 3), ("shared", 0)], &file, &[]);
    assert!(
        unshared.contains("`shared.body.weight` is not a tensor of the network"),
        "{unshared}"
    );
    let typo = error(&[("classes", 3)], &file, &["haed"]);
    assert!(
        typo.contains("`haed`: it matches no tensor; did you mean `head`?"),
        "{typo}"
    );
    let part = error(&[("classes", 3)], &file, &["body[0]"]);
    assert!(
        part.contains(
            "`shared.body.weight` is one tensor of several layers, of which only some are selected, such as \
                       `body[0].conv.weight`: also select `body[1].conv.weight`, or leave it out"
        ),
        "{part}"
    );
    let none = error(&[("classes", 3)], &folder.path().join("none"), &[]);
    assert!(none.starts_with("cannot read `"), "{none}");
    // A value that is none.
    let mut model = Model::new(&own, 1);
    let place = model.places[0];
    let values = vec![f32::NAN; model.slots[0].elements()];
    *model.graph.params.get_mut(place) = CpuBuf::from_vec(values);
    let broken = folder.path().join("broken");
    model.save(&broken).unwrap();
    let broken = error(&[("classes", 3)], &broken, &[]);
    assert_eq!(
        broken,
        "1 of its tensors contain non-finite values (NaN or infinite), such as `shared.body.weight`"
    );
    // Types are not converted.
    let half = folder.path().join("half");
    let tensors: Vec<Tensor<'_>> = {
        let file = File::read(&file).unwrap();
        let tensor = |key: &str| {
            let view = file.get(key).unwrap();
            let data = vec![0; view.data.len() / 2];
            Tensor {
                key: key.to_owned(),
                kind: Kind::F16,
                shape: view.shape.to_vec(),
                data: data.into(),
            }
        };
        file.keys().map(tensor).collect()
    };
    std::fs::write(&half, to_bytes(&tensors, &[])).unwrap();
    assert!(error(&[("classes", 3)], &half, &[]).contains("has the type F16, expected F32"));
}
