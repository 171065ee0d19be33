use super::Shapes;
use crate::data::{Cifar10, Dataset, Example, Sizes};
use flate2::Crc;
use std::collections::BTreeSet;
use std::fs;

fn set(training: u32, test: u32, seed: u64) -> Shapes {
    Shapes { training, test, seed }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The folder has what the function gives, in five files of as many images.
#[test]
fn what_is_written_is_what_is_made() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("shapes");
    let shapes = set(52, 10, 7);
    shapes.write(&folder).unwrap();
    let read = Cifar10::open(&folder).unwrap();
    assert_eq!(read, shapes.generate());
    assert_eq!(read.0.names(), Shapes::NAMES);
    let records = |name: &str| fs::metadata(folder.join(name)).unwrap().len() / 3073;
    let batches = ["1", "2", "3", "4", "5"].map(|batch| records(&format!("data_batch_{batch}.bin")));
    assert_eq!((batches, records("test_batch.bin")), ([10, 10, 11, 10, 11], 10));
    assert_eq!(
        fs::read_dir(outer.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

/// Pins the bytes: they changed if this fails. The number comes from this code itself, on x86-64; that it is the
/// same elsewhere follows from the arithmetic, which has no library function.
#[test]
fn the_bytes_stay_the_same() {
    let folder = tempfile::tempdir().unwrap();
    set(50, 10, 0).write(folder.path()).unwrap();
    let names = [
        "data_batch_1.bin",
        "data_batch_5.bin",
        "test_batch.bin",
        "batches.meta.txt",
    ];
    let sums = names.map(|name| crc(&fs::read(folder.path().join(name)).unwrap()));
    assert_eq!(sums, PINNED);
}

const PINNED: [u32; 4] = [1_838_963_657, 2_547_931_952, 2_424_537_115, 3_299_738_780];

#[test]
fn an_image_depends_on_its_place_alone() {
    let (training, test) = set(60, 20, 3).generate();
    let (fewer, _) = set(25, 1, 3).generate();
    assert_eq!(fewer, training.part(|index| index < 25));
    let (other, _) = set(25, 1, 4).generate();
    let same = |a: &Dataset, b: &Dataset| a.iter().zip(b.iter()).filter(|(a, b)| a.pixels == b.pixels).count();
    assert_eq!((same(&fewer, &other), same(&training, &test)), (0, 0));
}

#[test]
fn classes_are_balanced_and_images_differ() {
    let (training, test) = set(600, 200, 0).generate();
    let mut seen = BTreeSet::new();
    for (data, each) in [(&training, 60), (&test, 20)] {
        let count = |class| data.iter().filter(|example| example.label == class).count();
        assert!((0..10).all(|class| count(class) == each));
        seen.extend(data.iter().map(|example| crc(example.pixels)));
    }
    assert_eq!(seen.len(), 800);
    let ordered = training
        .iter()
        .zip(0..)
        .filter(|(example, index)| example.label == index % 10);
    assert!(ordered.count() < 120, "classes come in random order");
}

/// Colours say nothing of the class: the mean of each channel is about the same for all.
#[test]
fn no_class_is_told_by_its_mean_color() {
    let (training, _) = set(1_500, 1, 1).generate();
    let mean = |example: Example| example.pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / 3072.0;
    let means: Vec<Vec<f64>> = (0..10)
        .map(|class| training.iter().filter(|e| e.label == class).map(mean).collect())
        .collect();
    let all = means.concat();
    let average = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let centre = average(&all);
    let deviation = average(&all.iter().map(|m| (m - centre).powi(2)).collect::<Vec<_>>()).sqrt();
    for of_class in &means {
        // Four standard errors of a class's mean.
        let bound = 4.0 * deviation / (of_class.len() as f64).sqrt();
        assert!((average(of_class) - centre).abs() < bound);
    }
    // Neither black nor white, neither flat nor all noise.
    assert!(
        (90.0..165.0).contains(&centre) && (15.0..60.0).contains(&deviation),
        "{centre} {deviation}"
    );
}

#[test]
fn a_set_is_not_written_over_anything() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("shapes");
    fs::create_dir(&folder).unwrap();
    set(5, 1, 0).write(&folder).unwrap();
    let before = fs::read(folder.join("test_batch.bin")).unwrap();
    let message = set(5, 1, 1).write(&folder).unwrap_err().to_string();
    assert!(message.contains("is not empty"), "{message}");
    assert_eq!(fs::read(folder.join("test_batch.bin")).unwrap(), before);
    let message = set(4, 1, 1).write(outer.path().join("few")).unwrap_err().to_string();
    assert!(message.contains("expected 5 to "), "{message}");
    fs::write(outer.path().join("file"), "").unwrap();
    let message = set(5, 1, 1).write(outer.path().join("file")).unwrap_err().to_string();
    assert!(message.starts_with("cannot write `"), "{message}");
    assert_eq!(
        fs::read_dir(outer.path()).unwrap().count(),
        2,
        "nothing is left beside them"
    );
}

/// No file is written that its reader refuses: 2^28 bytes are 87,352 whole records of 3,073.
#[test]
fn sets_are_not_larger_than_can_be_read() {
    let outer = tempfile::tempdir().unwrap();
    for (training, test) in [(5, 87_353), (436_761, 1), (u32::MAX, u32::MAX)] {
        let message = set(training, test, 0)
            .write(outer.path().join("many"))
            .unwrap_err()
            .to_string();
        let expected = "expected 5 to 436760 training images and 1 to 87352 test images";
        assert!(message.ends_with(expected), "{message}");
    }
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
}

/// A dataset of other sizes has names too.
#[test]
fn names_must_be_as_many_as_classes() {
    let data = Dataset::new(Sizes::new([1, 1, 1], 2), vec![0], vec![1]).unwrap();
    assert_eq!(data.names(), ["0", "1"]);
    let message = data.clone().with_names(["one"]).unwrap_err().to_string();
    assert_eq!(message, "found 1 class names, expected 2");
    let message = data.clone().with_names(["one", "one"]).unwrap_err().to_string();
    assert_eq!(message, "duplicate class name \"one\"");
    let named = data.with_names(["no", "yes"]).unwrap();
    assert_eq!(named.split(0.5, 0).1.names(), ["no", "yes"]);
}

/// Four at once: each has the set, and nothing is left beside it.
#[test]
fn a_set_that_many_make_at_once_is_made() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("shapes");
    std::thread::scope(|scope| {
        let made: Vec<_> = (0..4).map(|_| scope.spawn(|| set(300, 60, 3).write(&folder))).collect();
        for made in made {
            // One that begins after the set is there does not wait, and is told that it is.
            let made = made.join().unwrap();
            assert!(made.is_ok() || made.unwrap_err().to_string().contains("is not empty"));
        }
    });
    assert_eq!(Cifar10::open(&folder).unwrap(), set(300, 60, 3).generate());
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
}

/// The other holds the lock of the folder in which it makes the set, until that is in its place.
#[test]
fn whoever_waits_takes_the_set_that_was_made_if_it_is_the_same() {
    for (seed, is_taken) in [(3, true), (4, false)] {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("shapes");
        let partial = outer.path().join("shapes.partial");
        fs::create_dir(&partial).unwrap();
        let held = ksdsl_files::lock(&partial.join("lock")).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| set(10, 5, 3).write(&folder));
            std::thread::sleep(std::time::Duration::from_millis(200));
            assert!(!waiting.is_finished() && !folder.exists());
            set(10, 5, seed).write(outer.path().join("other")).unwrap();
            fs::rename(outer.path().join("other"), &folder).unwrap();
            drop(held);
            assert_eq!(waiting.join().unwrap().is_ok(), is_taken);
        });
        assert_eq!(Cifar10::open(&folder).unwrap(), set(10, 5, seed).generate());
        assert!(!partial.exists());
    }
}

