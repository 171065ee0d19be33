//! The output of norms made again piece by piece, for the one who reads it.

use super::affine::Affine;
use crate::backend::Source;
use crate::cpu::CpuBuf;
use crate::scalar::Scalar;

/// A map that is there, or is made again where it is read.
pub(in crate::cpu) enum Again<'a, E: Scalar> {
    Kept(&'a [E]),
    Made(Box<Made<'a, E>>),
}

pub(in crate::cpu) struct Made<'a, E: Scalar> {
    affine: Affine<'a, E>,
    input: Again<'a, E>,
    residual: Option<Again<'a, E>>,
}

impl<'a, E: Scalar> Again<'a, E> {
    pub(in crate::cpu) fn new(source: &Source<'a, CpuBuf<E>>) -> Self {
        match source {
            Source::Kept(map) => Self::Kept(map),
            Source::Again {
                tail,
                input,
                factor,
                offset,
                residual,
                ..
            } => Self::Made(Box::new(Made {
                affine: Affine::new(*tail, factor, offset, None),
                input: Self::new(input),
                residual: residual.as_deref().map(Self::new),
            })),
        }
    }

    /// As many elements as `piece` has, from `at` on: where they are kept, or else made in `piece`.
    /// Both must be whole wide rows, `at` counted from the start of the map.
    pub(in crate::cpu) fn piece<'p>(&'p self, at: usize, piece: &'p mut [E]) -> &'p [E] {
        match self {
            Self::Kept(map) => &map[at..at + piece.len()],
            Self::Made(made) => {
                made.write(at, piece);
                piece
            }
        }
    }
}

impl<E: Scalar> Made<'_, E> {
    fn write(&self, at: usize, y: &mut [E]) {
        let len = y.len();
        let mut scratch = match &self.residual {
            Some(Again::Made(_)) => CpuBuf::scratch(len),
            _ => CpuBuf::scratch(0),
        };
        let residual = match &self.residual {
            Some(Again::Kept(map)) => Some(map[at..at + len].as_ptr()),
            Some(Again::Made(made)) => {
                made.write(at, &mut scratch);
                Some(scratch.as_ptr())
            }
            None => None,
        };
        let z = match &self.input {
            Again::Kept(map) => map[at..at + len].as_ptr(),
            Again::Made(made) => {
                made.write(at, y);
                y.as_ptr()
            }
        };
        // SAFETY: all are as long as the piece; `y` may be `z`.
        unsafe { self.affine.map_with(residual, z, y.as_mut_ptr(), len) };
    }
}
