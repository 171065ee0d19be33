//! Builds the emulator of CUDA's libraries, for the feature `emulator`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "emulator")]
    emulator::build();
}

#[cfg(feature = "emulator")]
mod emulator {
    use std::path::Path;
    use std::process::Command;
    use std::{env, fs};

    pub(crate) fn build() {
        println!("cargo:rerun-if-changed=emulator");
        let out = env::var("OUT_DIR").expect("a build script has OUT_DIR");
        let here = env::var("CARGO_MANIFEST_DIR").expect("a build script has CARGO_MANIFEST_DIR");
        let cache = Path::new(&out).join("kernels");
        fs::create_dir_all(&cache).expect("a folder for compiled kernels");
        let text = |name: &str| Some(format!("\"{name}\""));
        cc::Build::new()
            .cpp(true)
            .std("c++17")
            .opt_level(3)
            .file("emulator/emulator.cpp")
            .define("EMULATOR_CACHE", text(&cache.display().to_string()).as_deref())
            .define("EMULATOR_FOLDER", text(&format!("{here}/emulator")).as_deref())
            .define("DFDX_SOURCES", text(&dfdx_sources()).as_deref())
            .flag_if_supported("-fassociative-math")
            .flag_if_supported("-fno-signed-zeros")
            .flag_if_supported("-fno-trapping-math")
            .flag_if_supported("-march=native")
            .link_lib_modifier("+whole-archive")
            .try_compile("ksdsl_cuda_emulator")
            // Checks and lints need no emulator; linking the tests will fail.
            .unwrap_or_else(|error| println!("cargo:warning=the CUDA emulator was not built: {error}"));
    }

    /// The folder of dfdx's sources, some of whose kernels are compiled by nvcc otherwise.
    fn dfdx_sources() -> String {
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--offline", "--locked"])
            .output()
            .expect("cargo metadata");
        let text = String::from_utf8_lossy(&output.stdout);
        let manifests = text.split("\"manifest_path\":\"").skip(1);
        let mut paths = manifests
            .filter_map(|rest| rest.split_once("/Cargo.toml\""))
            .map(|(path, _)| path);
        let path = paths
            .find(|path| path.contains("/dfdx-0.13."))
            .expect("dfdx among the packages");
        format!("{path}/src")
    }
}
