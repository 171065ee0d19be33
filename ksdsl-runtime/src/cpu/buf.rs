//! Buffers that are used again instead of being given back to the allocator.

use crate::scalar::Scalar;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Elements a pool keeps at most; beyond that it forgets all and starts anew, so that buffers of
/// sizes no longer asked for do not stay for ever.
const POOL_LIMIT: usize = 1 << 28;

/// A free list of vectors by length.
#[derive(Debug)]
pub struct Pool<E> {
    free: Mutex<Free<E>>,
}

#[derive(Debug)]
struct Free<E> {
    by_len: BTreeMap<usize, Vec<Vec<E>>>,
    held: usize,
}

impl<E> Pool<E> {
    /// An empty pool.
    pub const fn new() -> Self {
        let by_len = BTreeMap::new();
        Self {
            free: Mutex::new(Free { by_len, held: 0 }),
        }
    }

    fn take(&self, len: usize) -> Option<Vec<E>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let found = free.by_len.get_mut(&len)?.pop()?;
        free.held -= len;
        Some(found)
    }

    fn give(&self, values: Vec<E>) {
        let len = values.len();
        if len == 0 || len > POOL_LIMIT {
            return;
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.held + len > POOL_LIMIT {
            free.by_len.clear();
            free.held = 0;
        }
        free.held += len;
        free.by_len.entry(len).or_default().push(values);
    }
}

impl<E> Default for Pool<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// Storage of an activation or a parameter on the CPU: a vector that returns to a pool when
/// dropped, so that training steps do not page-fault afresh.
#[derive(Debug)]
pub struct CpuBuf<E: Scalar> {
    values: Vec<E>,
}

impl<E: Scalar> CpuBuf<E> {
    /// A buffer of `len` elements whose values are unspecified: a kernel must write them all.
    pub(crate) fn scratch(len: usize) -> Self {
        let values = E::pool().take(len);
        Self {
            values: values.unwrap_or_else(|| vec![E::zero(); len]),
        }
    }

    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        match E::pool().take(len) {
            Some(mut values) => {
                values.fill(E::zero());
                Self { values }
            }
            // The allocator has zeroed pages at hand.
            None => Self {
                values: vec![E::zero(); len],
            },
        }
    }

    /// A buffer with these values.
    pub fn from_vec(values: Vec<E>) -> Self {
        Self { values }
    }

    /// The values; they do not return to the pool.
    pub fn into_vec(mut self) -> Vec<E> {
        std::mem::take(&mut self.values)
    }
}

impl<E: Scalar> Clone for CpuBuf<E> {
    fn clone(&self) -> Self {
        let mut copy = Self::scratch(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl<E: Scalar> Drop for CpuBuf<E> {
    fn drop(&mut self) {
        E::pool().give(std::mem::take(&mut self.values));
    }
}

impl<E: Scalar> Deref for CpuBuf<E> {
    type Target = [E];
    fn deref(&self) -> &[E] {
        &self.values
    }
}

impl<E: Scalar> DerefMut for CpuBuf<E> {
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.values
    }
}
