//! Whether a JPEG file is whole. The decoder fills with grey what is missing at the end; PIL refuses such files, also
//! those that lack nothing but the end marker.

const END: u8 = 0xD9;

/// Whether the file is complete up to its end marker (ITU-T T.81, annex B). Markers within segments, such as those of
/// a small picture in the EXIF data, do not count.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = next_marker(rest) {
        rest = match marker {
            END => return true,
            // Start of the image, restarts within a scan and the temporary marker stand alone.
            0x01 | 0xD0..=0xD8 => behind,
            _ => behind.get(length(behind)..).unwrap_or_default(),
        };
    }
    false
}

/// The next marker and what follows it. Coded values have a 0 after each 0xFF; more of 0xFF may be before a marker.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let at = bytes
        .windows(2)
        .position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0 | 0xFF))?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

/// The length of a segment, the two bytes that give it included.
fn length(bytes: &[u8]) -> usize {
    bytes
        .first_chunk()
        .map_or(usize::MAX, |bytes| u16::from_be_bytes(*bytes).into())
}
