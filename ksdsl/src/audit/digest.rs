//! What is kept of the elements of a tensor: enough to see whether two are equal, or one the transpose of the other.

use super::reader::{Bytes, Failure};
use ksdsl_files::random::mix;
use sha2::{Digest as _, Sha256};
use std::io::{Read, Seek};
use std::ops::Range;

/// What is kept of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest {
    /// SHA-256 of the bytes.
    pub sha: [u8; 32],
    /// Different elements, at most 3.
    pub distinct: usize,
    /// Of a matrix: sums over its elements that depend on their places, and on their places in the transpose.
    pub matrix: Option<[u128; 2]>,
}

/// More different elements than a constant or a mask has.
pub(super) const MANY: usize = 3;

/// Bytes that are read at once, about.
const PIECE: usize = 1 << 16;

/// Reads the elements of `unit` bytes in a range of a file; `sizes` are rows and columns.
pub(super) fn digest<R: Read + Seek>(
    file: &mut Bytes<R>,
    range: Range<u64>,
    unit: usize,
    sizes: Option<[u64; 2]>,
) -> Result<Digest, Failure> {
    file.go(range.start)?;
    let unit = unit.max(1);
    let mut piece = vec![0; (PIECE / unit).max(1) * unit];
    let mut state = State {
        unit,
        distinct: Vec::new(),
        sizes: sizes.filter(|[rows, columns]| *rows > 1 && *columns > 1 && unit <= 8),
        next: 0,
        sums: [0; 2],
    };
    let mut sha = Sha256::new();
    let mut left = range.end.saturating_sub(range.start);
    while left > 0 {
        let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.fill(&mut piece[..now])?;
        sha.update(&piece[..now]);
        state.take(&piece[..now]);
        left -= now as u64;
    }
    Ok(Digest {
        sha: sha.finalize().into(),
        distinct: state.distinct.len(),
        matrix: state.sizes.map(|_| state.sums),
    })
}

struct State {
    unit: usize,
    distinct: Vec<Vec<u8>>,
    sizes: Option<[u64; 2]>,
    /// The number of the next element.
    next: u64,
    sums: [u128; 2],
}

impl State {
    fn take(&mut self, bytes: &[u8]) {
        for element in bytes.chunks(self.unit) {
            if self.distinct.len() < MANY && self.distinct.iter().all(|known| known != element) {
                self.distinct.push(element.to_vec());
            }
        }
        let Some([rows, columns]) = self.sizes else { return };
        for element in bytes.chunks(self.unit) {
            let mut wide = [0; 8];
            wide[..element.len()].copy_from_slice(element);
            let value = mix(u64::from_le_bytes(wide));
            let (row, column) = (self.next / columns, self.next % columns);
            let places = [self.next, column.wrapping_mul(rows).wrapping_add(row)];
            for (sum, place) in self.sums.iter_mut().zip(places) {
                let one = mix(value ^ mix(place));
                let other = mix(value.wrapping_add(place).rotate_left(32));
                *sum = sum.wrapping_add(u128::from(one) << 64 | u128::from(other));
            }
            self.next += 1;
        }
    }
}
