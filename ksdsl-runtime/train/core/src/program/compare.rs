//! `compare`: compares several runs.

use super::Done;
use super::output::{note, print};
use crate::report::Comparison;
use clap::Args;
use comfy_table::presets::ASCII_MARKDOWN;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare runs: parameters, accuracy, training time, and a plot
#[derive(Args)]
pub struct Options {
    /// Run folders, or folders that contain run folders
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Write comparison.csv, comparison.svg and comparison.png to this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print only a Markdown table with the means over the runs of each network
    #[arg(long)]
    markdown: bool,
}

/// Runs the command.
///
/// # Errors
/// If a folder is no run, or a file cannot be written.
pub fn run(options: &Options) -> Done {
    let comparison = Comparison::read(folders(&options.runs)?)?;
    let mut networks = comparison.networks();
    if let Some(folder) = &options.out {
        comparison.save(folder)?;
        note(folder.join("comparison.svg").display());
    }
    if options.markdown {
        networks.load_style(ASCII_MARKDOWN);
        print(networks)?;
    } else {
        print(comparison.table())?;
        if comparison.groups().len() < comparison.runs.len() {
            print(format_args!("\n{networks}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The runs in these folders: the folder itself, or the run folders in it.
fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let is_run = |folder: &Path| folder.join("run.json").exists();
    let mut runs = Vec::new();
    for folder in given {
        if is_run(folder) {
            runs.push(folder.clone());
            continue;
        }
        let entries = fs::read_dir(folder).map_err(|error| format!("cannot read `{}`: {error}", folder.display()))?;
        let paths: Vec<PathBuf> = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_, std::io::Error>>()?;
        let mut inner: Vec<PathBuf> = paths.into_iter().filter(|path| is_run(path)).collect();
        if inner.is_empty() {
            return Err(format!("`{}` is not a run folder and contains none", folder.display()).into());
        }
        inner.sort();
        runs.append(&mut inner);
    }
    Ok(runs)
}
