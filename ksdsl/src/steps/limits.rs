//! What is too large or no weights for steps.

use super::{Error, Kind, Program};
use crate::checkpoint::Entry;

/// Steps and weights beyond which a network is no matter of small devices, and its text would fill memory.
pub(super) const MOST_STEPS: usize = 20_000;
const MOST_WEIGHTS: u64 = 1 << 24;
/// Sizes that are written with 16 bits.
const MOST_SIZE: usize = 65_535;
/// Values of one buffer, so that places are written with 32 bits.
pub(super) const MOST_VALUES: usize = 1 << 28;

fn elements(entry: &Entry) -> u64 {
    entry.shape.iter().fold(1, |all, size| all.saturating_mul(*size))
}

/// Zeros in the place of weights.
pub(super) fn zeros_of(entries: &[Entry]) -> Result<Vec<Vec<f32>>, Error> {
    total(entries)?;
    let zeros = |entry: &Entry| vec![0.0; elements(entry) as usize];
    Ok(entries.iter().map(zeros).collect())
}

fn total(entries: &[Entry]) -> Result<(), Error> {
    let all = entries.iter().map(elements).fold(0u64, u64::saturating_add);
    match all > MOST_WEIGHTS {
        true => Err(Error::TooLarge {
            what: format!("{all} weights, of at most {MOST_WEIGHTS}"),
        }),
        false => Ok(()),
    }
}

/// Whether these are weights of the network that can be written.
pub(super) fn check(entries: &[Entry], weights: &[Vec<f32>]) -> Result<(), Error> {
    total(entries)?;
    if entries.len() != weights.len() {
        return Err(Error::Weights);
    }
    for (entry, data) in entries.iter().zip(weights) {
        if elements(entry) != data.len() as u64 {
            return Err(Error::Weights);
        }
        if data.iter().any(|value| !value.is_finite()) {
            let key = entry.key.clone();
            return Err(Error::NotFinite { key });
        }
    }
    Ok(())
}

/// Whether all sizes can be written.
pub(super) fn limits(program: &Program) -> Result<(), Error> {
    let too_large = |what: String| Err(Error::TooLarge { what });
    for step in &program.steps {
        let sizes = match &step.kind {
            Kind::Conv { size, .. } => [size.input, size.output].concat(),
            Kind::Pool(size) => [size.input.as_slice(), &size.output].concat(),
            _ => Vec::new(),
        };
        if let Some(size) = sizes.iter().find(|size| **size > MOST_SIZE) {
            let place = &step.place;
            return too_large(format!("`{place}` has a size of {size}, of at most {MOST_SIZE}"));
        }
        if let Kind::Conv { size, .. } = &step.kind {
            let more = [size.kernel, size.stride, size.pad, size.dilation].concat();
            if more.iter().any(|size| *size > MOST_SIZE) {
                let place = &step.place;
                return too_large(format!(
                    "`{place}` has a kernel, stride, padding or dilation above {MOST_SIZE}"
                ));
            }
        }
    }
    Ok(())
}
