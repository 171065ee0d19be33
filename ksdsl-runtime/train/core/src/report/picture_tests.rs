use super::scale::{count, label, log_marks, marks, own_label};
use super::{Picture, Pictures, confusion, curves, sweep};
use crate::metrics::Meter;
use crate::record::Observer as _;
use crate::report::csv::tests::{epoch, start, tell};
use crate::report::{CsvLog, EpochRow, Facts, History, NETWORK, Point, Run, StepRow, Sweep};
use resvg::tiny_skia::Pixmap;

/// A run of 30 epochs with plausible numbers.
pub(in crate::report) fn history(epochs: u32, speed: f64, floor: f64) -> History {
    let steps = 23 * u64::from(epochs);
    let at = |share: f64| floor + 2.3 * (-speed * share).exp();
    let noise = |i: u64| 0.15 * ((i * 7919 % 101) as f64 / 101.0 - 0.5);
    let rate = |share: f64| 0.1 * (1.0 - (std::f64::consts::TAU * share).cos()) / 2.0 + 1e-5;
    let step = |number: u64| StepRow {
        step: number,
        epoch: number.div_ceil(23) as u32,
        loss: at(number as f64 / steps as f64) * (1.0 + noise(number)),
        learning_rate: rate(number as f64 / steps as f64),
        gradient_norm: None,
        images: 64,
        seconds: 0.1,
        data_wait_seconds: 0.0,
    };
    let row = |number: u32| {
        let share = f64::from(number) / f64::from(epochs);
        let top1 = 1.0 - 0.9 * (-speed * share).exp() - 0.3 * floor + 0.1 * noise(number.into());
        EpochRow {
            epoch: number,
            steps: 23 * u64::from(number),
            training_loss: at(share),
            learning_rate: rate(share),
            images: 1438,
            seconds: 2.3,
            validation_loss: Some(at(share) * 1.2 + 0.02),
            validation_top1: Some(top1),
            validation_top5: Some(0.99),
            ..EpochRow::default()
        }
    };
    History {
        steps: (1..=steps).map(step).collect(),
        epochs: (1..=epochs).map(row).collect(),
        beginning: 0,
    }
}

/// Where pictures go to be looked at, if the variable is set.
pub(in crate::report) fn show(picture: &Picture, name: &str) {
    if let Some(folder) = std::env::var_os("KSDSL_SHOW_PICTURES") {
        picture
            .save(&std::path::Path::new(&folder).join(format!("{name}.png")))
            .unwrap();
    }
}

#[test]
fn curves_say_what_they_show() {
    let mut history = history(30, 5.0, 0.01);
    let picture = curves("digits_shared, 84,410 parameters", &history).unwrap();
    show(&picture, "curves");
    for text in [
        "digits_shared, 84,410 parameters",
        "Cross-entropy loss",
        "Epoch",
        "validation",
        "Validation accuracy",
        "Validation accuracy (%)",
    ] {
        assert!(picture.svg().contains(text), "{text}");
    }
    assert!(!picture.svg().contains("averaged"));
    for row in &mut history.epochs {
        row.averaged_top1 = row.validation_top1.map(|top1| top1 + 0.004);
        row.averaged_loss = row.validation_loss.map(|loss| 0.9 * loss);
    }
    let picture = curves("digits_shared, 84,410 parameters", &history).unwrap();
    show(&picture, "curves_averaged");
    assert_eq!(
        picture.svg().matches("averaged").count(),
        2,
        "both legends have an entry"
    );
}

#[test]
fn a_run_of_one_step_or_of_nothing_can_be_drawn() {
    let mut short = history(1, 5.0, 0.1);
    show(&curves("one epoch", &short).unwrap(), "curves_one");
    short.epochs.clear();
    short.steps.truncate(1);
    show(&curves("one step", &short).unwrap(), "curves_step");
    curves("nothing", &History::default()).unwrap();
    short.steps[0].loss = f64::NAN;
    curves("a NaN loss", &short).unwrap();
}

/// All numbers in the attributes `names` of a drawing.
fn coordinates(svg: &str, names: &[&str]) -> Vec<f64> {
    let values = names.iter().flat_map(|name| {
        let start = format!(" {name}=\"");
        let parts: Vec<String> = svg
            .split(&start)
            .skip(1)
            .map(|rest| rest[..rest.find('"').unwrap()].to_owned())
            .collect();
        parts
    });
    let numbers = values.flat_map(|value| {
        let numbers: Vec<f64> = value
            .split([' ', ','])
            .filter(|number| !number.is_empty())
            .map(|number| number.parse().unwrap())
            .collect();
        numbers
    });
    numbers.collect()
}

