//! The records of TFRecord files: the length, its checksum, the bytes, their checksum.

use std::io::{self, Write};

/// Bytes before a record's own: its length (u64) and a checksum of that (u32), little-endian.
const HEAD: usize = 12;
/// The checksum (u32) after them.
const TAIL: usize = 4;

/// CRC-32C, rotated and moved so that checksums of bytes with checksums in them stay good.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let rotated = crc32c::crc32c(bytes).rotate_right(15);
    rotated.wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Writes a record.
pub(super) fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    to.write_all(&length)?;
    to.write_all(&checksum(&length))?;
    to.write_all(bytes)?;
    to.write_all(&checksum(bytes))
}

/// The record that begins at `at`, and where the next one does; none if it is damaged or truncated.
pub(super) fn read(file: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (length, rest) = file.get(at..)?.split_first_chunk::<8>()?;
    let (found, rest) = rest.split_first_chunk::<TAIL>()?;
    let count = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if *found != checksum(length) || count > rest.len() {
        return None;
    }
    let (bytes, rest) = rest.split_at(count);
    let (found, _) = rest.split_first_chunk::<TAIL>()?;
    (*found == checksum(bytes)).then_some((bytes, at + HEAD + count + TAIL))
}
