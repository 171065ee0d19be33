//! `ksn export c`, `ksn quantize` and `ksn summary --target c`.

use crate::Folder;
use ksdsl_checkpoint::{Kind, Shared, Tensor, to_bytes};
use std::borrow::Cow;

const NET: &str = "\
net small {
    input 1 x 8 x 8
    s: repeat 3 { conv(1, kernel = 3, pad = 1); relu }
    global_avg_pool; linear(10, bias = false)
    share s[*].conv
}
net odd { input 1 x 8 x 8; upsample(2, mode = bilinear); flatten; linear(10, bias = false) }
net soft { input 1 x 8 x 8; flatten; linear(10, bias = false); softmax }
";

fn tensor(key: &str, shape: &[u64], value: f32) -> Tensor<'static> {
    let count: u64 = shape.iter().product();
    Tensor {
        key: key.to_owned(),
        kind: Kind::F32,
        shape: shape.to_vec(),
        data: Cow::Owned((0..count).flat_map(|_| value.to_le_bytes()).collect()),
    }
}

fn folder() -> Folder {
    let folder = Folder::with(&[("net.ksn", NET)]);
    let shared = Shared {
        key: "shared.s_conv.weight".to_owned(),
        visits: (0..3).map(|at| format!("s.{at}.conv.weight")).collect(),
        copies: true,
    };
    let write = |name: &str, tensors: &[Tensor<'_>]| {
        let bytes = to_bytes(tensors, std::slice::from_ref(&shared));
        std::fs::write(folder.0.path().join(name), bytes).unwrap();
    };
    let kernel = |value: f32| tensor("shared.s_conv.weight", &[1, 1, 3, 3], value);
    let head = || tensor("linear.weight", &[10, 1], 1.0);
    write("good.safetensors", &[kernel(0.1), head()]);
    write("nan.safetensors", &[kernel(f32::NAN), head()]);
    write("part.safetensors", &[head()]);
    std::fs::write(folder.0.path().join("cut.safetensors"), [1, 2, 3]).unwrap();
    folder
}

#[test]
fn c_has_one_array_and_one_loop_for_a_shared_kernel() {
    let folder = folder();
    let args = [
        "export",
        "c",
        "net.ksn",
        "--net",
        "small",
        "--weights",
        "good.safetensors",
        "-o",
        "of-1.c",
    ];
    let run = folder.ksn(&args);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    let read = |name: &str| std::fs::read_to_string(folder.0.path().join(name)).unwrap();
    let (source, header) = (read("of-1.c"), read("of-1.h"));
    assert_eq!(source.matches("0x1.99999ap-4f").count(), 9, "{source}");
    assert!(source.contains("#include \"of-1.h\""), "{source}");
    // The first layer, which reads the input, the two others in a loop, and the head.
    assert_eq!(source.matches("    ksn_conv(").count(), 3, "{source}");
    assert!(
        header.contains("void small_run(const float *input, float *output);"),
        "{header}"
    );
    assert!(header.contains("#define SMALL_OUTPUT_LEN 10"), "{header}");
    let summary = folder.ksn(&["summary", "net.ksn", "--net", "small", "--target", "c"]);
    assert_eq!(summary.status, Some(0));
    let words: Vec<&str> = summary.stdout.split_whitespace().collect();
    // 9 weights of the kernel and 10 of the head; in 8 bits a factor of 16 bits more for each output channel.
    let weights = words
        .windows(4)
        .find(|words| words[..2] == ["flash:", "weights"])
        .unwrap();
    assert_eq!(weights[2..], ["76", "41"], "{}", summary.stdout);
}

