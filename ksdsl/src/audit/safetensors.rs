//! The tensors of a safetensors file.

use super::content::{Listed, Place};
use super::reader::{Bytes, Failure};
use ksdsl_checkpoint::Listing;
use std::io::{Read, Seek};

struct Rest<'f, R>(&'f mut Bytes<R>);

impl<R: Read + Seek> Read for Rest<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = buffer.len().min(usize::try_from(self.0.left()).unwrap_or(usize::MAX));
        self.0.fill(&mut buffer[..bytes]).map_err(std::io::Error::other)?;
        Ok(bytes)
    }
}

pub(super) fn list<R: Read + Seek>(file: &mut Bytes<R>) -> Result<Listed, Failure> {
    let size = file.size;
    let listing = Listing::read(Rest(file), size)?;
    let places = listing.tensors.into_iter().map(|(name, kind, shape, range)| Place {
        name,
        kind: kind.name().to_owned(),
        is_real: kind.is_float(),
        shape,
        range,
        file: None,
        unit: kind.bytes() as usize,
        is_plain: true,
    });
    Ok((places.collect(), listing.metadata))
}
