//! Our side of `parity/parity.py`: `parity_worker NAME f32|f64 CASE OUTCOME` reads a case, runs the
//! network of this name in `parity/nets.csv` (with the feature `rounding`, in `parity/deep.csv`), and writes the outcome. With `direct` behind it, 3x3
//! convolutions are computed without Winograd's algorithm.

use ksdsl_runtime::Scalar;
use ksdsl_runtime::cpu::{WinogradChoice, with_winograd};
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
    let (choice, arguments) = match arguments.as_slice() {
        [arguments @ .., last] if last == "direct" => (WinogradChoice::Never, arguments),
        arguments => (WinogradChoice::WhereItPays, arguments),
    };
    let [name, precision, case, outcome] = arguments else {
        return Err("usage: parity_worker NAME f32|f64 CASE OUTCOME [direct]".into());
    };
    let (case, outcome) = (Path::new(case), Path::new(outcome));
    let unknown = || format!("unknown network {name} in {precision}");
    with_winograd(choice, || match precision.as_str() {
        "f32" => run(find_f32(name).ok_or_else(unknown)?, case, outcome),
        "f64" => run(find_f64(name).ok_or_else(unknown)?, case, outcome),
        _ => Err(format!("unknown precision `{precision}`").into()),
    })
}

fn run<E: Scalar>(run: Run<E>, case: &Path, outcome: &Path) -> Outcome<()> {
    write(outcome, &run(&read(case)?)?)
}
