//! Weights and inputs of any bits to integers and C: a file or an error, and outputs of the integers.
#![no_main]

use ksdsl::checkpoint::entries;
use ksdsl::compile::{Options, compile};
use ksdsl::export::c;
use ksdsl::source::Source;
use ksdsl_fuzz::steps::{ints, singles, weights};
use libfuzzer_sys::fuzz_target;

/// Every operation that there is in integers, with kernels that are visited more than once.
const NETS: &str = include_str!("../seeds/quantize.ksn");

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let compilation = compile(&Source::new("quantize.ksn", NETS), &Options::default());
    let networks = compilation.networks;
    let network = &networks[usize::from(*choice) % networks.len()];
    let weights = match choice & 128 {
        // The elements of all tensors are what is given, again and again.
        0 => weights(network, bytes),
        // Each has one number.
        _ => {
            let numbers = singles(bytes);
            let mut numbers = numbers.iter().copied().cycle();
            let mut one = |shape: &[u64]| vec![numbers.next().unwrap_or(0.0); shape.iter().product::<u64>() as usize];
            entries(network).iter().map(|entry| one(&entry.shape)).collect()
        }
    };
    match c::program(network, Some(&weights), &c::Options::default()) {
        Ok(program) => ints(&program, &singles(bytes)),
        // Weights that are not finite.
        Err(error) => drop(error.to_string()),
    }
});
