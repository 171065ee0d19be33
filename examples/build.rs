//! Compiles the example nets to Rust.

fn main() -> std::process::ExitCode {
    ksdsl::build::Config::new().dir("nets").compile()
}