/// Every value that a file of records can hold, in each column: the drawing stays as small as any, and nothing lies
/// outside it (1320 x 430).
#[test]
fn whatever_a_run_recorded_can_be_drawn() {
    let hostile = [
        1e300,
        f64::MAX,
        1e-300,
        5e-324,
        -1e300,
        -1.0,
        0.0,
        1e101,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    let mut histories = Vec::new();
    for value in hostile {
        for all in [false, true] {
            let mut history = history(6, 5.0, 0.1);
            let count = if all { usize::MAX } else { 1 };
            history.epochs.iter_mut().take(count).for_each(|row| {
                (row.training_loss, row.validation_loss, row.averaged_loss) = (value, Some(value), Some(value));
                (row.validation_top1, row.averaged_top1) = (Some(value), Some(value));
            });
            history
                .steps
                .iter_mut()
                .take(count)
                .for_each(|row| (row.loss, row.learning_rate) = (value, value));
            histories.push(history);
        }
    }
    let mut late = history(6, 5.0, 0.1);
    late.epochs[5].epoch = u32::MAX;
    late.steps.last_mut().unwrap().step = u64::MAX;
    histories.push(late);
    for history in histories {
        let picture = curves("hostile", &history).unwrap();
        let (svg, shown) = (picture.svg(), &history.epochs[0]);
        assert!(svg.len() < 200_000, "{} bytes for {shown:?}", svg.len());
        for number in coordinates(svg, &["points", "x", "y", "cx", "cy", "x1", "y1", "x2", "y2"]) {
            assert!((0.0..=1320.0).contains(&number), "{number} for {shown:?}");
        }
        // What can be parsed can be rendered, which takes long.
        resvg::usvg::Tree::from_str(svg, &resvg::usvg::Options::default()).unwrap();
    }
}

/// A class folder can have any name; XML cannot hold all (section 2.2 of XML 1.0).
#[test]
fn names_with_control_characters_can_be_drawn() {
    let classes: Vec<String> = (0..10).map(|class| format!("a\u{1b}[3{class}m\u{0}\u{fffe}")).collect();
    let picture = confusion("Confusion matrix \u{7}", &classes, &evaluation(10)).unwrap();
    picture.png().unwrap();
    assert!(
        !picture.svg().chars().any(|c| c.is_control() && c != '\n'),
        "{}",
        picture.svg()
    );
}

#[test]
fn logarithmic_axes_have_few_marks_however_long() {
    for (low, high) in [(1e-100, 1e100), (1e-12, 1e12), (1.0, 1e9), (0.5, 20.0), (1.0, 1.01)] {
        let marks = log_marks(low, high);
        assert!((2..=30).contains(&marks.len()), "{low} to {high}: {marks:?}");
    }
}

#[test]
fn a_png_needs_no_fonts_of_the_system() {
    let picture = curves("letters", &history(3, 5.0, 0.1)).unwrap();
    let png = picture.png().unwrap();
    let pixels = Pixmap::decode_png(&png).unwrap();
    assert_eq!((pixels.width(), pixels.height()), (2640, 860));
    // The title is in the first lines, at the left: some of its pixels are dark.
    let dark = |x: u32, y: u32| pixels.pixel(x, y).is_some_and(|pixel| pixel.red() < 90);
    let ink = (24..64)
        .flat_map(|y| (32..200).map(move |x| (x, y)))
        .filter(|&(x, y)| dark(x, y))
        .count();
    assert!(ink > 300, "only {ink} dark pixels: the title is missing");
}

/// An evaluation of `classes` classes with some confusions.
fn evaluation(classes: usize) -> crate::metrics::Evaluation {
    let mut meter = Meter::new(classes);
    for i in 0..classes * 37 {
        let label = i % classes;
        let taken = if i * i % 11 == 3 {
            (label * 3 + 1) % classes
        } else {
            label
        };
        let logits: Vec<f32> = (0..classes)
            .map(|class| if class == taken { 2.0 } else { 0.0 })
            .collect();
        meter.add(&logits, &[label]);
    }
    meter.evaluation()
}

#[test]
fn confusions_have_a_cell_for_each_pair_of_classes() {
    let digits: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let picture = confusion("Confusion matrix of digits_shared", &digits, &evaluation(10)).unwrap();
    show(&picture, "confusion");
    assert!(picture.svg().matches("<rect").count() > 100);
    let names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship & <boat>",
        "an exceedingly long name",
    ];
    let picture = confusion("Names", &names.map(str::to_owned), &evaluation(10)).unwrap();
    show(&picture, "confusion_names");
    assert!(picture.svg().contains("an exceedingly …") && picture.svg().contains("ship &amp; &lt;boat&gt;"));
    picture.png().unwrap();
    show(
        &confusion("A hundred", &[], &evaluation(100)).unwrap(),
        "confusion_hundred",
    );
    show(&confusion("Two", &[], &evaluation(2)).unwrap(), "confusion_two");
}

