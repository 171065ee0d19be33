//! Texts, windows, and what evaluations count.

use crate::loss::IGNORED;
use crate::recipe::Recipe;
use crate::source::Source;
use crate::source::TokenBatch;
use crate::text::{Choice, HeldOut, Origin, Text, TextError, Tokens, Vocabulary, Windows};
use std::fs;
use std::io::Write as _;

fn of(bytes: &[u8], choice: Choice) -> Result<Text, TextError> {
    Text::of(bytes, Vocabulary::Chosen(&choice))
}

/// nanoGPT's `data/shakespeare_char/prepare.py` says: 65 characters, 1,003,854 tokens for training, 111,540 for validation;
/// it encodes "First Citizen" as 18, 47, 56, 57, 58, 1, 15, 47, 58, 47, 64, 43, 52.
#[test]
fn shakespeare_is_nanogpts() {
    let text = Text::open(&Origin::Shakespeare, Vocabulary::Chosen(&Choice::Characters)).unwrap();
    assert_eq!(
        text.to_string(),
        "1003854 tokens for training, 111540 for validation (65 characters)"
    );
    assert_eq!(text.training[..13], [18, 47, 56, 57, 58, 1, 15, 47, 58, 47, 64, 43, 52]);
    assert_eq!(text.bytes_per_token, 1.0);
}

#[test]
fn the_last_tenth_is_for_validation() {
    let text = of(b"0123456789abcdefghij", Choice::Bytes).unwrap();
    assert_eq!(text.tokens.decode(&text.training), b"0123456789abcdefgh");
    assert_eq!(text.tokens.decode(&text.validation), b"ij");
    // 9 tenths of 16 bytes are 14, in the middle of the last of four characters: it belongs to the validation text.
    let text = of("🦀🦀🦀🐚".as_bytes(), Choice::Characters).unwrap();
    assert_eq!(text.tokens.decode(&text.validation), "🐚".as_bytes());
    assert_eq!((text.training.len(), text.bytes_per_token), (3, 4.0));
    // Bytes that are no characters are split anywhere.
    assert_eq!(of(&[0x80; 20], Choice::Bytes).unwrap().validation.len(), 2);
}

#[test]
fn folders_are_read_in_the_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("b")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"two ").unwrap();
    fs::write(path("b/x.gz"), gzip.finish().unwrap()).unwrap();
    for (name, text) in [
        ("c", "three"),
        ("a.txt", "one "),
        (".hidden", "no"),
        ("b/.hidden", "no"),
    ] {
        fs::write(path(name), text).unwrap();
    }
    let origin = Origin::Path(folder.path().to_owned());
    let read = |choice| Text::open(&origin, Vocabulary::Chosen(&choice));
    let text = read(Choice::Bytes).unwrap();
    let all = [text.training, text.validation].concat();
    assert_eq!(text.tokens.decode(&all), b"one two three");

    fs::write(path("d"), b"ab\xff").unwrap();
    let error = read(Choice::Characters).unwrap_err().to_string();
    let place = format!("`{}` is not UTF-8 from byte 2 on: ", path("d").display());
    assert!(
        error.starts_with(&place) && error.contains("`--tokens bytes`"),
        "{error}"
    );
    assert_eq!(read(Choice::Bytes).unwrap().validation, [b'b'.into(), 0xff]);
    // The file, line and column, also in the validation text.
    fs::write(path("d"), "ab\nc?").unwrap();
    let known = Vocabulary::Known(Tokens::characters("one two three\nabc").unwrap());
    let error = Text::open(&origin, known).unwrap_err().to_string();
    let place = format!("`{}`, line 2, column 2: ", path("d").display());
    assert_eq!(error, format!("{place}the vocabulary has no character '?'"));
}

