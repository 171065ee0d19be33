//! The pictures of the book are those of `ksn diagram`. `UPDATE_EXPECT=1 cargo test -p ksdsl --test diagram` draws them
//! again.

use super::drawn;
use ksdsl::diagram::Options;
use ksdsl::spec::Spec;
use std::path::Path;

/// File, network, a parameter, and the picture.
type Picture = (&'static str, &'static str, Option<(&'static str, i64)>, &'static str);

const PICTURES: &[Picture] = &[
    (
        "examples/nets/se_resnet.ksn",
        "se_resnet",
        Some(("depth", 4)),
        "se_resnet",
    ),
    ("tests/nets/known/unet.ksn", "small", None, "unet"),
    ("tests/nets/loops.ksn", "loop_halting", None, "loop"),
    ("tests/nets/known/gpt2.ksn", "small", None, "gpt2"),
];

#[test]
fn the_pictures_of_the_book_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/book/src/diagrams.md")).expect("the page");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    for (file, net, setting, name) in PICTURES {
        let spec = Spec::read(root.join(file)).expect(file).network(net);
        let spec = setting.iter().fold(spec, |spec, (name, value)| spec.set(name, *value));
        let (network, _) = spec.compile_one().expect(file);
        let picture = drawn(&network, &Options::default());
        let path = root.join(format!("docs/book/src/pictures/{name}.svg"));
        if update {
            std::fs::write(&path, &picture).expect("a picture");
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == picture,
            "{} is not current; run with UPDATE_EXPECT=1",
            path.display()
        );
        assert!(
            page.contains(&format!("(pictures/{name}.svg)")),
            "the page does not show {name}"
        );
    }
}
