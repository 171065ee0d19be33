use super::{Dataset, Digits};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A line with 64 pixels of `pixel` and a class.
fn line(pixel: &str, class: &str) -> String {
    format!("{}{class}\n", format!("{pixel},").repeat(64))
}

fn error(text: &str) -> String {
    Digits::read(&gzip(text)).unwrap_err().to_string()
}

/// Of each class, how many there are.
fn counts(digits: &Dataset) -> [usize; 10] {
    let mut counts = [0; 10];
    digits.iter().for_each(|digit| counts[digit.label] += 1);
    counts
}

#[test]
fn the_embedded_digits_are_those_of_scikit_learn() {
    let digits = Digits::embedded();
    assert_eq!(digits.len(), 1797);
    // scikit-learn 1.5, numpy.bincount(sklearn.datasets.load_digits().target)
    assert_eq!(counts(&digits), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    // scikit-learn's documentation of load_digits prints the first image: it begins with these rows.
    let first = digits.get(0);
    assert_eq!(
        first.pixels[..16],
        [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]
    );
    assert_eq!(first.label, 0);
}

#[test]
fn reads_pixels_row_by_row() {
    let pixels: Vec<String> = (0..64).map(|i| (i % 17).to_string()).collect();
    let text = format!("{},7\r\n{}", pixels.join(","), line("16", "9"));
    let digits = Digits::read(&gzip(&text)).unwrap();
    let pixels = (0..64).map(|i| (i % 17) as u8).chain([16; 64]).collect();
    assert_eq!(digits, Dataset::new(Digits::SIZES, pixels, vec![7, 9]).unwrap());
}

#[test]
fn names_the_line_and_the_field_that_is_wrong() {
    let good = line("3", "1");
    let with = |index: usize, text: &str| {
        let mut fields = vec!["0"; 65];
        fields[index] = text;
        error(&(good.clone() + &fields.join(",")))
    };
    assert_eq!(with(2, "17"), "line 2, field 3: expected a pixel, 0 to 16, found `17`");
    assert_eq!(with(0, "-1"), "line 2, field 1: expected a pixel, 0 to 16, found `-1`");
    assert_eq!(with(1, "+1"), "line 2, field 2: expected a pixel, 0 to 16, found `+1`");
    assert_eq!(with(1, ""), "line 2, field 2: expected a pixel, 0 to 16, found ``");
    assert_eq!(with(64, "10"), "line 2, field 65: expected a class, 0 to 9, found `10`");
    assert_eq!(
        with(64, "five"),
        "line 2, field 65: expected a class, 0 to 9, found `five`"
    );
    let long = "x".repeat(1000);
    assert_eq!(
        with(5, &long),
        "line 2, field 6: expected a pixel, 0 to 16, found `xxxxxxxxxxxxxxxx`"
    );
}

#[test]
fn names_the_line_with_a_wrong_number_of_fields() {
    let good = line("3", "1");
    let (short, long) = ("0,".repeat(63) + "1", "0,".repeat(65) + "1");
    assert_eq!(error(&(good.clone() + &short)), "line 2: expected 65 fields, found 64");
    assert_eq!(
        error(&(good.clone() + &good + &long)),
        "line 3: expected 65 fields, found 66"
    );
    assert_eq!(
        error(&(good.clone() + "\n" + &good)),
        "line 2: expected 65 fields, found 1"
    );
}

#[test]
fn refuses_damaged_archives() {
    let whole = gzip(&line("3", "1"));
    for length in 1..whole.len() {
        let message = Digits::read(&whole[..length]).unwrap_err().to_string();
        assert!(
            message.starts_with("cannot decompress the data: "),
            "{length}: {message}"
        );
    }
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1; // the length at the end of a gzip member
    let message = Digits::read(&flipped).unwrap_err().to_string();
    assert!(message.starts_with("cannot decompress the data: "), "{message}");
    assert!(Digits::read(line("3", "1").as_bytes()).is_err(), "not compressed");
}

#[test]
fn refuses_nothing_at_all() {
    assert_eq!(error(""), "the file is empty: expected one image per line");
    let message = Digits::read(&[]).unwrap_err().to_string();
    assert!(message.contains("data"), "{message}");
}

#[test]
fn refuses_archives_that_would_fill_the_memory() {
    let bomb = gzip(&"0".repeat(65 << 20));
    assert_eq!(
        Digits::read(&bomb).unwrap_err().to_string(),
        "the decompressed data is larger than 67108864 bytes"
    );
}

#[test]
fn splits_every_class_in_the_same_proportion() {
    let (train, validation) = Digits::embedded().split(0.2, 3);
    // The counts of the whole times 0.2, rounded: 35.6, 36.4, 35.4, 36.6, 36.2, 36.4, 36.2, 35.8, 34.8, 36.
    assert_eq!(counts(&validation), [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]);
    assert_eq!(train.len() + validation.len(), 1797);
}

#[test]
fn a_split_loses_and_repeats_nothing() {
    // Pixel 0 and 1 number the digits, so that all differ.
    let pixels = (0..100).flat_map(|i| {
        let mut pixels = [0; 64];
        (pixels[0], pixels[1]) = (i / 10, i % 10);
        pixels
    });
    let digits = Dataset::new(Digits::SIZES, pixels.collect(), (0..100).map(|i| i % 10).collect()).unwrap();
    let (train, validation) = digits.split(0.3, 5);
    assert_eq!((train.len(), validation.len()), (70, 30));
    let mut all: Vec<_> = train
        .iter()
        .chain(validation.iter())
        .map(|digit| digit.pixels)
        .collect();
    all.sort();
    assert_eq!(all, digits.iter().map(|digit| digit.pixels).collect::<Vec<_>>());
}

#[test]
fn the_seed_decides_on_the_split() {
    let digits = Digits::embedded();
    assert_eq!(digits.split(0.2, 1), digits.split(0.2, 1));
    assert_ne!(digits.split(0.2, 1), digits.split(0.2, 2));
    assert_eq!(digits.split(0.0, 1).0, digits);
    assert_eq!(digits.split(1.0, 1).1, digits);
}

#[test]
#[should_panic(expected = "the fraction must be from 0 to 1, not 1.5")]
fn a_share_is_no_more_than_all() {
    Digits::embedded().split(1.5, 0);
}

#[test]
fn refuses_images_without_labels_and_labels_without_a_class() {
    let message = |pixels, labels| Dataset::new(Digits::SIZES, pixels, labels).unwrap_err().to_string();
    assert_eq!(
        message(vec![0; 127], vec![0, 1]),
        "found 127 values, expected 2 images of 64 values each"
    );
    assert_eq!(
        message(vec![0; 128], vec![9, 10]),
        "image 1 has label 10, but there are 10 classes (labels start at 0)"
    );
}
