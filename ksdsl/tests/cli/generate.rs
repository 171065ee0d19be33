//! `ksn generate`.

use super::Folder;

/// A language model on bytes.
const BYTES: &str = "\
net small(vocabulary = 256, causal = true) {
    input 24 of vocabulary
    embed: embedding(16, init = normal(0.5))
    think: repeat up to 3 { residual { rms_norm; attention(2, causal = causal) }; residual { rms_norm; linear(24); silu; linear(16) } }
    head: linear(vocabulary, bias = false)
    share embed, head
}
";

fn folder() -> Folder {
    Folder::with(&[("small.ksn", BYTES)])
}

/// The text, without the line that says how fast it was.
#[track_caller]
fn text(folder: &Folder, more: &[&str]) -> String {
    let run = folder.ksn(&[&["generate", "small.ksn"], more].concat());
    assert_eq!(run.status, Some(0), "{more:?}: {}", run.stderr);
    assert!(run.stderr.contains(" tokens/s "), "{}", run.stderr);
    run.stdout
}

#[test]
fn the_seed_determines_the_text_whatever_the_threads() {
    let folder = folder();
    let ids = |more: &[&str]| text(&folder, &[&["--ids", "7,1", "--tokens", "40"], more].concat());
    let first = ids(&["--seed", "5", "--threads", "1"]);
    assert_eq!(first.trim_end().split(',').count(), 40);
    assert_eq!(first, ids(&["--seed", "5", "--threads", "2"]));
    assert_eq!(first, ids(&["--seed", "5", "--threads", "3"]));
    assert_ne!(first, ids(&["--seed", "6"]));
    // One token to choose from is greedy decoding.
    let greedy = ids(&["--temperature", "0"]);
    assert_eq!(greedy, ids(&["--top-k", "1"]));
    assert_eq!(greedy, ids(&["--top-p", "0.000001"]));
    assert_ne!(greedy, ids(&["--temperature", "0", "--steps", "think=1"]));
}

#[test]
fn a_prompt_is_continued_up_to_what_stops_it() {
    let folder = folder();
    let all = text(&folder, &["--prompt", "Romeo", "--tokens", "30", "--top-k", "20"]);
    let rest = all.strip_prefix("Romeo").unwrap();
    // A piece of what was generated, of printable characters.
    let at = rest.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
    let stop = at
        .clone()
        .zip(at.skip(1))
        .map(|(from, to)| &rest[from..to])
        .find(|c| c.is_ascii() && *c != "\n");
    if let Some(stop) = stop {
        let before = rest.find(stop).unwrap();
        let stopped = text(
            &folder,
            &["--prompt", "Romeo", "--tokens", "30", "--top-k", "20", "--stop", stop],
        );
        assert_eq!(stopped, format!("Romeo{}\n", &rest[..before]));
    }
    let none = text(&folder, &["--prompt", "Romeo", "--tokens", "0"]);
    assert_eq!(none, "Romeo\n");
}

/// The input has 24 tokens.
#[test]
fn a_full_input_slides_or_stops() {
    let folder = folder();
    let count = |more: &[&str]| {
        text(&folder, &[&["--ids", "1,2,3,4", "--tokens", "50"], more].concat())
            .split(',')
            .count()
    };
    assert_eq!(count(&[]), 50);
    // 20 more fit; what follows the last is drawn, too.
    assert_eq!(count(&["--full", "stop"]), 21);
    let long: Vec<String> = (0..40).map(|id| id.to_string()).collect();
    let (long, last) = (long.join(","), long[16..].join(","));
    let run = |ids: &str| text(&folder, &["--ids", ids, "--tokens", "20"]);
    assert_eq!(run(&long), run(&last), "the last tokens of a long prompt count");
}

#[test]
fn what_cannot_be_generated_is_said() {
    let folder = Folder::with(&[
        ("small.ksn", BYTES),
        ("words.ksn", "net words { input 8 of 50; embedding(4); linear(50) }"),
        ("images.ksn", "net images { input 1 x 8 x 8; flatten; linear(10) }"),
    ]);
    let refused = |args: &[&str]| {
        let run = folder.ksn(&[&["generate"], args].concat());
        assert_ne!(run.status, Some(0), "{args:?}");
        run.stderr
    };
    let bidirectional = refused(&["small.ksn", "--set", "causal=false", "--ids", "1"]);
    let reason = "small.ksn:4:50: network `small` cannot run token by token: `think.attention.attend`: it sees later tokens: it has no `causal = true`";
    assert!(bidirectional.contains(reason), "{bidirectional}");
    let images = refused(&["images.ksn", "--ids", "1"]);
    assert!(images.contains("its input is 1x8x8, not token ids"), "{images}");
    assert!(refused(&["words.ksn"]).contains("`--tokenizer FILE.json`"));
    assert!(refused(&["words.ksn", "--ids", "50"]).contains("the token id 50 is not below 50"));
    assert!(refused(&["small.ksn", "--prompt", ""]).contains("the prompt is empty"));
    assert!(refused(&["small.ksn", "--steps", "think=4"]).contains("the loop `think` runs 1 to 3 times, not 4"));
    assert!(refused(&["small.ksn", "--steps", "thin=1"]).contains("the network has no loop `thin`"));
    for wrong in [
        ["--temperature", "-1"],
        ["--top-p", "0"],
        ["--top-p", "1.5"],
        ["--top-k", "0"],
        ["--steps", "think"],
        ["--ids", "a"],
    ] {
        refused(&[&["small.ksn"], &wrong[..]].concat());
    }
    assert!(refused(&["runs/none"]).contains("no run or checkpoint at `runs/none`"));
    assert!(refused(&["runs/none", "--weights", "a"]).contains("--weights is for specifications"));
    assert!(refused(&["small.ksn", "--weights", "none.safetensors"]).contains("none.safetensors"));
}

