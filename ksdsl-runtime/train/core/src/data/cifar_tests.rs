use super::{Cifar10, Cifar100, PIXELS};
use crate::data::Dataset;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::Path;

const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// A record of CIFAR-10: its label, then red, green and blue planes that begin with the label.
fn record(label: u8) -> Vec<u8> {
    let mut record = vec![label];
    for plane in 0..3 {
        record.push(label);
        record.extend((1..1024).map(|i| (i % 251) as u8 ^ plane));
    }
    record
}

/// Two records per file: labels 0 and 1, then 1 and 2, ...
fn content(file: u8) -> Vec<u8> {
    [record(file), record(file + 1)].concat()
}

fn folder(path: &Path) {
    fs::create_dir_all(path).unwrap();
    for (name, file) in BATCHES.iter().zip(0..) {
        fs::write(path.join(name), content(file)).unwrap();
    }
}

fn archive(path: &Path, names: &[&str]) {
    let members: Vec<_> = names.iter().copied().zip((0..).map(content)).collect();
    archive_of(path, &members);
}

fn archive_of(path: &Path, members: &[(&str, Vec<u8>)]) {
    let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), &bytes[..])
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

fn labels(data: &Dataset) -> Vec<usize> {
    data.iter().map(|example| example.label).collect()
}

fn check(training: &Dataset, test: &Dataset) {
    assert_eq!(labels(training), [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
    assert_eq!(labels(test), [5, 6]);
    for example in training.iter().chain(test.iter()) {
        assert_eq!(example.pixels, &record(example.label as u8)[1..]);
    }
}

fn error(path: &Path) -> String {
    Cifar10::open(path).unwrap_err().to_string()
}

#[test]
fn reads_the_folder_and_the_one_it_lies_in() {
    let outer = tempfile::tempdir().unwrap();
    folder(&outer.path().join("cifar-10-batches-bin"));
    for path in [outer.path().to_owned(), outer.path().join("cifar-10-batches-bin")] {
        let (training, test) = Cifar10::open(path).unwrap();
        check(&training, &test);
    }
}

#[test]
fn reads_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cifar-10-binary.tar.gz");
    archive(&path, &BATCHES);
    let (training, test) = Cifar10::open(&path).unwrap();
    check(&training, &test);
}

#[test]
fn reads_the_fine_labels_of_cifar_100() {
    let folder = tempfile::tempdir().unwrap();
    let with_coarse = |fine| [vec![7], record(fine)].concat();
    fs::write(
        folder.path().join("train.bin"),
        [with_coarse(99), with_coarse(3)].concat(),
    )
    .unwrap();
    fs::write(folder.path().join("test.bin"), with_coarse(42)).unwrap();
    let (training, test) = Cifar100::open(folder.path()).unwrap();
    assert_eq!((labels(&training), labels(&test)), (vec![99, 3], vec![42]));
    assert_eq!(training.get(1).pixels, &record(3)[1..]);
}

#[test]
fn names_the_file_that_is_missing() {
    let data = tempfile::tempdir().unwrap();
    folder(data.path());
    fs::remove_file(data.path().join("data_batch_3.bin")).unwrap();
    let message = error(data.path());
    assert!(message.contains("data_batch_3.bin"), "{message}");

    let path = data.path().join("archive.tar.gz");
    archive(&path, &BATCHES[..5]);
    let message = error(&path);
    assert!(
        message.ends_with("archive.tar.gz` does not contain the file `test_batch.bin`"),
        "{message}"
    );
}

#[test]
fn refuses_truncated_and_empty_files() {
    let data = tempfile::tempdir().unwrap();
    folder(data.path());
    let file = data.path().join("data_batch_2.bin");
    for len in [0, 1, PIXELS, PIXELS + 2, 2 * PIXELS + 1] {
        fs::write(&file, &content(1)[..len]).unwrap();
        let message = error(data.path());
        let expected =
            format!("data_batch_2.bin`: the size, {len} bytes, is not a multiple of the record size, 3073 bytes");
        assert!(message.ends_with(&expected), "{message}");
    }
}

#[test]
fn names_the_record_with_a_label_that_is_no_class() {
    let data = tempfile::tempdir().unwrap();
    folder(data.path());
    fs::write(data.path().join("test_batch.bin"), [record(9), record(10)].concat()).unwrap();
    let message = error(data.path());
    assert!(
        message.ends_with("test_batch.bin`: record 1 has label 10, but there are 10 classes (labels start at 0)"),
        "{message}"
    );
}

#[test]
fn refuses_what_is_no_archive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cifar-10-binary.tar.gz");
    archive(&path, &BATCHES);
    let whole = fs::read(&path).unwrap();
    for len in [0, 1, 10, whole.len() / 2] {
        fs::write(&path, &whole[..len]).unwrap();
        let message = error(&path);
        assert!(message.contains("cifar-10-binary.tar.gz"), "{len}: {message}");
    }
    let message = error(&folder.path().join("nowhere"));
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn every_damage_to_an_archive_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cifar-10-binary.tar.gz");
    archive(&path, &BATCHES);
    let whole = fs::read(&path).unwrap();
    // The name and time in the gzip header (bytes 4 to 9) mean nothing; all others do.
    let places = (0..4)
        .chain((10..whole.len()).step_by(whole.len() / 97))
        .chain(whole.len() - 8..whole.len());
    for place in places {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, damaged).unwrap();
        let message = error(&path);
        assert!(message.contains("cifar-10-binary.tar.gz"), "{place}: {message}");
    }
}

