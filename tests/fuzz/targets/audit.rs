//! A file of weights in any of the formats: tensors or an error, and findings beside itself.
#![no_main]

use ksdsl::audit::{audit, read};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;

fuzz_target!(|bytes: &[u8]| {
    let Ok(content) = read(Cursor::new(bytes)) else { return };
    // Beside itself nothing that was equal is not; what is stated as one may be.
    let _ = audit(&content, Some(&content), None);
});