/// As with the weights of a checkpoint that are rounded here: to the upper 16 bits, to the nearest with ties to even; and to
/// multiples of a factor for each row, here with the greatest value of each row 127 times a number of few digits.
#[test]
fn weight_types_round_the_kernels_of_linear_layers() {
    let folder = folder();
    let spec = ksdsl::spec::Spec::parse("small.ksn", BYTES);
    let (network, _) = spec.compile_one().unwrap();
    let path = |name: &str| folder.0.path().join(name);
    let model = ksdsl::graph::train::Model::new(&network, 3);
    model.save(&path("model.safetensors")).unwrap();
    let bytes = std::fs::read(path("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..header]).unwrap();
    // Every tensor of two sizes is a kernel or the table that the head shares.
    let changed = |change: &dyn Fn(&mut [f32], usize)| {
        let mut bytes = bytes.clone();
        for (name, tensor) in tensors
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "__metadata__")
        {
            let shape: Vec<usize> = serde_json::from_value(tensor["shape"].clone()).unwrap();
            let [from, to]: [usize; 2] = serde_json::from_value(tensor["data_offsets"].clone()).unwrap();
            if shape.len() != 2 {
                continue;
            }
            let part = &mut bytes[header + from..header + to];
            let mut values: Vec<f32> = part
                .chunks(4)
                .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
                .collect();
            assert_eq!(values.len(), shape[0] * shape[1], "{name}");
            values.chunks_mut(shape[1]).for_each(|row| change(row, shape[0]));
            let values = values.iter().flat_map(|value| value.to_le_bytes());
            part.iter_mut().zip(values).for_each(|(to, value)| *to = value);
        }
        bytes
    };
    let bf16 = |row: &mut [f32], _: usize| {
        for value in row {
            let (below, above) = (
                value.to_bits() & 0xFFFF_0000,
                (value.to_bits() & 0xFFFF_0000) + 0x1_0000,
            );
            let [below, above] = [below, above].map(f32::from_bits);
            let [down, up] = [*value - below, above - *value].map(f32::abs);
            let even = below.to_bits() & 0x1_0000 == 0;
            *value = if down < up || down == up && even { below } else { above };
        }
    };
    let int8 = |row: &mut [f32], _: usize| {
        let greatest = row.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        let factor = f64::from(greatest) / 127.0;
        // The next number of 17 binary digits.
        let digits = factor.log2().floor() - 16.0;
        let factor = (factor / digits.exp2()).ceil() * digits.exp2();
        for value in row {
            *value = ((f64::from(*value) / factor).round_ties_even() * factor) as f32;
        }
    };
    for (name, change) in [("bf16", &bf16 as &dyn Fn(&mut [f32], usize)), ("int8", &int8)] {
        std::fs::write(path("rounded.safetensors"), changed(change)).unwrap();
        let ids = |more: &[&str]| {
            text(
                &folder,
                &[&["--ids", "7,1,30", "--tokens", "60", "--seed", "2"], more].concat(),
            )
        };
        let rounded = ids(&["--weights", "rounded.safetensors"]);
        assert_eq!(ids(&["--weights", "model.safetensors", "--weight-type", name]), rounded);
        assert_eq!(
            ids(&["--weights", "rounded.safetensors", "--weight-type", name]),
            rounded
        );
    }
}

#[test]
fn a_run_on_text_generates_text() {
    let folder = folder();
    std::fs::write(folder.0.path().join("text.txt"), "to be or not to be. ".repeat(200)).unwrap();
    let train = [
        "train",
        "small.ksn",
        "--data",
        "text:text.txt",
        "--out",
        "out",
        "--steps",
        "5",
        "--batch",
        "8",
    ];
    let run = folder.ksn(&train);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let mut runs = std::fs::read_dir(folder.0.path().join("out")).unwrap();
    let run = runs.next().unwrap().unwrap().path();
    let prompt = ["--prompt", "to be", "--tokens", "12", "--temperature", "0"];
    let one = folder.ksn(&[&["generate", run.to_str().unwrap()], &prompt[..]].concat());
    assert_eq!(one.status, Some(0), "{}", one.stderr);
    assert!(one.stdout.starts_with("to be"), "{}", one.stdout);
    // The checkpoint of the run with the specification is the same network.
    let weights = run.join("best.safetensors");
    let specified = ["generate", "small.ksn", "--weights", weights.to_str().unwrap()];
    assert_eq!(folder.ksn(&[&specified[..], &prompt[..]].concat()).stdout, one.stdout);
}
