//! Buffers of activations, gradients and scratch.

use super::memory::{Block, LINE};
use crate::real::CpuReal;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

/// Element types for which any initialised bytes are a value.
///
/// # Safety
/// Every bit pattern must be a value of the type, which must have no padding, nothing to drop, and
/// no alignment above 64.
pub unsafe trait Plain: Copy + Send + Sync {}

// SAFETY: every bit pattern is a number, an infinity or a NaN.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for f64 {}

/// Storage of an activation or a parameter on the CPU, from the arena of [`super::memory`].
pub struct CpuBuf<E: CpuReal> {
    storage: Storage<E>,
}

enum Storage<E> {
    /// `len` elements at the start of the block.
    Block { block: Block, len: usize },
    /// Taken over from outside.
    Vec(Vec<E>),
}

impl<E: CpuReal> CpuBuf<E> {
    /// A buffer of `len` elements, and whether they are known to be zero.
    fn new(len: usize) -> (Self, bool) {
        const { assert!(align_of::<E>() <= LINE) };
        let bytes = len.checked_mul(size_of::<E>());
        let (block, zero) = Block::new(bytes.expect("a buffer larger than the address space"));
        let storage = Storage::Block { block, len };
        (Self { storage }, zero)
    }

    /// A buffer of `len` elements whose values are unspecified: a kernel must write them all.
    pub fn scratch(len: usize) -> Self {
        Self::new(len).0
    }

    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let (mut zeros, zero) = Self::new(len);
        if !zero {
            zeros.fill(E::zero());
        }
        zeros
    }

    /// A buffer with these values; they stay where they are.
    pub fn from_vec(values: Vec<E>) -> Self {
        let storage = Storage::Vec(values);
        Self { storage }
    }

    /// The values: those of [`CpuBuf::from_vec`] themselves, others copied out of the arena.
    pub fn into_vec(self) -> Vec<E> {
        match self.storage {
            Storage::Vec(values) => values,
            Storage::Block { .. } => self.to_vec(),
        }
    }
}

impl<E: CpuReal> Clone for CpuBuf<E> {
    fn clone(&self) -> Self {
        let mut copy = Self::scratch(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl<E: CpuReal> fmt::Debug for CpuBuf<E> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("CpuBuf").field("values", &&**self).finish()
    }
}

impl<E: CpuReal> Deref for CpuBuf<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        match &self.storage {
            // SAFETY: the block has room for `len` elements, is aligned and initialised, and any
            // bytes are elements (`Plain`); nobody else writes it while `self` is borrowed.
            Storage::Block { block, len } => unsafe { slice::from_raw_parts(block.start().cast().as_ptr(), *len) },
            Storage::Vec(values) => values,
        }
    }
}

impl<E: CpuReal> DerefMut for CpuBuf<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        match &mut self.storage {
            // SAFETY: as in `deref`; `self` is borrowed mutably, so the slice is unique.
            Storage::Block { block, len } => unsafe { slice::from_raw_parts_mut(block.start().cast().as_ptr(), *len) },
            Storage::Vec(values) => values,
        }
    }
}
