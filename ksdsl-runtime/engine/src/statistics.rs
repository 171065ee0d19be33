//! Running statistics of batch norms, blended during a training pass and written when it is over.

use crate::exec::Exec;
use crate::real::Real;
use std::collections::BTreeMap;
use std::fmt;

/// Statistics of a batch for the running ones of one norm.
#[derive(Debug)]
pub struct BatchStatistics<'a, B> {
    /// Mean per channel.
    pub mean: &'a B,
    /// Biased variance per channel.
    pub variance: &'a B,
    /// Values per channel.
    pub rows: usize,
}

/// What the running statistics become in a pass, by keys that the owner of the tensors chooses.
pub struct Statistics<E: Real, X: Exec<E>> {
    blended: BTreeMap<usize, X::Buf>,
}

impl<E: Real, X: Exec<E>> Default for Statistics<E, X> {
    fn default() -> Self {
        Self {
            blended: BTreeMap::new(),
        }
    }
}

impl<E: Real, X: Exec<E>> fmt::Debug for Statistics<E, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Statistics({})", self.blended.len())
    }
}

impl<E: Real, X: Exec<E>> Statistics<E, X> {
    /// Blends a batch's mean and variance into the running ones of the keys, which `read` reads at their first visit in
    /// the pass; a second visit starts from what the first left. An empty batch has no statistics, and one value no
    /// unbiased variance.
    ///
    /// # Errors
    /// Those of `read`, and the executor's through `failed`.
    pub fn blend<R>(
        &mut self,
        exec: &X,
        [mean, variance]: [usize; 2],
        batch: &BatchStatistics<'_, X::Buf>,
        momentum: f64,
        mut read: impl FnMut(usize) -> Result<X::Buf, R>,
        failed: impl Fn(X::Err) -> R,
    ) -> Result<(), R> {
        let rows = batch.rows as f64;
        let parts = [
            (mean, batch.mean, 1.0, batch.rows > 0),
            (variance, batch.variance, rows / (rows - 1.0), batch.rows > 1),
        ];
        for (key, values, factor, there) in parts {
            if !there {
                continue;
            }
            let start = match self.blended.remove(&key) {
                Some(blended) => blended,
                None => read(key)?,
            };
            let blended = exec.blend_statistics(&start, values, momentum, factor);
            self.blended.insert(key, blended.map_err(&failed)?);
        }
        Ok(())
    }

    /// Whether no norm left anything.
    pub fn is_empty(&self) -> bool {
        self.blended.is_empty()
    }

    /// What the running statistic of this key became.
    pub fn take(&mut self, key: usize) -> Option<X::Buf> {
        self.blended.remove(&key)
    }
}
