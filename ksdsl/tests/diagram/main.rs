//! Pictures of networks, read as SVG: what they show is the network's summary, and nothing hides anything else.

mod book;
mod font;
mod picture;
mod pictures;
mod random;
mod sizes;

use ksdsl::diagram::{Options, Theme, svg};
use ksdsl::ir::Network;
use ksdsl::spec::Spec;
use picture::Picture;
use std::path::{Path, PathBuf};

/// The files of the examples and of the networks that are tested.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["examples/nets", "tests/nets", "tests/nets/known"];
    let mut files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("a folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ksn"))
        .collect();
    files.sort();
    assert!(files.len() > 40, "the networks were not found");
    files
}

/// Their networks, all whose parameters have values.
fn networks() -> impl Iterator<Item = (String, Network)> {
    files().into_iter().flat_map(|path| {
        let spec = Spec::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let networks = spec
            .compile_all()
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .networks;
        let name = move |network: Network| (format!("{} {}", path.display(), network.name), network);
        networks.into_iter().map(name)
    })
}

fn network(text: &str) -> Network {
    let (network, _) = Spec::parse("net.ksn", text).compile_one().expect("a network");
    network
}

fn drawn(network: &Network, options: &Options) -> String {
    svg(network, options).unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

fn light() -> Options {
    Options {
        theme: Theme::Light,
        ..Options::default()
    }
}

fn read(network: &Network) -> Picture {
    Picture::read(&drawn(network, &light()))
}

/// A repetition with a kernel of its own at first, and a join.
const SHARED: &str = "net tied {
    input 3 x 8 x 8
    stage body { repeat 4 { conv(4, kernel = 3, pad = 1); relu } }
    residual { depthwise(3, pad = 1) }
    share isomorphic conv in body
}";

/// Several inputs, a value, a loop with an exit, several outputs.
const LOOPED: &str = "net halting {
    input image: 2 x 4 x 4
    input state: 2 x 4 x 4
    steps: repeat up to 4, gradients = 2 {
        add(state)
        conv(2, kernel = 3, pad = 1); tanh
        set state
        global_avg_pool
        linear(1)
        exit halt
        from state
    }
    output answer
    from halt
    output halted
}";

#[test]
fn two_pictures_are_as_they_were() {
    insta::assert_snapshot!("shared", drawn(&network(SHARED), &Options::default()));
    insta::assert_snapshot!("looped", drawn(&network(LOOPED), &light()));
}
