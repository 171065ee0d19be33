//! Every network's picture.

use super::picture::{Bounds, Leaf, Picture};
use super::{drawn, light, networks, read};
use ksdsl::diagram::Options;
use ksdsl::ir::Network;
use ksdsl::summary::Summary;
use std::collections::{BTreeMap, BTreeSet};

/// Texts stand in their boxes and in the picture, not on each other, and no line crosses them.
pub(super) fn nothing_is_hidden(name: &str, picture: &Picture) {
    let [width, height] = picture.size;
    let whole = super::picture::Bounds([0.0, 0.0, width, height]);
    for text in &picture.texts {
        assert!(whole.contains(&text.bounds), "{name}: {text:?} is outside");
        let is_in_box = text
            .class
            .split(' ')
            .any(|class| ["layer", "join", "frame", "tag"].contains(&class));
        let inside = text.boxes.iter().any(|area| area.contains(&text.bounds));
        assert!(!is_in_box || inside, "{name}: {text:?} leaves its box");
        for line in &picture.lines {
            assert!(!line.overlaps(&text.bounds), "{name}: {line:?} crosses {text:?}");
        }
    }
    for (at, text) in picture.texts.iter().enumerate() {
        for other in &picture.texts[at + 1..] {
            assert!(!text.bounds.overlaps(&other.bounds), "{name}: {text:?} and {other:?}");
        }
        for leaf in &picture.leaves {
            let overlaps = leaf.bounds.overlaps(&text.bounds);
            assert!(
                !overlaps || leaf.bounds.contains(&text.bounds),
                "{name}: {leaf:?} on {text:?}"
            );
        }
    }
    for (at, leaf) in picture.leaves.iter().enumerate() {
        for other in &picture.leaves[at + 1..] {
            assert!(!leaf.bounds.overlaps(&other.bounds), "{name}: {leaf:?} and {other:?}");
        }
    }
}

/// Paths that a pattern such as `s1[0..4].conv` stands for.
fn expanded(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once("..") else {
        return vec![pattern.to_owned()];
    };
    let (head, from) = before.rsplit_once('[').expect("a bracket");
    let (to, tail) = rest.split_once(']').expect("a bracket");
    let [from, to] = [from, to].map(|number| number.parse::<u32>().expect("an index"));
    (from..to)
        .flat_map(|index| expanded(&format!("{head}[{index}]{tail}")))
        .collect()
}

/// The paths of the layers of a box: the lines above the one with the shapes.
fn paths(leaf: &Leaf) -> Vec<String> {
    let lines = leaf.title.lines().take_while(|line| !line.contains('\u{2192}'));
    lines.flat_map(expanded).collect()
}

/// Each layer of the summary is in one box, which says how many it stands for.
pub(super) fn shows_every_layer(name: &str, picture: &Picture, network: &Network) {
    let summary = Summary::new(network, 1);
    assert_eq!(picture.layers(), summary.layers.len(), "{name}");
    let mut shown: Vec<String> = Vec::new();
    for leaf in picture.leaves.iter().filter(|leaf| leaf.layers > 0) {
        let paths = paths(leaf);
        assert_eq!(paths.len(), leaf.layers, "{name}: {leaf:?}");
        shown.extend(paths);
    }
    let mut expected: Vec<String> = summary.layers.iter().map(|layer| layer.path.clone()).collect();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected, "{name}");
}

/// The kernels of a box, one for each layer that it stands for.
fn kernels(leaf: &Leaf) -> Vec<&str> {
    let lists = leaf.title.lines().filter_map(|line| line.strip_prefix("shared "));
    lines_of(lists, leaf.layers)
}

fn lines_of<'l>(lists: impl Iterator<Item = &'l str>, layers: usize) -> Vec<&'l str> {
    lists
        .flat_map(|list| {
            let (_, names) = list.split_once(": ").expect("names");
            match names.split(' ').collect::<Vec<_>>().as_slice() {
                [only] => vec![*only; layers],
                all => all.to_vec(),
            }
        })
        .collect()
}

/// The legend has each shared kernel of the summary, with its visits, and so have the boxes.
pub(super) fn shows_every_visit(name: &str, picture: &Picture, network: &Network) {
    let summary = Summary::new(network, 1);
    let entries: Vec<(&str, usize)> = picture.kernels.iter().map(|k| (k.name.as_str(), k.visits)).collect();
    let expected: Vec<(&str, usize)> = summary
        .groups
        .iter()
        .map(|g| (g.name.as_str(), g.visits.len()))
        .collect();
    assert_eq!(entries, expected, "{name}");
    let mut visits: BTreeMap<&str, usize> = BTreeMap::new();
    for leaf in &picture.leaves {
        let classes: BTreeSet<&str> = leaf.class.split(' ').collect();
        for kernel in kernels(leaf) {
            *visits.entry(kernel).or_default() += 1;
            assert!(kernel == "own" || classes.contains(kernel), "{name}: {leaf:?}");
        }
    }
    for kernel in &picture.kernels {
        assert_eq!(
            visits.get(kernel.label.as_str()),
            Some(&kernel.visits),
            "{name}: {kernel:?}"
        );
    }
}

