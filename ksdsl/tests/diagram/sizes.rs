//! Pictures of large networks are small, or an error.

use super::picture::Picture;
use super::{drawn, light, network};
use ksdsl::diagram::{Options, TooLarge, svg};

/// Ten thousand layers that differ from each other in their channels.
fn different(layers: usize) -> String {
    let body: Vec<String> = (0..layers)
        .map(|at| format!("conv({}, kernel = 1)", 1 + at % 1000))
        .collect();
    format!("net large {{ input 1 x 1 x 1\nstage all {{ {} }} }}", body.join("\n"))
}

#[test]
fn equal_repetitions_are_one_box() {
    let small = network("net n { input 4 x 8 x 8\nrepeat 3 { residual { conv(4, kernel = 3, pad = 1); relu } } }");
    let large = network("net n { input 4 x 8 x 8\nrepeat 5000 { residual { conv(4, kernel = 3, pad = 1); relu } } }");
    let [small, large] = [small, large].map(|network| drawn(&network, &light()));
    assert!(
        large.len() < small.len() + 200,
        "{} and {} bytes",
        small.len(),
        large.len()
    );
    let picture = Picture::read(&large);
    assert_eq!(picture.layers(), 10_000);
    assert!(picture.texts.iter().any(|text| text.text == "\u{d7} 5000"));
}

/// Repetitions that differ in their kernels only: a list would be too long.
#[test]
fn many_kernels_are_counted() {
    let text = "net n { input 4\nrepeat 900 { linear(4); relu }\nshare isomorphic linear into cycle(30) }";
    let picture = Picture::read(&drawn(&network(text), &light()));
    assert_eq!((picture.layers(), picture.kernels.len()), (1800, 30));
    // 900 visits of 30 kernels; the box names the first and counts the others.
    assert!(picture.kernels.iter().all(|kernel| kernel.visits == 30));
    let texts: Vec<&str> = picture.texts.iter().map(|text| text.text.as_str()).collect();
    assert!(
        texts.contains(&"k1 \u{d7} 30") && texts.contains(&"and 19 more"),
        "{texts:?}"
    );
}

#[test]
fn too_many_boxes_are_an_error_that_names_a_depth() {
    let large = network(&different(10_000));
    let error = svg(&large, &Options::default()).expect_err("ten thousand boxes");
    // The stage and its layers; closed, the stage alone.
    let expected = TooLarge {
        boxes: 10_001,
        max: 1000,
        depth: Some((0, 1)),
    };
    assert_eq!(error, expected);
    let closed = Options { depth: 0, ..light() };
    assert_eq!(Picture::read(&drawn(&large, &closed)).layers(), 10_000);
    let all = Options { max: 10_001, ..light() };
    assert_eq!(Picture::read(&drawn(&large, &all)).leaves.len(), 10_000);
}

/// Names have up to 128 characters, and a picture has no room for all.
#[test]
fn long_names_are_shortened() {
    let name = "n".repeat(127);
    let text = format!(
        "net {name}0 {{ input {name}: 4 x 4 x 4\nstage {name}1 {{ {name}2: conv(4, kernel = 1)\nkeep {name}3 }}\noutput {name}4 }}"
    );
    let text = text.replace(&format!("keep {name}3"), "relu");
    let picture = Picture::read(&drawn(&network(&text), &light()));
    assert!(picture.size[0] < 1200.0, "{:?}", picture.size);
    assert!(picture.texts.iter().all(|text| text.text.chars().count() < 100));
}
