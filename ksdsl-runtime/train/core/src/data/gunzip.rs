//! Gzip files of any number of members, as `cat` makes them of several.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// Unpacks all members, one after the other. Zeros may follow the last one, as `gzip` allows it (tapes are filled up
/// with them); anything else there is an error.
pub(crate) struct Gunzip<R: BufRead>(Option<GzDecoder<R>>);

impl<R: BufRead> Gunzip<R> {
    pub(crate) fn new(packed: R) -> Self {
        Self(Some(GzDecoder::new(packed)))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.0 {
            match member.read(into)? {
                0 => {
                    self.0 = self
                        .0
                        .take()
                        .and_then(|member| next(member.into_inner()).transpose())
                        .transpose()?
                }
                count => return Ok(count),
            }
        }
        Ok(0)
    }
}

/// The member after this one, if there is more than zeros.
fn next<R: BufRead>(mut packed: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = packed.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let all = zeros == bytes.len();
        packed.consume(zeros);
        if !all {
            return Ok(Some(GzDecoder::new(packed)));
        }
    }
}
