//! Networks with weights of any bits, as steps and in integers.

use ksdsl::checkpoint::entries;
use ksdsl::export::c;
use ksdsl::ir::Network;
use ksdsl::quantize::{Ranges, Visits, infer, quantize, quantized};
use ksdsl::steps::{Program, run};

/// Numbers of these bits.
pub fn singles(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

/// Weights that go through these bits again and again.
pub fn weights(network: &Network, bytes: &[u8]) -> Vec<Vec<f32>> {
    let numbers = singles(bytes);
    let mut numbers = numbers.iter().copied().cycle();
    let mut next = || numbers.next().unwrap_or(0.0);
    let entries = entries(network);
    let counts = entries.iter().map(|entry| entry.shape.iter().product::<u64>());
    counts.map(|count| (0..count).map(|_| next()).collect()).collect()
}

/// Writes a program in C, runs it, and does both in integers if there are some.
pub fn ints(program: &Program, numbers: &[f32]) {
    let input = |len: usize, numbers: &[f32]| -> Vec<f32> {
        let mut numbers = numbers.iter().copied().cycle();
        (0..len).map(|_| numbers.next().unwrap_or(0.5)).collect()
    };
    let lens: Vec<usize> = program
        .inputs
        .iter()
        .map(|port| program.buffers[port.buffer].len())
        .collect();
    let items = [numbers, &[1.0, -0.5]].map(|numbers| lens.iter().map(|len| input(*len, numbers)).collect::<Vec<_>>());
    let files = c::single(program).files("fuzz.h", &[]);
    is_c(&files.source);
    let mut ranges = Ranges::new(program);
    for item in &items {
        let slices: Vec<&[f32]> = item.iter().map(Vec::as_slice).collect();
        ranges.add(program, &slices);
        lens_are_right(program, &run(program, &slices, |_, _| {}));
    }
    for visits in [Visits::All, Visits::First] {
        let integers = match quantize(program, &ranges.clone().of_visits(program, visits)) {
            Ok(integers) => integers,
            Err(error) => return drop(error.to_string()),
        };
        is_c(&c::integer(&integers).files("fuzz.h", &[]).source);
        for item in &items {
            let item: Vec<Vec<i8>> = program
                .inputs
                .iter()
                .zip(item)
                .map(|(port, values)| quantized(values, integers.scales[port.buffer]))
                .collect();
            let slices: Vec<&[i8]> = item.iter().map(Vec::as_slice).collect();
            lens_are_right(program, &infer(&integers, &slices));
        }
    }
}

fn lens_are_right<T>(program: &Program, outputs: &[Vec<T>]) {
    let expected = program.outputs.iter().map(|port| program.buffers[port.buffer].len());
    assert!(outputs.iter().map(Vec::len).eq(expected));
}

/// C has no numbers of this exponent, nor Rust's words for what is no number.
fn is_c(source: &str) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut words = source.split(|c| !is_word(c));
    assert!(!words.any(|word| word.ends_with("p128f") || matches!(word, "NaN" | "NaNf" | "inf" | "inff")));
}
