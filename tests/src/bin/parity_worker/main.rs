//! Our side of `parity/parity.py`: `parity_worker NAME f32|f64 CASE OUTCOME` reads a case, runs the
//! network of this name in `parity/nets.csv`, and writes the outcome.

use ksdsl_runtime::Scalar;
use ksdsl_tests::parity::{read, write};
use ksdsl_tests::parity_outcome;
use ksdsl_tests::tensors::Values;
use std::error::Error;
use std::path::Path;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Run<E> = fn(&Values<E>) -> Outcome<Values<E>>;

include!(concat!(env!("OUT_DIR"), "/parity_nets.rs"));

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, precision, case, outcome] = arguments.as_slice() else {
        return Err("usage: parity_worker NAME f32|f64 CASE OUTCOME".into());
    };
    let (case, outcome) = (Path::new(case), Path::new(outcome));
    let unknown = || format!("there is no {name} in {precision}");
    match precision.as_str() {
        "f32" => run(find_f32(name).ok_or_else(unknown)?, case, outcome),
        "f64" => run(find_f64(name).ok_or_else(unknown)?, case, outcome),
        _ => Err(format!("`{precision}` is no precision").into()),
    }
}

fn run<E: Scalar>(run: Run<E>, case: &Path, outcome: &Path) -> Outcome<()> {
    write(outcome, &run(&read(case)?)?)
}
