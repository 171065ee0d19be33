//! `ksn train`, `evaluate` and `compare` on text.

use super::{Folder, Run};
use std::fs;

/// A language model, small enough to train in a second.
const TINY: &str = "\
/// A tiny language model.
net tiny(vocabulary = 256, width = 8) {
    input 8 of vocabulary
    wte: embedding(width, init = normal(0.02))
    position_embedding
    residual { layer_norm; attention(2, causal = true); dropout(0.1) }
    layer_norm
    head: linear(vocabulary, bias = false)
    share wte, head
}
";

const IMAGES: &str = "net images { input 1 x 8 x 8; flatten; linear(10) }";

/// 600 bytes, 4 characters.
fn words() -> String {
    "abba baab abab b\n".repeat(36)[..600].to_owned()
}

fn folder() -> Folder {
    Folder::with(&[("tiny.ksn", TINY), ("images.ksn", IMAGES), ("words.txt", &words())])
}

const TRAIN: [&str; 8] = [
    "train",
    "tiny.ksn",
    "--data",
    "text:words.txt",
    "--steps",
    "20",
    "--batch",
    "4",
];

#[test]
fn a_language_model_trains_and_its_run_folder_is_enough_to_use_it() {
    let folder = folder();
    let args = [
        &TRAIN[..],
        &["--tokens", "characters", "--set", "vocabulary=4", "--accumulate", "2"],
    ]
    .concat();
    let Run { status, stdout, stderr } = folder.ksn(&args);
    assert_eq!(status, Some(0), "{stderr}");
    // 20 steps are less than one of the recipe's epochs of 250.
    assert!(
        stderr.contains("epoch 1/1: training loss ") && stderr.contains(" bits per byte, "),
        "{stderr}"
    );
    assert!(
        stderr.contains("best validation loss ") && stderr.contains(" tokens/s, "),
        "{stderr}"
    );
    // The last tenth has 60 tokens, of which the first is not predicted.
    assert!(stdout.contains("bits per byte") && stdout.contains(" 59 "), "{stdout}");
    let run = "runs/text-tiny-vocabulary_4-0";
    let file = |name: &str| folder.path().join(run).join(name);
    let tokens = fs::read_to_string(file("tokens.json")).unwrap();
    assert!(tokens.contains(r#""characters": "\n ab""#), "{tokens}");
    assert!(!file("confusion.svg").exists() && file("curves.svg").exists());
    let shown = |output: &str| {
        output
            .lines()
            .filter(|line| line.contains(" 59 "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let text = folder.printed(&["evaluate", &format!("{run}/model.safetensors")]);
    assert_eq!(shown(&text), shown(&stdout));
    let text = folder.printed(&["evaluate", &format!("{run}/model.safetensors"), "--by-token"]);
    assert_eq!(shown(&text), shown(&stdout));
    // Another text with the vocabulary of the run: 90 characters, nine to validate.
    fs::write(folder.path().join("more.txt"), "ab ".repeat(30)).unwrap();
    let text = folder.printed(&["evaluate", run, "--data", "text:more.txt"]);
    assert!(text.contains(" 8 "), "{text}");
    let text = folder.printed(&["compare", "runs", "--out", "comparison"]);
    assert!(text.contains("best loss") && text.contains("tokens/s"), "{text}");
    fs::remove_file(folder.path().join("tiny.ksn")).unwrap();
    folder.printed(&["train", "--resume", run]);

    let (_, error) = folder.refused(&["predict", run, "0"]);
    assert!(
        error.contains("`tiny` is a language model; expected a classifier of images"),
        "{error}"
    );
    let (_, error) = folder.refused(&["evaluate", run, "--data", "digits"]);
    assert!(error.contains("expected text:PATH"), "{error}");
    fs::write(folder.path().join("more.txt"), "ab\nabc ".repeat(30)).unwrap();
    let (_, error) = folder.refused(&["evaluate", run, "--data", "text:more.txt"]);
    assert!(
        error.contains("`more.txt`, line 2, column 3: the vocabulary has no character 'c'"),
        "{error}"
    );
    // Another text is another run.
    fs::write(folder.path().join("words.txt"), words().replace('\n', "a")).unwrap();
    let (_, error) = folder.refused(&["train", "--resume", run]);
    assert!(
        error.contains("`data.text` was ") || error.contains("data.validation"),
        "{error}"
    );
    fs::remove_file(file("tokens.json")).unwrap();
    let (_, error) = folder.refused(&["evaluate", run]);
    assert!(error.contains("tokens.json`: the run has no vocabulary"), "{error}");
}

/// Texts of random bytes that a sweep learns from: a table of losses.
#[test]
fn sweeps_of_language_models_have_losses() {
    let folder = folder();
    let args = [
        "sweep",
        "tiny.ksn",
        "--set",
        "width=4,8",
        "--data",
        "text:words.txt",
        "--steps",
        "3",
        "--out",
        "sweep",
    ];
    let text = folder.printed(&args);
    assert!(text.contains(" loss ") && !text.contains("top-1"), "{text}");
    assert_eq!(folder.printed(&args), text);
    assert!(
        fs::read_to_string(folder.path().join("sweep/sweep.svg"))
            .unwrap()
            .contains("Validation loss")
    );
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    let folder = folder();
    let error = |args: &[&str]| {
        let (status, error) = folder.refused(args);
        assert!(status == 1 || status == 2, "{error}");
        assert!(!folder.path().join("runs").exists(), "{args:?}");
        error
    };
    for (name, text) in [
        ("empty.txt", &b""[..]),
        ("short.txt", b"ab"),
        ("nine.txt", &[b'a'; 89]),
        ("latin.txt", b"caf\xe9"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::create_dir(folder.path().join("none")).unwrap();
    let on = |data: &'static str| ["train", "tiny.ksn", "--data", data];
    assert!(error(&on("text:nowhere")).contains("cannot read `nowhere`"));
    assert!(error(&on("text:empty.txt")).contains("`empty.txt` is empty: expected text"));
    assert!(error(&on("text:none")).contains("`none` is empty"));
    assert!(
        error(&on("text:short.txt"))
            .contains("the training text has 1 tokens; the network's windows of 8 need at least 9")
    );
    // 80 of 89 bytes are to train on, nine to validate: just enough. Of 80, eight: too few.
    let args = [&on("text:nine.txt")[..], &["--steps", "1", "--out", "fits"]].concat();
    folder.printed(&args);
    fs::write(folder.path().join("nine.txt"), [b'a'; 80]).unwrap();
    assert!(error(&on("text:nine.txt")).contains("the validation text has 8 tokens"));
    let latin = error(&[&on("text:latin.txt")[..], &["--tokens", "characters"]].concat());
    assert!(
        latin.contains("`latin.txt` is not UTF-8 from byte 3 on") && latin.contains("`--tokens bytes`"),
        "{latin}"
    );
    let small = error(&[&on("text:words.txt")[..], &["--set", "vocabulary=65"]].concat());
    assert!(
        small.contains("the text has 256 tokens (bytes); `tiny(vocabulary = 65)` has a vocabulary of 65")
            && small.contains("input 8 of 256")
            && small.contains("--set vocabulary=256"),
        "{small}"
    );
    assert!(error(&on("digits")).contains("`tiny` is a language model: choose a text with --data"));
    assert!(error(&["train", "images.ksn", "--data", "text:words.txt"]).contains("`images` is a classifier of images"));
    assert!(error(&["train", "images.ksn", "--tokens", "bytes"]).contains("--tokens is for texts"));
    assert!(error(&[&on("text:words.txt")[..], &["--images", "5"]].concat()).contains("--images is for images"));
    assert!(error(&on("text")).contains("expected `text:shakespeare` or `text:PATH`"));
    assert!(
        error(&[&on("text:words.txt")[..], &["--tokens", "words"]].concat())
            .contains("expected bytes, characters, bpe:N")
    );
    let recipe = error(&[&on("text:words.txt")[..], &["--recipe", "convmixer"]].concat());
    assert!(
        recipe.contains("`augment` must be without augmentation for text"),
        "{recipe}"
    );
    let recipe = error(&["train", "images.ksn", "--recipe", "nanogpt"]);
    assert!(recipe.contains("`steps_per_epoch` must be null for images"), "{recipe}");
    let missing = error(&[&on("text:words.txt")[..], &["--tokens", "none.json"]].concat());
    assert!(missing.contains("none.json"), "{missing}");
    fs::write(
        folder.path().join("head.ksn"),
        "net a {\n    input 8 of 9\n    embedding(8)\n    linear(8)\n}\n",
    )
    .unwrap();
    let head = error(&["train", "head.ksn"]);
    assert!(
        head.contains("head.ksn:4:5: network `a` gives logits of 8 tokens for a vocabulary of 9"),
        "{head}"
    );
    assert!(head.contains("head: linear(V, bias = false)"), "{head}");
}

#[cfg(feature = "tokenizers")]
#[test]
fn byte_pairs_are_kept_in_the_run_folder() {
    let folder = folder();
    let args = [&TRAIN[..], &["--tokens", "bpe:258", "--set", "vocabulary=258"]].concat();
    folder.printed(&args);
    let run = "runs/text-tiny-vocabulary_258-0";
    let json = folder.path().join(run).join("tokenizer.json");
    assert!(json.exists());
    let expected = folder.printed(&["evaluate", run]);
    // The file of the run is a tokenizer as any other.
    let path = json.display().to_string();
    folder.printed(
        &[
            &TRAIN[..],
            &["--tokens", &path, "--set", "vocabulary=258", "--out", "again"],
        ]
        .concat(),
    );
    let again = folder.printed(&["evaluate", "again/text-tiny-vocabulary_258-0"]);
    assert_eq!(again.replace("again/", "runs/"), expected);
}

/// Lines as documents: the gradients of a batch in parts are those of the whole but for rounding; the run is resumed and evaluated
/// by its own settings.
#[test]
fn documents_are_trained_on() {
    // Parts of a batch would draw other dropout.
    let folder = Folder::with(&[
        ("tiny.ksn", &TINY.replace("; dropout(0.1)", "")),
        ("words.txt", &words()),
    ]);
    let args = [
        "train",
        "tiny.ksn",
        "--data",
        "documents:words.txt",
        "--steps",
        "20",
        "--batch",
        "4",
    ];
    let shown = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|line| line.contains(" 52 "));
        rows.map(str::to_owned).collect()
    };
    let whole = folder.printed(&[&args[..], &["--out", "whole"]].concat());
    // The last tenth begins within a line; the four after it have 16, 16, 16 and 4 predicted bytes.
    assert_eq!(shown(&whole).len(), 1, "{whole}");
    let parts = folder.printed(&[&args[..], &["--out", "parts", "--accumulate", "2"]].concat());
    assert_eq!(shown(&whole), shown(&parts));
    let run = "whole/documents-tiny-0";
    let settings = fs::read_to_string(folder.path().join(run).join("settings.json")).unwrap();
    assert!(settings.contains("documents:words.txt"), "{settings}");
    assert!(folder.printed(&["evaluate", run]).contains(" 52 "));
    folder.printed(&["train", "--resume", run]);
    // Other documents of the same bytes are other data.
    let text = words().replacen("b\n", "b ", 1);
    fs::write(folder.path().join("words.txt"), text).unwrap();
    fs::remove_file(folder.path().join(run).join("model.safetensors")).unwrap();
    let (_, error) = folder.refused(&["train", "--resume", run]);
    assert!(error.contains("documents") || error.contains("text"), "{error}");
    let (_, error) = folder.refused(&["train", "tiny.ksn", "--data", "documents:tiny.ksn:"]);
    assert!(error.contains("cannot read"), "{error}");
}

/// Networks that see the whole window take the length of each document.
#[test]
fn documents_bring_their_lengths() {
    const MASKED: &str = "\
net masked {
    input tokens: 16 of 256
    input lengths: 1
    embedding(8)
    residual { layer_norm; attention(2, lengths = lengths) }
    head: linear(256)
}
";
    let folder = Folder::with(&[("masked.ksn", MASKED), ("words.txt", &words())]);
    let args = [
        "train",
        "masked.ksn",
        "--data",
        "documents:words.txt",
        "--steps",
        "4",
        "--batch",
        "4",
    ];
    folder.printed(&args);
    let run = "runs/documents-masked-0";
    assert!(folder.printed(&["evaluate", run]).contains(" 52 "));
    folder.printed(&["train", "--resume", run]);
    let (_, error) = folder.refused(&["generate", run]);
    assert!(error.contains("it has 2 inputs, not one of token ids"), "{error}");
    let (_, error) = folder.refused(&["train", "masked.ksn", "--data", "sudoku:4"]);
    assert!(error.contains("is a language model: choose a text"), "{error}");
}
