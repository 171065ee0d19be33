//! The networks of a list such as `parity/nets.csv` for `parity_worker`, and the code that finds them by name.

use ksdsl::build::Config;
use ksdsl::spec::Spec;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{fs, io};

/// Compiles them and writes `parity_nets.rs`.
pub(crate) fn compile(out_dir: &Path, list: &str) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={list}");
    let rows = fs::read_to_string(list)?;
    // By file: the module of its networks, its text with the instances of the list.
    let mut files: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut nets = Vec::new();
    for (line, row) in rows.lines().enumerate().skip(1) {
        let [name, file, net, settings, double] = row.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("{list}: row {line} has not five cells").into());
        };
        if !files.contains_key(file) {
            let module = format!("parity_{}", Path::new(file).file_stem().unwrap_or_default().display());
            println!("cargo:rerun-if-changed=../{file}");
            files.insert(file.to_owned(), (module, specification(&Path::new("..").join(file))?));
        }
        let Some((module, text)) = files.get_mut(file) else {
            continue;
        };
        let instance = match settings {
            "" => net,
            settings => {
                writeln!(text, "net {name} = {net}({})", settings.replace(' ', ", "))?;
                name
            }
        };
        nets.push((name, file, module.clone(), instance, !double.is_empty()));
    }

    let mut config = Config::new().root(out_dir);
    let mut code = String::new();
    for (module, text) in files.values() {
        let file = format!("{module}.ksn");
        fs::write(out_dir.join(&file), text)?;
        config = config.file(file);
        writeln!(
            code,
            "#[allow(missing_docs)] mod {module} {{ ksdsl_runtime::include_generated!({module:?}); }}"
        )?;
    }
    // Cargo must not watch what this script writes.
    config.compile_to(&mut io::sink())?;
    for precision in ["f32", "f64"] {
        writeln!(
            code,
            "fn find_{precision}(name: &str) -> Option<Run<{precision}>> {{\n    Some(match name {{"
        )?;
        for (name, file, module, instance, _) in nets.iter().filter(|(.., double)| *double || precision == "f32") {
            let shapes = Spec::parse(file, &files[*file].1).network(instance).summary()?;
            writeln!(
                code,
                "        {name:?} => parity_outcome!({precision}: crate::{module}::{instance} {:?} -> {}),",
                shapes.input,
                shapes.output.iter().product::<u64>(),
            )?;
        }
        writeln!(code, "        _ => return None,\n    }})\n}}")?;
    }
    fs::write(out_dir.join("parity_nets.rs"), code)?;
    Ok(())
}

/// A specification without its dropout and noise, whose numbers no two systems share.
/// `parity/parity.py` does the same.
fn specification(path: &Path) -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    // What these draw, each system draws differently.
    ["dropout(", "stochastic_depth(", "noise("]
        .iter()
        .try_fold(text, |text, call| {
            let mut parts = text.split(call);
            let mut without = parts.next().unwrap_or_default().to_owned();
            for part in parts {
                let (_, rest) = part.split_once(')').ok_or_else(|| format!("{call} without )"))?;
                write!(without, "{call}0){rest}")?;
            }
            Ok(without)
        })
}