#[test]
fn what_c_has_not_is_an_error_and_writes_nothing() {
    let folder = folder();
    let export = |net: &str, weights: &str, more: &[&str]| {
        let run = folder.ksn(&[&["export", "c", "net.ksn", "--net", net, "--weights", weights], more].concat());
        (run.status, run.stderr)
    };
    for (net, weights, status, words) in [
        ("odd", "good.safetensors", 1, "net.ksn:7:"),
        (
            "odd",
            "good.safetensors",
            1,
            "(upsample) cannot be exported to C: it interpolates",
        ),
        (
            "small",
            "nan.safetensors",
            1,
            "`shared.s_conv.weight` has values that are not finite",
        ),
        ("small", "part.safetensors", 1, "shared.s_conv.weight"),
        ("small", "cut.safetensors", 1, "cut.safetensors"),
        ("small", "none.safetensors", 2, "none.safetensors"),
    ] {
        let (found, message) = export(net, weights, &[]);
        assert!(
            found == Some(status) && message.contains(words),
            "{net} {weights}: {found:?} {message}"
        );
    }
    for name in ["x.txt", "a\"b.c", "é.c"] {
        let (status, message) = export("small", "good.safetensors", &["-o", name]);
        assert!(
            status == Some(2) && message.contains("ends in `.c`"),
            "{name}: {message}"
        );
    }
    let files = std::fs::read_dir(folder.0.path()).unwrap();
    let written = files.filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension()
            .is_some_and(|extension| extension == "c" || extension == "h")
    });
    assert_eq!(written.count(), 0);
}

#[test]
fn quantize_prints_accuracies_and_writes_c() {
    let folder = folder();
    let quantize = |net: &str, more: &[&str]| folder.ksn(&[&["quantize", "net.ksn", "--net", net], more].concat());
    let given = ["--weights", "good.safetensors", "--data", "digits", "--images", "20"];
    let run = quantize("small", &[&given[..], &["-o", "small.c", "--samples", "3"]].concat());
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(
        run.stdout.contains("calibrated on 20 training images"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("int8, first visits only"), "{}", run.stdout);
    let read = |name: &str| std::fs::read_to_string(folder.0.path().join(name)).unwrap();
    assert!(read("small.h").contains("void small_quantize(const float *values, int8_t *input);"));
    assert!(read("small.samples.h").contains("#define SAMPLES 3"));
    assert!(!read("small.c").contains("malloc"));
    let run = quantize("small", &[]);
    assert!(
        run.status == Some(2) && run.stderr.contains("--weights"),
        "{}",
        run.stderr
    );
    let run = quantize("soft", &given);
    assert!(
        run.status == Some(1) && run.stderr.contains("end the network with the logits"),
        "{}",
        run.stderr
    );
    let run = folder.ksn(&["quantize", "nowhere"]);
    assert!(
        run.status == Some(2) && run.stderr.contains("nowhere"),
        "{}",
        run.stderr
    );
}

/// A checkpoint that training writes has the tensors of the first, and `ksn quantize` takes it.
#[test]
fn quantize_trains_kernels_before() {
    let folder = folder();
    let quantize = |weights: &str, more: &[&str]| {
        let given = [
            "quantize",
            "net.ksn",
            "--net",
            "small",
            "--data",
            "digits",
            "--images",
            "20",
            "--weights",
            weights,
        ];
        folder.ksn(&[&given[..], more].concat())
    };
    let train = ["--train", "1", "--rate", "0.01", "--save", "trained.safetensors"];
    let run = quantize("good.safetensors", &train);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.contains("int8, before training"), "{}", run.stdout);
    let read = |name: &str| std::fs::read(folder.0.path().join(name)).unwrap();
    let [before, after] = ["good.safetensors", "trained.safetensors"].map(read);
    assert!(before.len() == after.len() && before != after);
    let again = quantize("trained.safetensors", &[]);
    let line = |text: &str| {
        text.lines()
            .find(|line| line.starts_with("int8  "))
            .map(|line| line[..38].to_owned())
    };
    assert_eq!(line(&run.stdout), line(&again.stdout), "{}{}", run.stdout, again.stdout);
    quantize("good.safetensors", &train);
    assert!(read("trained.safetensors") == after, "training is deterministic");
    // What cannot be written is known before.
    let run = quantize("good.safetensors", &["--train", "1", "--save", "missing/x.safetensors"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{}", run.stderr);
    assert!(run.stderr.contains("missing/x.safetensors"), "{}", run.stderr);
    let run = quantize("good.safetensors", &["--rate", "0.1"]);
    assert!(
        run.status == Some(2) && run.stderr.contains("--train"),
        "{}",
        run.stderr
    );
}
