//! Pictures: values or an error.
#![no_main]

use ksdsl_fuzz::data::read_picture;
use libfuzzer_sys::fuzz_target;
use std::io::Write as _;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let _ = read_picture(file.path(), [3, 4, 4]).map_err(|error| error.to_string());
    let _ = read_picture(file.path(), [1, 5, 3]).map_err(|error| error.to_string());
});
