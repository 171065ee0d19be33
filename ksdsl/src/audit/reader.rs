//! Reading parts of a file of known size: whatever it says, no more than that is read, and a piece at a time.

use std::io::{BufReader, Read, Seek, SeekFrom};

/// Why a file is not read, in words.
pub(super) type Failure = String;

/// A file.
pub(super) struct Bytes<R> {
    inner: BufReader<R>,
    /// The place of the next byte.
    pub(super) at: u64,
    /// The number of bytes.
    pub(super) size: u64,
}

impl<R: Read + Seek> Bytes<R> {
    pub(super) fn new(mut inner: R) -> Result<Self, Failure> {
        let size = inner.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
        inner.rewind().map_err(|error| error.to_string())?;
        Ok(Bytes {
            inner: BufReader::new(inner),
            at: 0,
            size,
        })
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.size.saturating_sub(self.at)
    }

    /// Goes to a place.
    pub(super) fn go(&mut self, at: u64) -> Result<(), Failure> {
        if at > self.size {
            return Err(format!(
                "it ends at byte {}, but something should be at byte {at}",
                self.size
            ));
        }
        // Within the buffer without reading anew.
        let by = i64::try_from(i128::from(at) - i128::from(self.at)).map_err(|error| error.to_string())?;
        self.inner.seek_relative(by).map_err(|error| error.to_string())?;
        self.at = at;
        Ok(())
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<(), Failure> {
        self.go(self.at.saturating_add(bytes))
    }

    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        if buffer.len() as u64 > self.left() {
            return Err(format!("it ends at byte {} within a value", self.size));
        }
        self.inner.read_exact(buffer).map_err(|error| error.to_string())?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Failure> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Failure> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text of so many bytes that can be shown, if those are not too many.
    pub(super) fn text(&mut self, bytes: u64, most: u64) -> Result<String, Failure> {
        if bytes > most {
            return Err(format!("a name of {bytes} bytes, but {most} are the most that is read"));
        }
        let mut text = vec![0; bytes as usize];
        self.fill(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        Ok(text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect())
    }
}
