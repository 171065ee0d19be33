//! `ksn sweep` of studies.

use super::Folder;
use super::train::TINY;
use std::fs;
use std::path::Path;

const STUDY: &str = r#"
[training]
images = 128
seeds = 2
recipe = { epochs = 1, method.momentum = 0.8, augment.flip = true }

[[network]]
label = "unshared"
file = "../tiny.ksn"
set = { shared = false }

[[network]]
label = "shared"
file = "../tiny.ksn"
sweep = { depth = [2, 3] }
training = { seed = 1, seeds = 1, recipe = { steps = 3, method = { kind = "adam_w", betas = [0.9, 0.99], eps = 1e-8, decay = 0.1 } } }
"#;

/// Files are named as seen from the study's folder.
fn folder(study: &str) -> Folder {
    let folder = Folder::with(&[("tiny.ksn", TINY)]);
    fs::create_dir(folder.path().join("studies")).unwrap();
    fs::write(folder.path().join("studies/small.toml"), study).unwrap();
    folder
}

#[test]
fn a_study_trains_its_networks_and_reports() {
    let folder = folder(STUDY);
    let text = folder.printed(&["sweep", "studies/small.toml", "--out", "out"]);
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("shared")).collect();
    let [unshared, shallow, deep] = rows[..] else {
        panic!("{text}")
    };
    // As in the test of sweeps: 144 values for each convolution of the body, or for all; two runs have a range.
    assert!(
        unshared.contains(" unshared ") && unshared.contains(" 398 ") && unshared.contains(" to "),
        "{text}"
    );
    assert!(
        shallow.contains("shared, depth = 2") && shallow.contains(" 254 "),
        "{text}"
    );
    assert!(
        deep.contains("shared, depth = 3") && deep.contains(" 262 ") && !deep.contains(" to "),
        "{text}"
    );

    let recipe = |run: &str| -> serde_json::Value {
        let text = fs::read_to_string(folder.path().join("out/small").join(run).join("run.json")).unwrap();
        let run: serde_json::Value = serde_json::from_str(&text).unwrap();
        run["recipe"].clone()
    };
    let first = recipe("unshared-1");
    assert_eq!(first["method"]["momentum"], 0.8);
    assert_eq!(first["method"]["nesterov"], true);
    assert_eq!(first["augment"]["flip"], true);
    assert_eq!(first["epochs"], 1);
    assert_eq!(first["seed"], 1);
    // A network's own recipe replaces that of the study.
    let other = recipe("shared__depth___3-1");
    assert_eq!(other["steps"], 3);
    assert_eq!(other["method"]["kind"], "adam_w");
    assert_eq!(other["augment"]["flip"], false);

    let csv = fs::read_to_string(folder.path().join("out/small/sweep.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 4);
    assert!(
        csv.contains("\"shared, depth = 2\",shared__depth___2-1,1,254,"),
        "{csv}"
    );
    let picture = fs::read_to_string(folder.path().join("out/small/sweep.svg")).unwrap();
    assert!(picture.contains("unshared"));

    // Nothing is trained twice; a network that is added later is.
    let again = folder.ksn(&["sweep", "studies/small.toml", "--out", "out"]);
    assert_eq!(again.stdout, text);
    let more = format!("{STUDY}\n[[network]]\nlabel = \"deep\"\nfile = \"../tiny.ksn\"\nset = {{ depth = 5 }}\n");
    fs::write(folder.path().join("studies/small.toml"), more).unwrap();
    let more = folder.ksn(&["sweep", "studies/small.toml", "--out", "out"]);
    assert!(
        more.stdout.contains(" deep ") && more.stdout.contains(" 278 "),
        "{}",
        more.stdout
    );
    assert!(more.stderr.contains("run 4 of 6: deep, seed 0"), "{}", more.stderr);
}

#[test]
fn networks_of_a_study_begin_as_others() {
    let begin = "set = { shared = false }\nbegin = { epochs = 1, set = { shared = true } }";
    let study = STUDY
        .replace("set = { shared = false }", begin)
        .replace("epochs = 1, method", "epochs = 2, method");
    let folder = folder(&study);
    folder.printed(&["sweep", "studies/small.toml", "--out", "out"]);
    let text = fs::read_to_string(folder.path().join("out/small/unshared-0/run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&run["parameters"], &run["beginning"]["settings"]["shared"]),
        (&398.into(), &"true".into())
    );
    let refused = |to: &str| {
        let study = STUDY.replace("set = { shared = false }", to);
        let (status, error) = self::folder(&study).refused(&["sweep", "studies/small.toml"]);
        assert_eq!(status, 2, "{error}");
        error
    };
    let error = refused(begin);
    assert!(
        error.contains("`unshared`: the run has 1 epoch: it cannot begin with 1"),
        "{error}"
    );
    assert!(refused("begin = { set = { shared = true } }").contains("missing field `epochs`"));
    let error = refused("begin = { epochs = 1, set = { shared = 1979-05-27 } }");
    assert!(
        error.contains("`unshared`: `begin`: `shared`: parameters have no values of type datetime"),
        "{error}"
    );
}

/// What a study that is changed in one place is refused for.
#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(STUDY.contains(from), "{from}");
    let (status, error) = folder(&STUDY.replacen(from, to, 1)).refused(&["sweep", "studies/small.toml"]);
    assert_eq!(status, 2, "{error}");
    error
}

#[test]
fn mistakes_in_studies_are_told_with_their_place() {
    let refused = |from, to| {
        let error = refused(from, to);
        assert!(error.contains("small.toml: "), "{error}");
        error
    };
    let unknown = refused("images =", "image =");
    assert!(
        unknown.contains("line 3") && unknown.contains("unknown field `image`"),
        "{unknown}"
    );
    assert!(refused("seeds = 2", "seeds = 0").contains("line 4"));
    assert!(refused("file = \"../tiny.ksn\"\n", "").contains("missing field `file`"));
    assert!(refused("depth = [2, 3]", "depth = 2").contains("`shared`: `sweep.depth` is no list of values"));
    assert!(
        refused("depth = [2, 3]", "depth = [2, 1979-05-27]")
            .contains("`shared`: `depth`: parameters have no values of type datetime")
    );
    assert!(
        refused("depth = [2, 3]", "depth = [2, 2]").contains("the labels `shared, depth = 2` and `shared, depth = 2`")
    );
    assert!(refused("epochs = 1,", "seed = 1,").contains("`seed` and `seeds`"));
    assert!(refused("images = 128", "data = \"mnist\"").contains("`data`: expected digits"));
}

#[test]
fn mistakes_in_recipes_are_told_with_the_network() {
    let refused = |from, to, expected: &str| {
        let error = refused(from, to);
        assert!(error.contains(&format!("`unshared`: {expected}")), "{error}");
    };
    let slip = "recipe: unknown key `epoch`; did you mean `epochs`?";
    refused("epochs = 1", "epoch = 1", slip);
    refused(
        "momentum = 0.8",
        "momentum = \"high\"",
        "recipe: `method`: invalid type",
    );
    refused(
        "momentum = 0.8",
        "momentum = 1.0",
        "invalid recipe: `method.momentum` must be at least 0 and below 1",
    );
    refused(
        "epochs = 1",
        "preset = \"resnet\"",
        "recipe.preset = resnet: expected se_resnet, convmixer",
    );
}

#[test]
fn options_do_not_contradict_studies() {
    let folder = folder(STUDY);
    for option in [
        ["--epochs", "2"],
        ["--set", "depth=2"],
        ["--net", "tiny"],
        ["--data", "digits"],
    ] {
        let (status, error) = folder.refused(&[&["sweep", "studies/small.toml"], &option[..]].concat());
        assert_eq!(status, 2);
        assert!(error.contains("states networks, data, recipe and seeds"), "{error}");
    }
}

#[test]
fn a_study_needs_a_network() {
    let (status, error) = folder("network = []").refused(&["sweep", "studies/small.toml"]);
    assert!(status == 2 && error.contains("at least one `[[network]]`"), "{error}");
}

/// Their networks are there and take what they are given; what is missing here are the data sets.
#[test]
fn studies_of_the_repository_fail_for_want_of_data_alone() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    for (study, networks) in [
        ("cifar/paper.toml", 12),
        ("cifar/depth.toml", 5),
        ("cifar/mappings.toml", 12),
        ("cifar/untie.toml", 6),
        ("shakespeare.toml", 7),
    ] {
        let text = fs::read_to_string(examples.join(study)).unwrap();
        assert_eq!(text.matches("[[network]]").count(), networks, "{study}");
        // Files are named as seen from the study; the data of one comes with the program.
        let folder = examples.join(study).parent().unwrap().canonicalize().unwrap();
        let text = text
            .replace("file = \"", &format!("file = \"{}/", folder.display()))
            .replace("text:shakespeare", "text:missing.txt");
        let here = Folder::with(&[("study.toml", &text)]);
        let (_, error) = here.refused(&["sweep", "study.toml"]);
        assert!(
            error.contains("missing.txt") || error.contains("cifar-10-binary.tar.gz"),
            "{study}: {error}"
        );
    }
}
