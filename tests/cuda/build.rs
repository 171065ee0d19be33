//! Builds the emulator of CUDA's libraries, for the feature `emulator`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "emulator")]
    if let Err(error) = emulator::build() {
        // Checks and lints need no emulator; linking the tests will fail. A file that is never there makes cargo
        // run this script again the next time.
        println!("cargo:rerun-if-changed=emulator/retry");
        println!(
            "cargo:warning=the CUDA emulator was not built: {}",
            error.replace('\n', " ")
        );
    }
}

#[cfg(feature = "emulator")]
mod emulator {
    use serde_json::Value;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::{env, fs};

    pub(crate) fn build() -> Result<(), String> {
        println!("cargo:rerun-if-changed=emulator");
        let here = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("emulator");
        let cache = Path::new(&variable("OUT_DIR")?).join("kernels");
        fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
        let sources = dfdx_sources()?;
        // The tests read them: if cargo keeps its packages somewhere else by then, this script runs again.
        println!("cargo:rerun-if-changed={}", sources.display());
        let mut compiler = cc::Build::new();
        for (name, folder) in [
            ("EMULATOR_CACHE", cache),
            ("EMULATOR_FOLDER", here),
            ("DFDX_SOURCES", sources),
        ] {
            compiler.define(name, Some(format!("\"{}\"", folder.display()).as_str()));
        }
        compiler
            .cpp(true)
            .std("c++17")
            .opt_level(3)
            .file("emulator/emulator.cpp")
            .flag_if_supported("-fassociative-math")
            .flag_if_supported("-fno-signed-zeros")
            .flag_if_supported("-fno-trapping-math")
            .flag_if_supported("-march=native")
            .link_lib_modifier("+whole-archive")
            .try_compile("ksdsl_cuda_emulator")
            .map_err(|error| error.to_string())
    }

    fn variable(name: &str) -> Result<String, String> {
        env::var(name).map_err(|error| format!("{name}: {error}"))
    }

    /// The folder of dfdx's sources, some of whose kernels are compiled by nvcc otherwise.
    ///
    /// Cargo may have to download for this: its answer covers all members of the workspace, and a build of this
    /// crate needs only some of their packages. Without `--filter-platform` it would cover other systems' as well.
    fn dfdx_sources() -> Result<PathBuf, String> {
        let output = Command::new(variable("CARGO")?)
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
            .arg(variable("TARGET")?)
            .output()
            .map_err(|error| format!("cargo metadata: {error}"))?;
        if !output.status.success() {
            return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let mut packages = metadata["packages"].as_array().into_iter().flatten();
        let dfdx = packages.find(|package| package["name"] == "dfdx");
        let manifest = dfdx.and_then(|package| package["manifest_path"].as_str());
        let folder = manifest.and_then(|manifest| Path::new(manifest).parent());
        Ok(folder.ok_or("cargo metadata: no package `dfdx`")?.join("src"))
    }
}