#[test]
fn texts_that_cannot_be_had_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |origin: &Origin| {
        Text::open(origin, Vocabulary::Chosen(&Choice::Bytes))
            .unwrap_err()
            .to_string()
    };
    let path = folder.path().display().to_string();
    assert_eq!(
        open(&Origin::Path(folder.path().to_owned())),
        format!("`{path}` is empty: expected text")
    );
    let missing = open(&Origin::Path(folder.path().join("none")));
    assert!(
        missing.starts_with(&format!("cannot read `{path}/none`: ")),
        "{missing}"
    );
    fs::write(folder.path().join("broken.gz"), "no gzip").unwrap();
    let broken = open(&Origin::Path(folder.path().join("broken.gz")));
    assert!(broken.starts_with("cannot read `"), "{broken}");
    assert_eq!(
        of(b"", Choice::Bytes).unwrap_err().to_string(),
        "the text is empty: expected text"
    );
    let text = of(&[b'a'; 40], Choice::Bytes).unwrap();
    let huge = Recipe {
        batch: usize::MAX,
        ..Recipe::nanogpt()
    };
    let error = Windows::of(&huge, &text, 4).unwrap_err().to_string();
    assert!(
        error.ends_with("windows of 4 tokens has more than 1073741824: choose a smaller `batch`"),
        "{error}"
    );
    let error = Windows::of(&Recipe::nanogpt(), &text, 36).unwrap_err().to_string();
    assert_eq!(
        error,
        "the training text has 36 tokens; the network's windows of 36 need at least 37: use more text or a shorter input"
    );
    assert!(Windows::of(&Recipe::nanogpt(), &text, 35).is_ok() && HeldOut::new(&text, 3, 256).is_ok());
    let error = HeldOut::new(&text, 4, 256).unwrap_err().to_string();
    assert!(error.starts_with("the validation text has 4 tokens; "), "{error}");
}

/// Targets are the next tokens; every place can start a window, and the last has the last token as its target.
#[test]
fn windows_are_drawn_from_everywhere() {
    let bytes: Vec<u8> = (0..40).collect();
    let text = of(&bytes, Choice::Bytes).unwrap();
    let recipe = Recipe {
        batch: 3,
        steps_per_epoch: None,
        ..Recipe::nanogpt()
    };
    let mut windows = Windows::of(&recipe, &text, 4).unwrap();
    // 36 tokens to train on, 12 of them a step.
    assert_eq!((windows.steps_per_epoch(), windows.images()), (3, 36));
    let mut starts = [0; 32];
    for epoch in 1..=100 {
        for batch in windows.epoch(epoch, 0) {
            let TokenBatch { ids, targets, length } = batch.unwrap();
            assert_eq!((ids.len(), targets.len(), length), (12, 12, 4));
            for (ids, targets) in ids.chunks(4).zip(targets.chunks(4)) {
                assert!((0..4).all(|at| ids[at] == ids[0] + at as f32 && targets[at] as f32 == ids[at] + 1.0));
                starts[ids[0] as usize] += 1;
            }
        }
    }
    // 900 draws of 32 places: 28 each, with a deviation of 5.
    assert!(starts.iter().all(|&count| (8..=53).contains(&count)), "{starts:?}");
}

/// Whatever an epoch is, and wherever a run resumes, the windows of a step are the same; of another seed they are others.
#[test]
fn windows_depend_on_seed_and_step_alone() {
    let bytes: Vec<u8> = (0..200).collect();
    let text = of(&bytes, Choice::Bytes).unwrap();
    let batches = |per_epoch: u64, seed: u64, (epochs, from): (std::ops::RangeInclusive<u32>, u64)| {
        let recipe = Recipe {
            steps_per_epoch: Some(per_epoch),
            seed,
            ..Recipe::nanogpt()
        };
        let mut windows = Windows::of(&recipe, &text, 8).unwrap();
        let mut all = Vec::new();
        for epoch in epochs {
            all.extend(windows.epoch(epoch, from).map(|batch| batch.unwrap().ids));
        }
        all
    };
    let all = batches(6, 0, (1..=1, 0));
    assert_eq!(all.len(), 6);
    assert_eq!(batches(2, 0, (1..=3, 0)), all);
    assert_eq!(batches(3, 0, (2..=2, 1)), all[4..]);
    assert!(batches(6, 1, (1..=1, 0)).iter().zip(&all).all(|(a, b)| a != b));
    assert!((1..6).all(|step| all[step] != all[step - 1]));
}

