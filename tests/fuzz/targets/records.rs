//! The files of a run that people and programs write: recipes, descriptions, records. Values or an error.
#![no_main]

use ksdsl_train::Recipe;
use ksdsl_train::report::History;
use ksdsl_train::run::Description;
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(recipe) = serde_json::from_slice::<Recipe>(bytes) {
        let _ = recipe.check();
        let again = serde_json::to_vec(&recipe).expect("a recipe is JSON");
        let again: Recipe = serde_json::from_slice(&again).expect("what was written");
        assert_eq!(recipe, again);
    }
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["run.json", "steps.csv", "epochs.csv"] {
        fs::write(folder.path().join(name), bytes).expect("a file");
        let _ = Description::of(folder.path()).map_err(|error| error.to_string());
        let _ = History::read(folder.path()).map_err(|error| error.to_string());
        fs::remove_file(folder.path().join(name)).expect("the file");
    }
});