#[test]
fn pictures_of_a_resumed_run_show_all_of_it() {
    let [whole, parts] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let draw = |folder: &std::path::Path, done: u64, to: u64| {
        let (mut log, mut pictures) = (CsvLog::new(folder), Pictures::new(folder));
        log.start(&start(done)).unwrap();
        pictures.start(&start(done)).unwrap();
        tell(&mut log, done + 1..=to);
        tell(&mut pictures, done + 1..=to);
        log.end().unwrap();
        pictures.end().unwrap();
    };
    draw(whole.path(), 0, 8);
    draw(parts.path(), 0, 5);
    draw(parts.path(), 3, 8);
    for name in ["curves.svg", "curves.png", "confusion.svg", "confusion.png"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert!(read(&whole) == read(&parts), "{name} differs");
    }
    assert_eq!(epoch(4).evaluation.unwrap().images, 2);
}

#[test]
fn marks_are_round() {
    assert_eq!(marks(0.0, 20.0, 5), [0.0, 5.0, 10.0, 15.0, 20.0]);
    assert_eq!(marks(-0.3, 1.04, 4), [0.0, 0.5, 1.0]);
    assert_eq!(marks(0.0, 1.0, 6), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    let logarithmic = |low, high| log_marks(low, high).into_iter().map(own_label).collect::<Vec<_>>();
    assert_eq!(logarithmic(0.009, 2.0), ["0.01", "0.03", "0.1", "0.3", "1"]);
    // Of the powers and their triples there are only 1, 3 and 10.
    assert_eq!(logarithmic(0.6, 20.0), ["1", "2", "5", "10", "20"]);
}

#[test]
fn numbers_of_an_axis_have_the_digits_they_need() {
    assert_eq!(
        ["0", "5", "10"].map(str::to_owned),
        [0.0, 5.0, 10.0].map(|x| label(x, 5.0))
    );
    assert_eq!(
        ["0.0", "0.2", "0.6"].map(str::to_owned),
        [0.0, 0.2, 3.0 * 0.2].map(|x| label(x, 0.2))
    );
    assert_eq!(
        ["0.01", "0.3", "1", "30"].map(str::to_owned),
        [0.01, 0.3, 1.0, 30.0].map(own_label)
    );
    assert_eq!(
        ["900", "84.4k", "1.32M", "1M", "280k"].map(str::to_owned),
        [900.0, 84_410.0, 1_323_354.0, 1e6, 280_250.0].map(count)
    );
}

/// A name says what is in the file: there is nothing but SVG and PNG.
#[test]
fn pictures_of_other_formats_are_refused() {
    use super::Format;
    let format = |path: &str| Format::of(std::path::Path::new(path)).ok();
    for (path, expected) in [
        ("a.svg", Some(Format::Svg)),
        ("b/a.PNG", Some(Format::Png)),
        ("a", Some(Format::Svg)),
        ("/dev/stdout", Some(Format::Svg)),
        ("a.gif", None),
        ("a.png.jpg", None),
        ("a.", None),
    ] {
        assert_eq!(format(path), expected, "{path}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gif");
    let picture = confusion("Two", &[], &evaluation(2)).unwrap();
    let error = picture.save(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("x.gif`: unsupported picture format; use the extension `.svg` or `.png`"),
        "{error}"
    );
    assert!(!path.exists());
}

/// More than there are colours, with a line for three of them.
#[test]
fn the_legend_of_a_study_names_all_its_networks() {
    let point = |number: u64| Point {
        values: vec![format!("network {number}")],
        parameters: 1000 * number,
        runs: vec![Run {
            name: format!("network-{number}"),
            facts: Facts {
                network: "net".to_owned(),
                settings: Default::default(),
                parameters: 1000 * number,
                multiply_adds: 0,
                seed: 0,
            },
            history: history(3, 1.0 + number as f64, 0.1),
        }],
    };
    let of = |networks: u64| Sweep {
        names: vec![NETWORK.to_owned()],
        points: (1..=networks).map(point).collect(),
    };
    let picture = sweep(&of(12)).unwrap();
    show(&picture, "study");
    for number in 1..=12 {
        let entry = format!("\n{number} network {number}\n");
        assert!(picture.svg().contains(&entry), "{entry}");
    }
    let height = |picture: &Picture| -> u32 {
        let (_, rest) = picture.svg().split_once("height=\"").unwrap();
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    assert_eq!(height(&picture) - height(&sweep(&of(3)).unwrap()), 3 * 22);
}
