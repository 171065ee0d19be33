//! Compiles C and runs it with the sanitizers.

use ksdsl::export::c;
use ksdsl::steps::Program;
use std::path::Path;
use std::process::Command;

const FLAGS: &[&str] = &["-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror"];

/// Whether there is such a compiler.
fn has(compiler: &str) -> bool {
    let found = Command::new(compiler).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: there is no `{compiler}`");
    }
    found
}

/// Compiles C files in a folder to a program.
fn compiled(folder: &Path, compiler: &str, more: &[&str], files: &[&str], program: &str) {
    let output = Command::new(compiler)
        .current_dir(folder)
        .args(FLAGS)
        .args(more)
        .args(files)
        .args(["-o", program, "-lm"])
        .output()
        .expect("a compiler");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{compiler}: {}",
        &errors[..errors.len().min(2000)]
    );
}

/// A program that reads the inputs of each network and writes its outputs.
fn driver(units: &[(String, &Program)], element: &str) -> String {
    let mut text = "#include <stdio.h>\n".to_owned();
    for (name, program) in units {
        text.push_str(&format!("#include \"{name}.h\"\n"));
        let len = |port: &ksdsl::steps::Port| program.buffers[port.buffer].len();
        let (mut args, mut arrays, mut read, mut write) = (Vec::new(), String::new(), String::new(), String::new());
        for (what, ports) in [("x", &program.inputs), ("y", &program.outputs)] {
            for (at, port) in ports.iter().enumerate() {
                let array = format!("{what}{at}");
                arrays.push_str(&format!("    static {element} {name}_{array}[{}];\n", len(port)));
                let io = |function: &str, file: &str| {
                    format!(
                        "    if ({function}({name}_{array}, sizeof({element}), {0}, {file}) != {0}) return 1;\n",
                        len(port)
                    )
                };
                match what {
                    "x" => read.push_str(&io("fread", "stdin")),
                    _ => write.push_str(&io("fwrite", "stdout")),
                }
                args.push(format!("{name}_{array}"));
            }
        }
        // Twice, because the second run finds what the first left in the arena.
        let call = format!("    {name}_run({});\n", args.join(", "));
        text.push_str(&format!(
            "static int run_{name}(void)\n{{\n{arrays}{read}{call}{call}{write}    return 0;\n}}\n"
        ));
    }
    text.push_str("int main(void)\n{\n");
    for (name, _) in units {
        text.push_str(&format!("    if (run_{name}()) return 1;\n"));
    }
    text + "    return 0;\n}\n"
}

/// Compiles units with each compiler there is, and runs them with the sanitizers.
pub(super) fn run_units(units: &[(String, &Program, c::Unit)], element: &str, input: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = Vec::new();
    for (name, _, unit) in units {
        let text = unit.files(&format!("{name}.h"), &["A test, with */ in it.".to_owned()]);
        std::fs::write(folder.path().join(format!("{name}.c")), text.source).expect("a file");
        std::fs::write(folder.path().join(format!("{name}.h")), text.header).expect("a file");
        files.push(format!("{name}.c"));
    }
    let names: Vec<(String, &Program)> = units
        .iter()
        .map(|(name, program, _)| (name.clone(), *program))
        .collect();
    std::fs::write(folder.path().join("main.c"), driver(&names, element)).expect("a file");
    files.push("main.c".to_owned());
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    if has("clang") {
        compiled(folder.path(), "clang", &["-O0"], &files, "plain");
    }
    if !has("cc") {
        return None;
    }
    compiled(
        folder.path(),
        "cc",
        &["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover"],
        &files,
        "checked",
    );
    let mut child = Command::new(folder.path().join("checked"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program");
    let mut stdin = child.stdin.take().expect("stdin");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("outputs");
    assert!(output.status.success(), "{:?}", output.status);
    writer.join().expect("a writer").expect("all inputs are read");
    Some(output.stdout)
}

/// Flash and RAM of a unit on a Cortex-M4, as `arm-none-eabi-size` has them, if there is the compiler.
pub(super) fn size_on_cortex_m4(unit: &c::Unit) -> Option<[usize; 2]> {
    if !has("arm-none-eabi-gcc") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let text = unit.files("net.h", &[]);
    std::fs::write(folder.path().join("net.c"), text.source).expect("a file");
    std::fs::write(folder.path().join("net.h"), text.header).expect("a file");
    let chip = [
        "-Os",
        "-mcpu=cortex-m4",
        "-mthumb",
        "-mfloat-abi=hard",
        "-mfpu=fpv4-sp-d16",
    ];
    compiled(
        folder.path(),
        "arm-none-eabi-gcc",
        &[&chip[..], &["-c"]].concat(),
        &["net.c"],
        "net.o",
    );
    let mut size = Command::new("arm-none-eabi-size");
    let output = size.current_dir(folder.path()).arg("net.o").output().expect("sizes");
    let text = String::from_utf8(output.stdout).expect("text");
    let row = text.lines().nth(1).expect("a row after the heads").split_whitespace();
    let sizes: Vec<usize> = row.take(3).map(|size| size.parse().expect("bytes")).collect();
    Some([sizes[0] + sizes[1], sizes[1] + sizes[2]])
}
