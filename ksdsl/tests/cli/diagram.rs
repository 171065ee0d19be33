//! `ksn diagram`.

use super::{Folder, SMALL};

#[test]
fn a_picture_goes_to_a_file_or_to_standard_output() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let run = folder.ksn(&["diagram", "small.ksn"]);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(run.stdout.starts_with("<svg ") && run.stdout.ends_with("</svg>\n"));
    for name in ["small.svg", "SMALL.SVG", "small"] {
        let written = folder.ksn(&["diagram", "small.ksn", "-o", name]);
        assert_eq!(
            (written.status, written.stdout.as_str()),
            (Some(0), ""),
            "{}",
            written.stderr
        );
        assert_eq!(std::fs::read_to_string(folder.0.path().join(name)).unwrap(), run.stdout);
    }
}

#[test]
fn parameters_and_themes_are_chosen() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let picture = |args: &[&str]| {
        let run = folder.ksn(&[&["diagram", "small.ksn"], args].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout
    };
    let auto = picture(&[]);
    let [light, dark] = ["light", "dark"].map(|theme| picture(&["--theme", theme]));
    assert!(auto.contains("prefers-color-scheme:dark"));
    assert!(!light.contains("prefers-color-scheme") && !dark.contains("prefers-color-scheme"));
    assert_ne!(light, dark);
    assert_eq!(auto, picture(&["--theme", "auto"]));
    assert!(auto.contains("data-kernel=\"body\"") && auto.contains("width = 4"));
    let unshared = picture(&["--set", "shared=false", "--set", "width=6"]);
    assert!(!unshared.contains("data-kernel") && unshared.contains("width = 6"));
}

#[test]
fn other_formats_are_refused() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    for name in ["small.gif", "small.png.jpg", "small."] {
        let run = folder.ksn(&["diagram", "small.ksn", "-o", name]);
        assert_eq!(run.status, Some(2));
        assert!(run.stderr.contains("unsupported picture format"), "{}", run.stderr);
        assert!(!folder.0.path().join(name).exists());
    }
    let run = folder.ksn(&["diagram", "small.ksn", "--theme", "blue"]);
    assert_eq!(run.status, Some(2));
}

#[cfg(not(feature = "png"))]
#[test]
fn png_needs_a_feature() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let run = folder.ksn(&["diagram", "small.ksn", "-o", "small.png"]);
    assert_eq!(run.status, Some(2));
    assert!(run.stderr.contains("PNG needs the feature `png`"), "{}", run.stderr);
}

#[cfg(feature = "png")]
#[test]
fn png_needs_no_fonts() {
    let folder = Folder::with(&[("small.ksn", SMALL)]);
    let run = folder.ksn(&["diagram", "small.ksn", "-o", "small.PNG"]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let pixels = resvg::tiny_skia::Pixmap::load_png(folder.0.path().join("small.PNG")).unwrap();
    // The name of the network stands at the top left, dark on white.
    let dark = |x: u32, y: u32| pixels.pixel(x, y).is_some_and(|pixel| pixel.red() < 90);
    let ink = (48..96)
        .flat_map(|y| (48..160).map(move |x| (x, y)))
        .filter(|&(x, y)| dark(x, y))
        .count();
    assert!(ink > 200, "only {ink} dark pixels: the name is missing");
}

#[test]
fn too_many_boxes_name_the_options() {
    let body: String = (1..60).map(|channels| format!("linear({channels}) ")).collect();
    let text = format!("net wide {{ input 4\nstage all {{ {body} }} }}");
    let folder = Folder::with(&[("wide.ksn", &text)]);
    let run = folder.ksn(&["diagram", "wide.ksn", "--max", "50"]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
    let error = "the picture would have 60 boxes and shared kernels, more than 50";
    let help = "`--depth 0` closes boxes below that level and leaves 1; `--max 60` draws all";
    assert!(
        run.stderr.contains(error) && run.stderr.contains(help),
        "{}",
        run.stderr
    );
    for option in [["--depth", "0"], ["--max", "60"]] {
        let run = folder.ksn(&[["diagram", "wide.ksn"], option].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
    }
}

#[test]
fn a_specification_with_errors_has_no_picture() {
    let folder = Folder::with(&[("broken.ksn", super::BROKEN), ("several.ksn", super::SEVERAL)]);
    let run = folder.ksn(&["diagram", "broken.ksn", "-o", "broken.svg"]);
    assert_eq!(run.status, Some(1));
    assert!(!folder.0.path().join("broken.svg").exists());
    let run = folder.ksn(&["diagram", "several.ksn"]);
    assert_eq!(run.status, Some(2));
    assert!(run.stderr.contains("--net"), "{}", run.stderr);
}
