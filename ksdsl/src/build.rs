//! Build script support: compiles `.ksn` files to Rust files in `OUT_DIR`.
//!
//! ```no_run
//! // build.rs
//! fn main() -> std::process::ExitCode {
//!     ksdsl::build::compile(["models/small.ksn"])
//! }
//! ```
//!
//! The crate includes the result with `ksdsl_runtime::include_generated!("small");`, short for
//! `include!(concat!(env!("OUT_DIR"), "/small.rs"))`. An error in a file fails the build with file, line
//! and column; then nothing is written.

mod outputs;

use crate::codegen::{self, Runtime};
use crate::compile::{Options, compile as compile_source};
use crate::diag::Severity;
use crate::render::render;
use crate::source::Source;
use crate::spec::read_source_as;
use proc_macro2::TokenStream;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compiles `.ksn` files in a build script; see [`Config`] for more options.
///
/// Paths are relative to the folder of the crate's `Cargo.toml`.
pub fn compile<P: AsRef<Path>>(files: impl IntoIterator<Item = P>) -> ExitCode {
    files
        .into_iter()
        .fold(Config::new(), |config, file| config.file(file))
        .compile()
}

/// The configuration of a build script: inputs and output folder.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     ksdsl::build::Config::new().file("nets/small.ksn").dir("models").compile()
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    files: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
    /// Sources that the script writes, by the names of their outputs.
    texts: Vec<(PathBuf, String)>,
    root: Option<PathBuf>,
    out_dir: Option<PathBuf>,
    runtime: Option<String>,
}

impl Config {
    /// An empty configuration.
    pub fn new() -> Self {
        Config::default()
    }

    /// Adds a file; `models/small.ksn` becomes `small.rs`.
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.files.push(path.as_ref().to_owned());
        self
    }

    /// Adds all `.ksn` files directly in a folder, including ones added later.
    pub fn dir(mut self, path: impl AsRef<Path>) -> Self {
        self.dirs.push(path.as_ref().to_owned());
        self
    }

    /// Adds a source that the script has written: `text("sizes", ...)` becomes `sizes.rs`. Its imports are relative to
    /// the folder that paths are relative to.
    ///
    /// ```no_run
    /// let nets = "use \"nets/vit.ksn\"\nnet small = vit(depth = 2)\nnet large = vit(depth = 12)\n";
    /// ksdsl::build::Config::new().text("sizes", nets).compile();
    /// ```
    pub fn text(mut self, name: &str, text: impl Into<String>) -> Self {
        self.texts
            .push((PathBuf::from(name).with_extension("ksn"), text.into()));
        self
    }

    /// Sets the folder that paths are relative to, instead of that of the crate's `Cargo.toml`.
    pub fn root(mut self, path: impl AsRef<Path>) -> Self {
        self.root = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the output folder, instead of cargo's `OUT_DIR`.
    pub fn out_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.out_dir = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the name of the runtime in the crate, if its `Cargo.toml` renames it: `ks` for
    /// `ks = { package = "ksdsl-runtime", ... }`.
    pub fn runtime_path(mut self, path: impl Into<String>) -> Self {
        self.runtime = Some(path.into());
        self
    }

    /// Compiles everything, prints cargo directives to standard output and errors to standard error; returns the exit
    /// code for the build script's `main`.
    pub fn compile(&self) -> ExitCode {
        match self.compile_to(&mut io::stdout()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = writeln!(io::stderr(), "{failure}");
                ExitCode::FAILURE
            }
        }
    }

    /// As [`Config::compile`], for build scripts that do more: writes cargo directives to `cargo` and returns
    /// errors.
    ///
    /// All files are compiled before any is written; each is replaced atomically, unchanged files are not touched.
    /// Then stale outputs of earlier builds are removed: those whose `.ksn` file no longer exists or is no longer
    /// compiled.
    pub fn compile_to(&self, cargo: &mut dyn Write) -> Result<(), Failure> {
        let out_dir = match (&self.out_dir, std::env::var_os("OUT_DIR")) {
            (Some(dir), _) => dir.clone(),
            (None, Some(dir)) => PathBuf::from(dir),
            (None, None) => {
                return Err(Failure::new(
                    "OUT_DIR is not set: call this from a build script that cargo runs",
                ));
            }
        };
        let runtime = self.runtime()?;
        let files = self.all_files(cargo)?;
        let mut failure = Failure::default();
        let mut outputs = BTreeMap::new();
        let root = self.root.clone().unwrap_or_default();
        let texts = self.texts.iter();
        let texts = texts.map(|(name, text)| (name, Ok(Source::in_folder(name.to_string_lossy(), text, &root))));
        let sources = files.iter().map(|file| (file, read(&self.rooted(file), file)));
        for (name, source) in sources.chain(texts) {
            match source.and_then(|source| generate(&source, &runtime, cargo)) {
                Ok(text) => failure.extend(add_output(&mut outputs, name, text)),
                Err(problem) => failure.extend(Some(problem)),
            }
        }
        if !failure.problems.is_empty() {
            return Err(failure);
        }
        let mut written = BTreeSet::new();
        for (name, (file, text)) in &outputs {
            let by_script = self.texts.iter().any(|(name, _)| name == file);
            let header = match by_script {
                true => outputs::header_of_text(file),
                false => outputs::header(&out_dir, file, &self.rooted(file)),
            };
            outputs::write_if_changed(&out_dir.join(name), &(header + text))?;
            written.insert(name.clone());
        }
        // A folder of the user's choice may serve others as well.
        let private = self.out_dir.is_none().then(|| self.rooted(Path::new(".")));
        outputs::remove_stale(&out_dir, private.as_deref(), &written)
    }

    fn runtime(&self) -> Result<Runtime, Failure> {
        let Some(path) = &self.runtime else {
            return Ok(Runtime::default());
        };
        let tokens = path.parse::<TokenStream>().unwrap_or_default();
        Runtime::at(tokens).map_err(|_| Failure::new(format!("`runtime_path`: `{path}` is not the path of a crate")))
    }

    /// The files of the lists and the folders, each once; cargo is told to watch them first of all,
    /// so that mending a mistake starts the script again.
    fn all_files(&self, cargo: &mut dyn Write) -> Result<Vec<PathBuf>, Failure> {
        let mut files = self.files.clone();
        for dir in &self.dirs {
            watch(cargo, &self.rooted(dir))?;
            files.extend(self.files_in(dir)?);
        }
        let mut seen = std::collections::HashSet::new();
        files.retain(|file| seen.insert(file.clone()));
        for file in &files {
            watch(cargo, &self.rooted(file))?;
        }
        Ok(files)
    }

    fn files_in(&self, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
        let fail = |error: io::Error| Failure::new(format!("cannot read the folder `{}`: {error}", dir.display()));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(self.rooted(dir)).map_err(fail)? {
            let name = PathBuf::from(entry.map_err(fail)?.file_name());
            if name.extension().is_some_and(|extension| extension == "ksn") {
                files.push(dir.join(name));
            }
        }
        files.sort();
        Ok(files)
    }

    fn rooted(&self, path: &Path) -> PathBuf {
        self.root
            .as_ref()
            .map_or_else(|| path.to_owned(), |root| root.join(path))
    }
}

