//! `ksn new NAME`

use super::Status;
use super::output::Terminal;
use crate::project::{Origin, clone_in, files, own_clone};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The arguments of `ksn new`.
#[derive(clap::Args)]
pub(super) struct New {
    /// The name of the crate and of its folder
    name: String,
    /// The clone of KSDSL's repository that the crate depends on
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
}

impl New {
    /// Writes the crate.
    pub(super) fn run(&self, terminal: &Terminal) -> Status {
        let origin = match self.origin() {
            Ok(origin) => origin,
            Err(message) => return terminal.fail(&message),
        };
        let files = match files(&self.name, &origin) {
            Ok(files) => files,
            Err(error) => {
                let help =
                    "use a letter first, then letters, digits, `-` and `_`, and no word of Rust or of the language";
                terminal.complain(&error.to_string(), Some(help));
                return Status::Usage;
            }
        };
        if let Err(error) = write(Path::new(&self.name), &files) {
            return terminal.fail(&format!("cannot write {}: {error}", self.name));
        }
        if origin == Origin::Registry {
            let version = env!("CARGO_PKG_VERSION");
            terminal.warn(&format!(
                "the crate depends on version {version} of the crates of KSDSL from the registry; `--path FOLDER` makes it depend on a clone of the repository"
            ));
        }
        let name = &self.name;
        terminal.print(&format!(
            "created: {name}\ntrain its network: cd {name} && cargo run --release\ntest it: cd {name} && cargo test\n"
        ))
    }

    /// The clone that is given, or else the one that this command was installed from.
    fn origin(&self) -> Result<Origin, String> {
        match &self.path {
            None => Ok(own_clone().unwrap_or(Origin::Registry)),
            Some(path) => clone_in(path).ok_or_else(|| {
                let (path, version) = (path.display(), env!("CARGO_PKG_VERSION"));
                format!("{path} is no clone of KSDSL's repository in version {version}")
            }),
        }
    }
}

/// Writes the files into a folder that does not exist yet.
fn write(folder: &Path, files: &[(String, String)]) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        ksdsl_files::write(&path, text.as_bytes())?;
    }
    Ok(())
}
