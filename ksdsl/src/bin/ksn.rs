//! The command `ksn`: check, summarise and expand networks written in KSDSL.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ksdsl::cli::main()
}
