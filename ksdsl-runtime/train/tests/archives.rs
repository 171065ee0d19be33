//! Archives of CIFAR-10 of every kind: in several gzip members, with long names, truncated, hostile.

use flate2::Compression;
use flate2::write::GzEncoder;
use ksdsl_train::data::Cifar10;
use std::fs;
use std::io::Write as _;

const FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// A record of this label.
fn record(label: u8) -> Vec<u8> {
    vec![label; 1 + 3 * 32 * 32]
}

fn header(kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header
}

/// The files in a folder of this name.
fn tar_in(folder: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, label) in FILES.iter().zip(0..) {
        let mut header = header(tar::EntryType::Regular, 3073);
        tar.append_data(&mut header, format!("{folder}/{name}"), &record(label)[..])
            .unwrap();
    }
    tar.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// The labels of an archive, or the reason why it is refused; the message names it.
fn labels(archive: &[u8]) -> Result<Vec<usize>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive.tar.gz");
    fs::write(&path, archive).unwrap();
    match Cifar10::open(&path) {
        Ok((training, test)) => Ok(training
            .iter()
            .chain(test.iter())
            .map(|example| example.label)
            .collect()),
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains("archive.tar.gz"), "{message}");
            Err(message)
        }
    }
}

const ALL: [usize; 6] = [0, 1, 2, 3, 4, 5];

/// RFC 1952, 2.2: "A gzip file consists of a series of members [...] The members simply appear one after another".
#[test]
fn an_archive_of_several_gzip_members_is_read() {
    let tar = tar_in("cifar-10-batches-bin");
    for parts in [2, 3, 40] {
        let members: Vec<u8> = tar.chunks(tar.len().div_ceil(parts)).flat_map(packed).collect();
        assert_eq!(labels(&members).unwrap(), ALL, "{parts}");
        // Empty members too; and zeros at the end, as `gzip -d` takes them.
        let padded = [&packed(&[])[..], &members, &packed(&[]), &[0; 700]].concat();
        assert_eq!(labels(&padded).unwrap(), ALL, "{parts}");
        assert!(labels(&[&members[..], b"more"].concat()).is_err());
    }
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let tar = tar_in("cifar-10-batches-bin");
    let (first, second) = tar.split_at(9_000);
    let whole = [packed(first), packed(second)].concat();
    assert_eq!(labels(&whole).unwrap(), ALL);
    for length in 0..whole.len() {
        assert!(labels(&whole[..length]).is_err(), "{length} of {} bytes", whole.len());
    }
}

/// Folders with names of more than the hundred bytes of a header: as GNU tar writes them, and as POSIX demands it.
#[test]
fn long_names_are_read() {
    let folder = "a/long/way/down".repeat(20);
    assert_eq!(labels(&packed(&tar_in(&folder))).unwrap(), ALL);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, label) in FILES.iter().zip(0..) {
        let path = format!("{folder}/{name}");
        tar.append_pax_extensions([("path", path.as_bytes()), ("comment", b"size=7")])
            .unwrap();
        let mut header = header(tar::EntryType::Regular, 3073);
        tar.append_data(&mut header, "cut", &record(label)[..]).unwrap();
    }
    assert_eq!(labels(&packed(&tar.into_inner().unwrap())).unwrap(), ALL);
}

/// A name of a gigabyte packs into a megabyte.
#[test]
fn names_and_attributes_without_end_are_refused() {
    for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
        let size = 3 << 20;
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = header(kind, size);
        header.set_path("long").unwrap();
        header.set_cksum();
        tar.append(&header, &vec![b'a'; size as usize][..]).unwrap();
        let message = labels(&packed(&tar.into_inner().unwrap())).unwrap_err();
        let expected = "a member has a name or attributes of 3145728 bytes";
        assert!(message.ends_with(expected), "{message}");
    }
}

/// Programs differ in which of two sizes they believe.
#[test]
fn two_sizes_of_a_member_are_refused() {
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_pax_extensions([("size", b"7".as_slice())]).unwrap();
    let mut header = header(tar::EntryType::Regular, 3073);
    tar.append_data(&mut header, FILES[0], &record(0)[..]).unwrap();
    let message = labels(&packed(&tar.into_inner().unwrap())).unwrap_err();
    assert!(message.ends_with("a member has two sizes"), "{message}");
}

/// Every byte of a header changed: the set or an error that names the archive.
#[test]
fn damaged_headers_end_in_an_error_or_the_set() {
    let tar = tar_in("cifar-10-batches-bin");
    for at in 0..512 {
        for change in [0x01, 0x20, 0xFF] {
            let mut damaged = tar.clone();
            damaged[at] ^= change;
            if !(148..156).contains(&at) {
                let mut header = tar::Header::new_gnu();
                header.as_mut_bytes().copy_from_slice(&damaged[..512]);
                header.set_cksum();
                damaged[..512].copy_from_slice(header.as_bytes());
            }
            if let Ok(labels) = labels(&packed(&damaged)) {
                assert_eq!(labels, ALL);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("archive.tar.gz");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let message = Cifar10::open(&pipe).unwrap_err().to_string();
    assert!(
        message.ends_with("archive.tar.gz`: it is a named pipe; expected a file"),
        "{message}"
    );
    let batch = folder.path().join(FILES[0]);
    std::os::unix::fs::symlink("/dev/zero", &batch).unwrap();
    let message = Cifar10::open(folder.path()).unwrap_err().to_string();
    assert!(
        message.ends_with("data_batch_1.bin`: it is a device; expected a file"),
        "{message}"
    );
}
