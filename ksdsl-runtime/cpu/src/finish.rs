//! Work on an operation's output while it is still in the cache.

/// What is done with pieces of an operation's output as soon as they are computed: gathering
/// statistics, or normalisation and activation in place. A pass of its own would read (and write)
/// the whole map from memory once more.
pub(crate) trait Finish<E>: Sync {
    /// Receives `pixels`: whole pixels (rows of all channels) from pixel `first` on, counted over
    /// the batch. Called exactly once for every pixel, from any thread, in any order, and always
    /// with the same pieces for the same sizes.
    fn finish(&self, first: usize, pixels: &mut [E]);
}