#[test]
fn a_stop_leaves_nothing_and_what_was_left_does_no_harm() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("shapes");
    let stop = crate::interrupt::Stop::new();
    stop.stop();
    let error = set(10, 5, 3).write_until(&folder, &stop).unwrap_err().to_string();
    assert!(error.contains("interrupted"), "{error}");
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 0);
    // As a program leaves it that was killed.
    let partial = outer.path().join("shapes.partial");
    fs::create_dir(&partial).unwrap();
    fs::write(partial.join("lock"), "").unwrap();
    fs::write(partial.join("data_batch_1.bin"), vec![1; 10_000]).unwrap();
    set(10, 5, 3).write(&folder).unwrap();
    assert_eq!(Cifar10::open(&folder).unwrap(), set(10, 5, 3).generate());
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
}

#[test]
fn names_without_letters_to_show_are_refused() {
    let data = Dataset::new(Sizes::new([1, 1, 1], 2), vec![0], vec![0]).unwrap();
    for name in ["", "a\nb", "\u{1b}[31mred", "bell\u{7}", "c1\u{9b}"] {
        let message = data.clone().with_names(["fine", name]).unwrap_err().to_string();
        assert!(message.contains("without control characters"), "{message}");
        assert!(!message.contains(char::is_control), "{message:?}");
    }
}
