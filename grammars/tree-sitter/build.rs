//! Compiles the parser that `tree-sitter generate` has made of `grammar.js`.

fn main() {
    let files = ["src/parser.c", "src/scanner.c"];
    cc::Build::new()
        .std("c11")
        .include("src")
        .warnings(false)
        .files(files)
        .compile("tree-sitter-ksn");
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
}
