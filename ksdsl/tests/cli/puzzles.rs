//! `ksn train` and `evaluate` on puzzles.

use super::{Folder, Run};

/// A solver that stops at once: the bias of its exit is large.
const TINY: &str = "\
/// A tiny solver.
net tiny(size = 4, width = 8, steps = 3) {
    input size * size of size + 1
    embedding(width)
    keep question
    thinking: repeat up to steps {
        add(question); linear(width); gelu
        keep answer
        token(0); linear(1, bias_init = constant(9))
        exit solved
        from answer
    }
    linear(size + 1)
    output digits
    from solved
    output halted
}
";

const PLAIN: &str = "net plain { input 16 of 5; embedding(8); gelu; linear(5) }";
const IMAGES: &str = "net images { input 1 x 8 x 8; flatten; linear(10) }";

fn folder() -> Folder {
    Folder::with(&[("tiny.ksn", TINY), ("plain.ksn", PLAIN), ("images.ksn", IMAGES)])
}

/// The row of the table of results.
fn row(output: &str) -> String {
    let mut rows = output.lines().filter(|line| line.trim_start().starts_with("500 "));
    rows.next()
        .unwrap_or_else(|| panic!("no row of 500 puzzles: {output}"))
        .to_owned()
}

#[test]
fn a_solver_trains_and_its_run_folder_is_enough_to_use_it() {
    let folder = folder();
    let Run { status, stdout, stderr } = folder.ksn(&["train", "tiny.ksn", "--steps", "3", "--batch", "4"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        stderr.contains(" cells/s, ") && stderr.contains("best validation solved "),
        "{stderr}"
    );
    assert!(stdout.contains("puzzles") && stdout.contains("cells right"), "{stdout}");
    let run = "runs/sudoku-tiny-0";
    let last = format!("{run}/model.safetensors");
    let all: Vec<String> = [vec![], vec!["--batch", "7"]]
        .into_iter()
        .map(|options| row(&folder.printed(&[&["evaluate", &last], options.as_slice()].concat())))
        .collect();
    assert_eq!(all, [row(&stdout), row(&stdout)]);
    // More iterations than the one after which all puzzles stop.
    let whole = row(&folder.printed(&["evaluate", &last, "--no-exit"]));
    assert_ne!(whole, all[0]);
    let resumed = folder.ksn(&["train", "--resume", run]);
    assert_eq!(resumed.status, Some(0), "{}", resumed.stderr);
    // A network without an exit, whose task the data says.
    let Run { status, stderr, .. } = folder.ksn(&[
        "train",
        "plain.ksn",
        "--data",
        "sudoku:4",
        "--steps",
        "2",
        "--batch",
        "4",
    ]);
    assert_eq!(status, Some(0), "{stderr}");
    row(&folder.printed(&["evaluate", "runs/sudoku-plain-0"]));
    let larger = ["train", "tiny.ksn", "--set", "size=6", "--steps", "1", "--batch", "1"];
    assert_eq!(folder.ksn(&larger).status, Some(0));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let folder = folder();
    let error = |args: &[&str]| {
        let Run { status, stderr, .. } = folder.ksn(args);
        assert!(matches!(status, Some(1 | 2)), "{args:?}: {status:?}");
        stderr
    };
    let data = |file, data| error(&["train", file, "--data", data]);
    assert!(data("tiny.ksn", "digits").contains("`tiny` solves puzzles: choose them with `--data sudoku:4`"));
    assert!(data("images.ksn", "sudoku:4").contains("`images` is a classifier of images"));
    assert!(data("tiny.ksn", "sudoku:9").contains("expected a Sudoku of size 4 or 6, not 9"));
    let other = data("tiny.ksn", "sudoku:6");
    assert!(
        other.contains("has 36 cells and 7 tokens") && other.contains("`input 36 of 7`"),
        "{other}"
    );
    assert!(error(&["train", "tiny.ksn", "--images", "9"]).contains("puzzles are generated"));
    assert!(error(&["train", "tiny.ksn", "--recipe", "convmixer"]).contains("without augmentation for puzzles"));
    assert!(!folder.path().join("runs/sudoku-tiny-0").exists());
    folder.printed(&["train", "images.ksn", "--epochs", "1"]);
    let run = "runs/digits-images-0";
    assert!(error(&["evaluate", run, "--no-exit"]).contains("--batch and --no-exit are for puzzles"));
    folder.printed(&["train", "tiny.ksn", "--steps", "1", "--batch", "1"]);
    let run = "runs/sudoku-tiny-0";
    assert!(error(&["evaluate", run, "--data", "digits"]).contains("`tiny` solves puzzles"));
    assert!(error(&["evaluate", run, "--picture", "a.svg"]).contains("puzzles have no confusion matrix"));
    assert!(error(&["predict", run, "0"]).contains("`tiny` solves puzzles; expected a classifier of images"));
}
