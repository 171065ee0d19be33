//! Whether the palette of a PNG file is whole: the decoder ends the program on one that is not.

/// The signature of eight bytes, and the length and the type of a chunk.
const SIGNATURE: usize = 8;
const MOST_COLOURS: usize = 256;

/// Whether every palette holds 1 to 256 colours of three bytes (PNG, third edition, 11.2.2).
pub(super) fn has_whole_palettes(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(SIGNATURE..).unwrap_or_default();
    while let Some((&[a, b, c, d, ref kind @ ..], data)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if kind == b"PLTE" && !(length.is_multiple_of(3) && (1..=MOST_COLOURS).contains(&(length / 3))) {
            return false;
        }
        // The data and their checksum.
        rest = length
            .checked_add(4)
            .and_then(|end| data.get(end..))
            .unwrap_or_default();
    }
    true
}
