//! Decodes tokens for `tests/benches/decode.py`:
//!
//!     decode_worker NET.ksn NETWORK PROMPT LENGTH f32|bf16|int8 [NAME=NUMBER...]
//!
//! The weights are random. It reads requests as lines of JSON, `{"command": "decode", "repeats": 5}`, and answers each with
//! the seconds of every token, `{"seconds": [0.01, ...]}`. The sequences have PROMPT to LENGTH tokens.

use ksdsl::graph::train::{Model, WeightType};
use ksdsl::spec::Spec;
use ksdsl::value::Value;
use serde_json::{Value as Json, json};
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, name, prompt, length, weights, settings @ ..] = args.as_slice() else {
        return Err("usage: decode_worker NET.ksn NETWORK PROMPT LENGTH f32|bf16|int8 [NAME=NUMBER...]".into());
    };
    let weights: WeightType = weights.parse()?;
    let mut spec = Spec::read(file)?.network(name.as_str());
    for setting in settings {
        let (name, value) = setting.split_once('=').ok_or("expected NAME=NUMBER")?;
        spec = spec.set(name, Value::Int(value.parse()?));
    }
    let (network, _) = spec.compile_one()?;
    let mut model = Model::new(&network, 0);
    model.round_weights(weights);
    let mut decoder = model.graph().decoder()?;
    let (prompt, length): (usize, usize) = (prompt.parse()?, length.parse()?);
    let tokens: Vec<usize> = (0..length).map(|at| at % 1000).collect();
    decoder.prefill(&tokens[..prompt]).map_err(|error| error.to_string())?;
    for line in std::io::stdin().lock().lines() {
        let request: Json = serde_json::from_str(&line?)?;
        let mut seconds = Vec::new();
        for _ in 0..request["repeats"].as_u64().unwrap_or(1) {
            if decoder.len() == length {
                decoder.truncate(prompt);
            }
            let start = Instant::now();
            decoder.step(tokens[decoder.len()]).map_err(|error| error.to_string())?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{}", json!({ "seconds": seconds }))?;
        stdout.flush()?;
    }
    Ok(())
}