/// The Rust text of a source; what it imports and its warnings go to cargo.
fn generate(source: &Source, runtime: &Runtime, cargo: &mut dyn Write) -> Result<String, String> {
    for path in source.imported() {
        watch(cargo, path).map_err(|failure| failure.to_string())?;
    }
    let compilation = compile_source(source, &Options::default());
    if compilation.has_errors() {
        return Err(render(source, &compilation.diagnostics, false));
    }
    for warning in &compilation.diagnostics {
        debug_assert_eq!(warning.severity, Severity::Warning);
        let at = warning.primary.span.range().start;
        let (line, column) = source.line_column(at);
        let help = warning.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
        let place = format!("{}:{line}:{column}", source.name_at(at));
        let text = format!("{place}: {}: {}{help}", warning.code, warning.message);
        tell(cargo, "warning", &text.replace('\n', " ")).map_err(|failure| failure.to_string())?;
    }
    // One by one: tokens take far more memory than text.
    let modules = compilation.networks.iter();
    let modules = modules.map(|network| codegen::network_on(network, runtime));
    Ok(modules.map(codegen::format).collect())
}

/// A build failure: one message per problem. `Debug` equals `Display`, so that returning it from `main` prints
/// it readably.
#[derive(Default)]
pub struct Failure {
    problems: Vec<String>,
}

impl Failure {
    fn new(problem: impl Into<String>) -> Self {
        Failure {
            problems: vec![problem.into()],
        }
    }

    fn extend(&mut self, problem: Option<String>) {
        self.problems.extend(problem);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n\n"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the networks cannot be compiled\n\n{self}")
    }
}

impl std::error::Error for Failure {}

/// Reads a source, called in messages as the build script calls it.
fn read(path: &Path, name: &Path) -> Result<Source, String> {
    let name = name.to_string_lossy().replace('\\', "/");
    read_source_as(path, &name).map_err(|error| error.to_string())
}

/// Files by their names in `OUT_DIR`, each with the file it comes from.
type Outputs<'f> = BTreeMap<PathBuf, (&'f Path, String)>;

/// Adds an output; two files of one name in different folders would overwrite each other.
fn add_output<'f>(outputs: &mut Outputs<'f>, file: &'f Path, text: String) -> Option<String> {
    let name = PathBuf::from(file.file_stem()?).with_extension("rs");
    let clash = outputs.get(&name).map(|(first, _)| {
        format!(
            "`{}` and `{}` would both be written to `{}`: rename one of them",
            first.display(),
            file.display(),
            name.display()
        )
    });
    outputs.entry(name).or_insert((file, text));
    clash
}

fn watch(cargo: &mut dyn Write, path: &Path) -> Result<(), Failure> {
    tell(cargo, "rerun-if-changed", &path.display().to_string())
}

fn tell(cargo: &mut dyn Write, what: &str, value: &str) -> Result<(), Failure> {
    writeln!(cargo, "cargo:{what}={value}").map_err(|error| Failure::new(format!("cannot write to cargo: {error}")))
}
