//! The networks that are compiled into the program.

use ksdsl_examples::catalog;
use ksdsl_examples::data::{Kind, Sets};
use ksdsl_examples::device::prepare;
use ksdsl_examples::entry::Entry;
use ksdsl_train::run::Description;
use ksdsl_train_core::program::device::{Place, Precision};
use ksdsl_train_core::program::{Net, Program};
use std::error::Error;

const IMAGES: &str = "the networks of this program are classifiers of images: train language models and solvers of puzzles with `ksn train`";

/// The program, and the networks that are chosen on the command line.
#[derive(Default)]
pub(crate) struct Nets {
    /// Names of networks or families; none for the first family for the data set.
    pub(crate) net: Vec<String>,
}

impl Program for Nets {
    fn name(&self) -> &'static str {
        "nets"
    }

    fn networks(&self, data: &Sets) -> Result<Vec<Box<dyn Net>>, Box<dyn Error>> {
        let Sets::Images(data) = data else {
            return Err(IMAGES.into());
        };
        let data = data.training.sizes();
        let entries = catalog::entries_for(data);
        let first = entries.first().map(|entry| entry.family().to_owned());
        let asked: Vec<String> = if self.net.is_empty() {
            first.into_iter().collect()
        } else {
            self.net.clone()
        };
        let mut chosen: Vec<Box<dyn Net>> = Vec::new();
        for name in &asked {
            let is_asked = |entry: &&Entry| entry.facts().name == *name || entry.family() == name;
            let before = chosen.len();
            for entry in entries.iter().filter(is_asked) {
                chosen.push(Box::new(entry.clone()));
            }
            if chosen.len() == before {
                return Err(format!(
                    "no network `{name}` for this data set ({data}); available: {}; use --data to choose another data set",
                    names(&entries)
                )
                .into());
            }
        }
        Ok(chosen)
    }

    fn of_run(&self, run: &Description) -> Result<Box<dyn Net>, Box<dyn Error>> {
        let (name, entries) = (&run.network, catalog::entries());
        let available = names(&entries);
        let found = entries.into_iter().find(|entry| entry.facts().name == *name);
        match found {
            Some(entry) => Ok(Box::new(entry)),
            None => Err(format!("no network `{name}`; available: {available}").into()),
        }
    }

    /// That of the networks for colour images.
    fn picture_size(&self) -> [usize; 3] {
        [3, 32, 32]
    }

    fn accepts(&self, data: &Kind) -> Result<(), String> {
        match data {
            Kind::Cifar100(_) if cfg!(not(feature = "cifar")) => {
                Err("networks for CIFAR-100 need the feature `cifar`: cargo run --features cifar ...".to_owned())
            }
            Kind::Text(_) | Kind::Sudoku(_) => Err(IMAGES.to_owned()),
            _ => Ok(()),
        }
    }

    fn prepare(&self, place: Place, precision: Precision) -> Result<(), Box<dyn Error>> {
        prepare(place, precision)
    }
}

fn names(entries: &[Entry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.facts().name.as_str()).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}