#[test]
fn names_what_an_archive_has_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.tar.gz");
    archive(&path, &[&BATCHES[..], &["data_batch_4.bin"]].concat());
    let message = error(&path);
    assert!(
        message.ends_with("archive.tar.gz` contains the file `data_batch_4.bin` twice"),
        "{message}"
    );
}

#[test]
fn records_of_an_archive_are_checked_as_those_of_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.tar.gz");
    let with = |bytes: Vec<u8>| {
        let mut members: Vec<_> = BATCHES.iter().copied().zip((0..).map(content)).collect();
        members[4].1 = bytes;
        archive_of(&path, &members);
        error(&path)
    };
    let message = with(content(4)[..5000].to_vec());
    let expected = "data_batch_5.bin`: the size, 5000 bytes, is not a multiple of the record size, 3073 bytes";
    assert!(message.ends_with(expected), "{message}");
    let message = with([record(1), record(2), record(255)].concat());
    assert!(
        message.contains("data_batch_5.bin`: record 2 has label 255"),
        "{message}"
    );
}

#[test]
fn refuses_files_of_absurd_sizes_unread() {
    let data = tempfile::tempdir().unwrap();
    folder(data.path());
    // A file with a hole takes no space.
    let file = fs::File::create(data.path().join("data_batch_2.bin")).unwrap();
    file.set_len(3073 << 30).unwrap();
    let message = error(data.path());
    let expected = "data_batch_2.bin` is larger than 268435456 bytes, the limit for this kind of file";
    assert!(message.ends_with(expected), "{message}");
    drop(file);

    // A member that says it has 2^40 bytes.
    let path = data.path().join("archive.tar.gz");
    let mut header = tar::Header::new_gnu();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    let mut gzip = GzEncoder::new(fs::File::create(&path).unwrap(), Compression::fast());
    gzip.write_all(header.as_bytes()).unwrap();
    gzip.write_all(&content(0)).unwrap();
    gzip.finish().unwrap();
    let message = error(&path);
    assert!(
        message.contains("data_batch_1.bin` is larger than 268435456 bytes"),
        "{message}"
    );
}

#[test]
fn names_the_record_whose_coarse_label_is_no_class() {
    let folder = tempfile::tempdir().unwrap();
    let with_coarse = |coarse, fine| [vec![coarse], record(fine)].concat();
    fs::write(folder.path().join("train.bin"), with_coarse(19, 99)).unwrap();
    let test = [with_coarse(0, 5), with_coarse(20, 6)].concat();
    fs::write(folder.path().join("test.bin"), test).unwrap();
    let message = Cifar100::open(folder.path()).unwrap_err().to_string();
    let expected = "test.bin`: record 1 has label 20, but there are 20 classes (labels start at 0)";
    assert!(message.ends_with(expected), "{message}");
}

#[test]
fn classes_have_the_names_that_are_written_down() {
    let data = tempfile::tempdir().unwrap();
    folder(data.path());
    let (training, test) = Cifar10::open(data.path()).unwrap();
    assert_eq!(
        (&training.names()[0], &test.names()[9]),
        (&"airplane".to_owned(), &"truck".to_owned())
    );
    let names = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n";
    fs::write(data.path().join("batches.meta.txt"), names).unwrap();
    let path = data.path().join("archive.tar.gz");
    let mut members: Vec<_> = BATCHES.iter().copied().zip((0..).map(content)).collect();
    members.push(("batches.meta.txt", names.into()));
    archive_of(&path, &members);
    for path in [data.path(), &path] {
        let (training, test) = Cifar10::open(path).unwrap();
        assert_eq!(training.names().concat(), "abcdefghij");
        check(&training, &test);
    }
    let wrong = |names: &[u8]| {
        fs::write(data.path().join("batches.meta.txt"), names).unwrap();
        let message = error(data.path());
        let (file, reason) = message.split_once("batches.meta.txt`: ").unwrap();
        assert!(file.starts_with('`'), "{message}");
        reason.to_owned()
    };
    assert_eq!(wrong(b"a\nb"), "found 2 class names, expected 10");
    assert!(wrong("a\n".repeat(10).as_bytes()).starts_with("duplicate class name \"a\""));
    assert!(wrong(b"\xFF\n\xFE\n").ends_with("are not UTF-8"));
}
