//! The book's page `recipes.md` has every key that serde writes, with its default and the range that
//! [`ksdsl_train::Recipe::check`] takes, and no other.

use ksdsl_train::Recipe;
use ksdsl_train::iterations::Iterations;
use ksdsl_train::json;
use ksdsl_train::optim::{AdamW, Averaging, Method, Sgd, Statistics};
use ksdsl_train::recipe::ExitTargets;
use ksdsl_train::schedule::{OneCycle, Schedule, WarmUp};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A row: the default and the range.
type Rows = BTreeMap<String, (String, String)>;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/src/recipes.md")).unwrap()
}

/// The rows of the table under a heading.
fn rows(page: &str, heading: &str) -> Rows {
    let (_, rest) = page.split_once(&format!("# {heading}\n")).unwrap();
    let section = rest.split("\n#").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        (cells[1].to_owned(), (cells[3].to_owned(), cells[4].to_owned()))
    };
    lines.map(row).collect()
}

/// Every recipe whose objects the page has a table for: its heading, where the object is, and whether it has defaults.
fn tables() -> Vec<(&'static str, &'static str, bool, Recipe)> {
    let base = Recipe::default;
    let method = |method: Method| Recipe { method, ..base() };
    let schedule = |schedule: Schedule| Recipe { schedule, ..base() };
    let (warm_up, average) = (
        WarmUp {
            epochs: 1.0,
            first: 0.1,
        },
        Averaging {
            decay: 0.9,
            statistics: Statistics::Copied,
        },
    );
    let steps = Schedule::MultiStep {
        epochs: vec![1, 2],
        factor: 0.5,
    };
    vec![
        ("`sgd`", "method", true, method(Sgd::default().into())),
        ("`adam_w`", "method", true, method(AdamW::default().into())),
        ("`constant`", "schedule", true, schedule(Schedule::Constant)),
        ("`multi_step`", "schedule", false, schedule(steps)),
        ("`cosine`", "schedule", false, schedule(Schedule::Cosine { last: 0.1 })),
        (
            "`one_cycle`",
            "schedule",
            true,
            schedule(Schedule::OneCycle(OneCycle::default())),
        ),
        (
            "`warm_up`",
            "warm_up",
            false,
            Recipe {
                warm_up: Some(warm_up),
                ..base()
            },
        ),
        (
            "`average`",
            "average",
            false,
            Recipe {
                average: Some(average),
                ..base()
            },
        ),
        (
            "`exit_targets`",
            "exit_targets",
            false,
            Recipe {
                exit_targets: Some(ExitTargets {
                    slope: 50.0,
                    threshold: 0.005,
                }),
                ..base()
            },
        ),
        (
            "`log_normal_poisson`",
            "iterations",
            false,
            Recipe {
                iterations: Some(Iterations::LogNormalPoisson { mean: 32.0, sigma: 0.5 }),
                ..base()
            },
        ),
    ]
}

/// The number or text of a cell as JSON.
fn parsed(default: &str) -> Value {
    serde_json::from_str(default).unwrap_or_else(|_| panic!("`{default}` is no JSON"))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// Whether every value of the recipe at `path`, changed alone, is refused with the words of its row or taken.
fn ranges_hold(recipe: &Recipe, at: &str, key: &str, range: &str) {
    let whole = serde_json::to_value(recipe).unwrap();
    let path = if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    };
    let pointer = format!("/{}", path.replace('.', "/"));
    let mut refused = 0;
    for tried in ["-1", "0", "0.5", "1", "2", "1000000", "[2,1]", "[-1,0]", "[0.5,1.5]"] {
        let mut changed = whole.clone();
        *changed.pointer_mut(&pointer).unwrap() = parsed(tried);
        let Ok(changed) = serde_json::from_value::<Recipe>(changed) else {
            continue;
        };
        let Err(unfit) = changed.check() else { continue };
        assert!(path.starts_with(unfit.name), "`{path}` = {tried}: {unfit}");
        assert_eq!(range, unfit.expected, "the range of `{path}`");
        refused += 1;
    }
    assert_eq!(refused == 0, range.is_empty(), "the range of `{path}` is `{range}`");
}

#[test]
fn the_page_has_every_key() {
    let (page, recipe) = (page(), Recipe::default());
    let whole = serde_json::to_value(&recipe).unwrap();
    let rows = rows(&page, "Keys");
    let mut keys = Vec::new();
    for (key, value) in object(&whole) {
        match value {
            Value::Object(inner) if key == "augment" => {
                keys.extend(inner.keys().map(|inner| format!("augment.{inner}")))
            }
            _ => keys.push(key.clone()),
        }
    }
    keys.sort();
    assert!(rows.keys().eq(&keys), "{:?} are not {keys:?}", rows.keys());
    for (key, (default, range)) in &rows {
        let value = whole.pointer(&format!("/{}", key.replace('.', "/"))).unwrap();
        match value.get("kind") {
            Some(kind) => assert!(default.starts_with(&format!("[`{}`]", kind.as_str().unwrap())), "{key}"),
            None => assert_eq!(&parsed(default), value, "the default of `{key}`"),
        }
        // `null` is tried with the objects' own tables.
        if !value.is_object() && !["warm_up", "average", "exit_targets", "iterations"].contains(&key.as_str()) {
            ranges_hold(&recipe, "", key, range);
        }
    }
}

#[test]
fn the_page_has_every_key_of_optimisers_and_schedules() {
    let page = page();
    for (heading, at, has_defaults, recipe) in tables() {
        let whole = serde_json::to_value(&recipe).unwrap();
        let value = object(&whole[at]);
        if let Some(kind) = value.get("kind") {
            assert_eq!(heading, format!("`{}`", kind.as_str().unwrap()));
        }
        let rows = rows(&page, heading);
        let mut keys: Vec<&String> = value.keys().filter(|key| *key != "kind").collect();
        keys.sort();
        assert!(
            rows.keys().eq(keys.iter().copied()),
            "{heading}: {:?} are not {keys:?}",
            rows.keys()
        );
        for (key, (default, range)) in &rows {
            match has_defaults {
                true => assert_eq!(parsed(default), value[key], "the default of `{key}` of {heading}"),
                false => assert_eq!(default, "required"),
            }
            ranges_hold(&recipe, at, key, range);
        }
    }
}

#[test]
fn the_examples_of_the_page_are_recipes() {
    let page = page();
    let blocks = page
        .split("```json\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let recipes: Vec<Recipe> = blocks.map(|text| json::from_slice(text.as_bytes()).unwrap()).collect();
    assert_eq!(recipes.len(), 2);
    assert_eq!(recipes[0], Recipe::default());
    assert!(recipes.iter().all(|recipe| recipe.check().is_ok()));
}