/// Logits that give the token after id `i` the probability that `shares[i + 1]` is of all: each target counts once, whatever
/// the window, so the loss is the mean of -ln(share) over all tokens but the first.
#[test]
fn every_token_but_the_first_is_predicted_once() {
    let bytes: Vec<u8> = (0..120).collect();
    let text = of(&bytes, Choice::Bytes).unwrap();
    assert_eq!(text.validation, (108..120).collect::<Vec<u32>>());
    let logit = |id: u32| f64::from(id) / 100.0;
    for length in 1..=11 {
        let held_out = HeldOut::new(&text, length, 256).unwrap();
        let evaluation = held_out.evaluate(|TokenBatch { ids, .. }| {
            assert!(ids.len().is_multiple_of(length));
            let row = |id: &f32| {
                (0..256)
                    .map(|of| if of == *id as u32 + 1 { logit(of) as f32 } else { 0.0 })
                    .collect()
            };
            Ok(ids.iter().flat_map(|id| -> Vec<f32> { row(id) }).collect())
        });
        let evaluation = evaluation.unwrap();
        let nats = |id: u32| (255.0 + logit(id).exp()).ln() - logit(id);
        let expected = (109..120).map(nats).sum::<f64>() / 11.0;
        assert_eq!((evaluation.images, evaluation.top1), (11, 1.0), "windows of {length}");
        assert!(
            (evaluation.loss - expected).abs() < 1e-6,
            "{} is not {expected}",
            evaluation.loss
        );
        assert!(evaluation.confusion.is_empty());
    }
}

/// Documents of the bytes of a file or folder, with the vocabulary of bytes.
fn documents(path: &std::path::Path) -> Result<Text, TextError> {
    Text::open(&Origin::Documents(path.to_owned()), Vocabulary::Chosen(&Choice::Bytes))
}

/// Seven lines: of 10, 2, 1, 20, 3, 5 and 6 bytes.
const LINES: &str = "abcdefghi\nA\n\n0123456789012345678\nxy\nBCDE\nno end";

#[test]
fn documents_are_lines_or_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.txt");
    fs::write(&file, LINES).unwrap();
    let text = documents(&file).unwrap();
    // Nine tenths of 47 bytes are 42: the last line is for validation.
    let of = text.documents.clone().unwrap();
    assert_eq!(of.training, [10, 12, 13, 33, 36, 41]);
    assert_eq!((of.validation, text.validation.len()), (vec![6], 6));
    assert_eq!(
        text.to_string(),
        "41 tokens for training, 6 for validation (bytes) in 6 and 1 documents"
    );
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    for (name, text) in [("0", ""), ("a", "one\ntwo"), ("b", "three"), ("c", "four")] {
        fs::write(files.join(name), text).unwrap();
    }
    let of = documents(&files).unwrap().documents.unwrap();
    assert_eq!((of.training, of.validation), (vec![7, 12], vec![4]));
}

#[test]
fn documents_that_cannot_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let error = |text: &[u8]| {
        fs::write(&file, text).unwrap();
        documents(&file).unwrap_err().to_string()
    };
    let place = format!("`{}`", file.display());
    assert_eq!(error(b""), format!("{place} is empty: expected text"));
    for text in ["one line\n", "no end"] {
        let expected = format!("{place} has one document: expected at least two, ");
        assert!(error(text.as_bytes()).starts_with(&expected));
    }
    // Each half of a character is a document.
    let files = folder.path().join("files");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("a"), b"\xc3").unwrap();
    fs::write(files.join("b"), b"\xa9").unwrap();
    let origin = Origin::Documents(files.clone());
    let open = |choice| {
        Text::open(&origin, Vocabulary::Chosen(&choice))
            .unwrap_err()
            .to_string()
    };
    let expected = |file| format!("`{}` is not UTF-8 from byte 0 on: ", files.join(file).display());
    let error = open(Choice::Characters);
    assert!(error.starts_with(&expected("a")), "{error}");
    #[cfg(feature = "tokenizers")]
    assert!(open(Choice::Pairs(300)).starts_with(&expected("b")));
    let text = documents(&files).unwrap();
    let error = Windows::of(&Recipe::nanogpt(), &text, 4).unwrap_err().to_string();
    assert_eq!(
        error,
        "no training document has a second token, which a first one could predict"
    );
    let error = HeldOut::new(&text, 4, 256).unwrap_err().to_string();
    assert!(error.starts_with("no validation document "), "{error}");
}

