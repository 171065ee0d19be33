//! Compiles the networks of the examples, of these tests, random ones, and one for every reference count.

mod parity;
mod random;

use ksdsl::build::Config;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

const COUNTS: &str = "data/reference-counts.csv";

/// Instances whose memory is measured: family and nets.
const MEMORY: [(&str, &str); 10] = [
    ("bottleneck", ""),
    ("branches", ""),
    (
        "convmixer",
        "net small = convmixer(depth = 4)\nnet small_unshared = convmixer(depth = 4, shared = false)\n",
    ),
    ("digits", ""),
    ("mlp", ""),
    ("mobilenet", ""),
    ("preact_resnet", ""),
    (
        "private_parts",
        "net wide = private_parts(width = 96, depth = 6, rank = 7)\n",
    ),
    (
        "se_resnet",
        "net unshared = se_resnet(share_s1 = false, share_s2 = false, share_s3 = false)\n",
    ),
    (
        "vit",
        "net fine = vit(depth = 2, patch = 1, heads = 2)\nnet odd = vit(width = 60, depth = 2, heads = 3, shared = false)\n",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let examples = "../examples/nets";
    let memory = "../ksdsl/tests/data/memory.ksn";
    Config::new()
        .dir(examples)
        .dir("nets")
        .file(memory)
        .compile_to(&mut io::stdout())?;

    println!("cargo:rerun-if-changed={COUNTS}");
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let counts = fs::read_to_string(COUNTS)?;
    for family in ["se_resnet", "convmixer"] {
        let text = fs::read_to_string(format!("{examples}/{family}.ksn"))?;
        fs::write(
            out_dir.join(format!("{family}_rows.ksn")),
            text + &rows(&counts, family)?,
        )?;
    }
    // Cargo must not watch what this script writes.
    let mut written = Config::new()
        .root(&out_dir)
        .file("se_resnet_rows.ksn")
        .file("convmixer_rows.ksn");
    for (family, nets) in MEMORY {
        let text = fs::read_to_string(format!("{examples}/{family}.ksn"))?;
        let file = format!("{family}_memory.ksn");
        fs::write(out_dir.join(&file), text + nets)?;
        written = written.file(file);
    }
    written.compile_to(&mut io::sink())?;
    random::compile(&out_dir)?;
    let feature = |name: &str| env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    if feature("PARITY") {
        let list = if feature("ROUNDING") {
            "parity/deep.csv"
        } else {
            "parity/nets.csv"
        };
        parity::compile(&out_dir, list)?;
    }
    Ok(())
}

/// `net row_2 = se_resnet(...)` for each row of a family, by the row's number in the file.
fn rows(counts: &str, family: &str) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for (row, line) in counts.lines().enumerate().skip(1) {
        let [net, depth, classes, shared, ..] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("{COUNTS}: row {row} has too few cells").into());
        };
        if net != family {
            continue;
        }
        let stage = |name: &str| shared.split('+').any(|stage| stage == name);
        let switches = match family {
            "convmixer" => format!("shared = {}", stage("mixer")),
            _ => format!(
                "share_s1 = {}, share_s2 = {}, share_s3 = {}",
                stage("s1"),
                stage("s2"),
                stage("s3")
            ),
        };
        writeln!(
            text,
            "net row_{row} = {family}(depth = {depth}, classes = {classes}, {switches})"
        )?;
    }
    Ok(text)
}
