//! Random networks: valid specifications of every construct, each with sharing and without.
//!
//! The same seed gives the same networks. `KSDSL_RANDOM_SEED` and `KSDSL_RANDOM_NETS` choose others and more:
//! `KSDSL_RANDOM_SEED=7 KSDSL_RANDOM_NETS=100 cargo test -p ksdsl-tests --test models random`.

mod choices;
mod text;

use ksdsl::build::Config;
use ksdsl::spec::Spec;
use ksdsl::summary::Summary;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};
use text::Writer;

/// Of a usual build: its networks have every construct.
const SEED: u64 = 227;
/// Networks of a usual build.
const NETS: u64 = 16;
/// Multiply-adds of a network, at most: double precision is slow.
const MOST_WORK: u64 = 4_000_000;
/// Layers of a network, at most: its code has to be compiled.
const MOST_LAYERS: usize = 130;
/// Attempts at a network that the compiler accepts and that shares something.
const ATTEMPTS: u64 = 200;

/// Compiles the networks and writes `random_nets.rs`, which names them for the tests.
pub(crate) fn compile(out_dir: &Path) -> Result<(), Box<dyn Error>> {
    let (seed, nets) = (setting("KSDSL_RANDOM_SEED", SEED)?, setting("KSDSL_RANDOM_NETS", NETS)?);
    let mut writer = Writer::new(seed);
    let (mut text, mut list) = (String::new(), String::from("random_nets! {\n"));
    for net in 0..nets {
        let (specification, summary) = next(&mut writer, &format!("random_{net}"))?;
        text += &specification;
        let sizes: Vec<String> = summary.input.iter().map(u64::to_string).collect();
        let sizes = sizes.join(", ");
        writeln!(list, "    net_{net}: random_{net}_shared random_{net}_free [{sizes}];")?;
    }
    list += "}\n";
    fs::write(out_dir.join("random.ksn"), text)?;
    fs::write(out_dir.join("random_nets.rs"), list)?;
    // Cargo must not watch what this script writes.
    Config::new()
        .root(out_dir)
        .file("random.ksn")
        .compile_to(&mut io::sink())?;
    Ok(())
}

fn setting(variable: &str, default: u64) -> Result<u64, Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed={variable}");
    match env::var(variable) {
        Ok(text) => text
            .parse()
            .map_err(|error| format!("{variable}={text}: {error}").into()),
        Err(_) => Ok(default),
    }
}

/// The next network that is valid, small enough, and shares a kernel between visits.
fn next(writer: &mut Writer, name: &str) -> Result<(String, Summary), Box<dyn Error>> {
    let mut refused = String::new();
    for _ in 0..ATTEMPTS {
        let text = writer.network(name);
        let spec = Spec::parse("random.ksn", &text).network(&format!("{name}_shared"));
        match spec.summary() {
            Ok(summary)
                if summary.macs <= MOST_WORK
                    && summary.layers.len() <= MOST_LAYERS
                    && summary.groups.iter().any(|group| group.visits.len() > 1) =>
            {
                return Ok((text, summary));
            }
            Ok(_) => {}
            Err(error) => refused = error.to_string(),
        }
    }
    Err(format!("no valid network in {ATTEMPTS} attempts; the last refusal: {refused}").into())
}