/// Every token but the first of each document is a target of one window; what is left of a window has none. An epoch draws
/// all windows evenly.
#[test]
fn windows_are_of_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.txt");
    fs::write(&file, LINES).unwrap();
    let text = documents(&file).unwrap();
    let recipe = Recipe {
        batch: 3,
        steps_per_epoch: None,
        ..Recipe::nanogpt()
    };
    let mut windows = Windows::of(&recipe, &text, 4).unwrap();
    // Of 10, 2, 1, 20, 3 and 5 tokens: 3 + 1 + 0 + 5 + 1 + 1 windows, with 35 targets.
    assert_eq!((windows.steps_per_epoch(), windows.images()), (4, 4 * 3 * 35 / 11));
    let mut seen = std::collections::BTreeMap::new();
    for epoch in 1..=50 {
        for batch in windows.epoch(epoch, 0) {
            let TokenBatch { ids, targets, .. } = batch.unwrap();
            for (ids, targets) in ids.chunks(4).zip(targets.chunks(4)) {
                let count = targets.iter().filter(|&&target| target != IGNORED).count();
                assert!(ids[count..].iter().all(|&id| id == 0.0) && targets[count..].iter().all(|&id| id == IGNORED));
                let own: Vec<u8> = ids[..count].iter().map(|&id| id as u8).collect();
                let next: Vec<u8> = targets[..count].iter().map(|&id| id as u8).collect();
                assert_eq!(own[1..], next[..count - 1]);
                let window = [&own[..1], &next].concat();
                *seen.entry(String::from_utf8(window).unwrap()).or_insert(0) += 1;
            }
        }
    }
    let expected = [
        "abcde", "efghi", "i\n", "A\n", "01234", "45678", "89012", "23456", "678\n", "xy\n", "BCDE\n",
    ];
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    // 600 draws of 11: 55 each, with a deviation of 7.
    assert!(
        seen.keys().eq(&expected) && seen.values().all(|count| (25..90).contains(count)),
        "{seen:?}"
    );
}

/// The validation documents `no end` and `xy` have 5 targets and 1, however long windows are.
#[test]
fn documents_are_judged_apart() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a", "a".repeat(80)),
        ("b", "no end".to_owned()),
        ("c", "xy".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let text = documents(folder.path()).unwrap();
    assert_eq!(text.documents.as_ref().unwrap().validation, [6, 8]);
    for length in 1..8 {
        let held_out = HeldOut::new(&text, length, 256).unwrap();
        // All tokens have the same probability.
        let mut lengths = Vec::new();
        let evaluation = held_out.evaluate(|batch| {
            lengths.extend(batch.lengths());
            Ok(vec![0.0; batch.ids.len() * 256])
        });
        let evaluation = evaluation.unwrap();
        assert_eq!(lengths.iter().sum::<f32>(), 6.0);
        assert!(length < 5 || lengths == [5.0, 1.0], "{lengths:?}");
        assert_eq!(evaluation.images, 6, "windows of {length}");
        assert!((evaluation.loss - 256f64.ln()).abs() < 1e-12);
        assert_eq!(held_out.describe(), HeldOut::new(&text, 3, 256).unwrap().describe());
    }
}

#[test]
fn choices_are_parsed() {
    for text in ["bytes", "characters", "bpe:1024", "a/tokenizer.json"] {
        assert_eq!(text.parse::<Choice>().unwrap().to_string(), text);
    }
    for (text, what) in [
        ("words", "expected bytes, characters"),
        ("bpe:many", "`many` is no number of tokens"),
    ] {
        assert!(text.parse::<Choice>().unwrap_err().starts_with(what), "{text}");
    }
}
