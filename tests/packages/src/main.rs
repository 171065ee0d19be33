//! Lists the public items of a crate, one a line, from the JSON that rustdoc writes; `check.sh` runs it.
#![forbid(unsafe_code)]

use public_api::Builder;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(file) = std::env::args_os().nth(1) else {
        eprintln!("usage: ksdsl-api JSON");
        return ExitCode::FAILURE;
    };
    // What every type has, and what `derive` adds, would hide the rest.
    let listing = Builder::from_rustdoc_json(file)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build();
    match listing {
        Ok(listing) => {
            print!("{listing}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot read the JSON: {error}");
            ExitCode::FAILURE
        }
    }
}
