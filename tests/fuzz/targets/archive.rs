//! Archives of CIFAR and packed digits: a set or an error. Input that is not packed is packed first, as no mutation
//! survives a checksum.
#![no_main]

use flate2::Compression;
use flate2::write::GzEncoder;
use ksdsl_fuzz::data::{Cifar10, Cifar100, Digits};
use libfuzzer_sys::fuzz_target;
use std::borrow::Cow;
use std::io::Write as _;

fuzz_target!(|bytes: &[u8]| {
    let packed = match bytes.starts_with(&[0x1F, 0x8B]) {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(packed(bytes)),
    };
    let _ = Digits::read(&packed).map_err(|error| error.to_string());
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(&packed).expect("written");
    let _ = Cifar10::open(file.path()).map_err(|error| error.to_string());
    let _ = Cifar100::open(file.path()).map_err(|error| error.to_string());
});

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
    gzip.write_all(bytes).expect("memory");
    gzip.finish().expect("memory")
}