#[test]
fn every_network_is_shown() {
    for (name, network) in networks() {
        // Drawing takes most of the time, so a picture is drawn once for all that it must show.
        let picture = read(&network);
        nothing_is_hidden(&name, &picture);
        shows_every_layer(&name, &picture, &network);
        shows_every_visit(&name, &picture, &network);
        tells_kernels_apart(&name, &picture);
    }
}

/// From a kernel's label, lines of its colour lead to each box that visits it, unless there are more than twelve kernels.
fn lines_reach_every_visit(name: &str, picture: &Picture) {
    if picture.kernels.len() > 12 {
        assert!(picture.visits.is_empty(), "{name}");
        return;
    }
    assert_eq!(picture.visits.len(), picture.kernels.len(), "{name}");
    for (kernel, visits) in picture.kernels.iter().zip(&picture.visits) {
        assert_eq!(visits.label, kernel.label, "{name}");
        assert_eq!(visits.colour.as_ref(), Some(&kernel.colour), "{name}");
        let visiting = picture.leaves.iter();
        let visiting: Vec<&Leaf> = visiting
            .filter(|leaf| leaf.class.split(' ').any(|class| class == kernel.label))
            .collect();
        assert_eq!(visits.ends.len(), visiting.len(), "{name}: {visits:?}");
        for leaf in visiting {
            let [left, top, _, bottom] = leaf.bounds.0;
            let reaches = |end: &Bounds| {
                let [a, b, c, d] = end.0;
                let is_at = (a + c) / 2.0 - left < 0.1 && left - (a + c) / 2.0 < 0.1 && top < b && d < bottom;
                is_at && visits.lines.iter().any(|line| line.overlaps(end))
            };
            assert!(visits.ends.iter().any(reaches), "{name}: no line to {leaf:?}");
        }
        let [left, top, _, bottom] = kernel.bounds.0;
        let label = Bounds([left - 1.0, top, left + 1.0, bottom]);
        assert!(
            visits.lines.iter().any(|line| line.overlaps(&label)),
            "{name}: no line from {kernel:?}"
        );
    }
}

#[test]
fn lines_lead_from_kernels_to_their_visits() {
    for (name, network) in networks() {
        for depth in [0, 1, usize::MAX] {
            let picture = Picture::read(&drawn(&network, &Options { depth, ..light() }));
            lines_reach_every_visit(&format!("{name} at depth {depth}"), &picture);
        }
    }
}

/// A label and, of the first eight, a colour of its own.
fn tells_kernels_apart(name: &str, picture: &Picture) {
    let labels: BTreeSet<&str> = picture.kernels.iter().map(|kernel| kernel.label.as_str()).collect();
    assert_eq!(labels.len(), picture.kernels.len(), "{name}");
    let first = picture.kernels.iter().take(8);
    let colours: BTreeSet<&str> = first.clone().map(|kernel| kernel.colour.as_str()).collect();
    assert_eq!(colours.len(), first.count(), "{name}");
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    for (name, network) in networks().take(20) {
        let options = Options::default();
        assert!(drawn(&network, &options) == drawn(&network, &options), "{name}");
    }
}

/// Closed boxes stand for all layers in them, and nothing is hidden there, either.
#[test]
fn every_network_is_shown_at_a_depth() {
    for (name, network) in networks() {
        for depth in [0, 1, 2] {
            let name = format!("{name} at depth {depth}");
            let picture = Picture::read(&drawn(&network, &Options { depth, ..light() }));
            nothing_is_hidden(&name, &picture);
            assert_eq!(picture.layers(), network.layers.len(), "{name}");
        }
    }
}

/// A picture of one layer, in which the second text stands at `y`.
fn written(x: f64, y: f64) -> Picture {
    Picture::read(&format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='300' height='200'>\
         <g class='layer' data-layers='1'><rect x='10' y='10' width='100' height='20'/>\
         <text x='20' y='24' font-size='12'>conv</text></g>\
         <g class='layer' data-layers='1'><rect x='10' y='50' width='100' height='20'/>\
         <text x='{x}' y='{y}' font-size='12'>relu</text></g>\
         <path class='line' d='M60 30L60 50'/></svg>"
    ))
}

#[test]
fn readable_pictures_are_accepted() {
    nothing_is_hidden("written", &written(20.0, 64.0));
}

#[test]
#[should_panic(expected = "leaves its box")]
fn a_text_outside_its_box_is_found() {
    nothing_is_hidden("written", &written(90.0, 64.0));
}

#[test]
#[should_panic(expected = "leaves its box")]
fn a_text_below_its_box_is_found() {
    nothing_is_hidden("written", &written(20.0, 70.0));
}

#[test]
#[should_panic(expected = "is outside")]
fn a_text_outside_the_picture_is_found() {
    nothing_is_hidden("written", &written(290.0, 64.0));
}

#[test]
#[should_panic(expected = "crosses")]
fn a_line_through_a_text_is_found() {
    let mut picture = written(20.0, 64.0);
    picture.lines.push(super::picture::Bounds([30.0, 0.0, 31.0, 90.0]));
    nothing_is_hidden("written", &picture);
}

#[test]
#[should_panic(expected = " and Text")]
fn texts_on_each_other_are_found() {
    let mut picture = written(20.0, 64.0);
    picture.texts.extend(written(25.0, 64.0).texts.pop());
    nothing_is_hidden("written", &picture);
}
