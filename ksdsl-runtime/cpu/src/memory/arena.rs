//! Chunks and the free ranges in them.

use super::chunk::Chunk;
use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;

/// Where a range starts: the chunk's index, and bytes from the chunk's start.
pub(super) type Place = (usize, usize);

/// Best fit over chunks, with neighbouring free ranges always joined.
///
/// Both maps are small (some tens of ranges during a training step), so that a look-up costs some
/// tens of nanoseconds.
#[derive(Debug)]
pub(super) struct Arena {
    chunks: Vec<Option<Chunk>>,
    /// The length of each free range.
    by_place: BTreeMap<Place, usize>,
    /// The same ranges: the shortest first, of equal ones that at the lowest place.
    by_length: BTreeSet<(usize, Place)>,
    /// Bytes of all chunks.
    reserved: usize,
    /// Bytes in use, and the most that ever were.
    used: usize,
    most_used: usize,
    /// What `most_used` was when [`Arena::settle`] last made room for it in one chunk.
    settled: usize,
    /// A chunk is at least that long.
    least_chunk: usize,
}

impl Arena {
    /// An arena without memory, whose chunks are to have `least_chunk` bytes or more.
    pub(super) const fn new(least_chunk: usize) -> Self {
        Self {
            chunks: Vec::new(),
            by_place: BTreeMap::new(),
            by_length: BTreeSet::new(),
            reserved: 0,
            used: 0,
            most_used: 0,
            settled: 0,
            least_chunk,
        }
    }

    /// Bytes of all chunks.
    pub(super) fn reserved(&self) -> usize {
        self.reserved
    }

    /// A range of `bytes`, initialised and used by nobody else until [`Arena::give`] gets it back.
    /// `None`: the system has no more memory.
    pub(super) fn take(&mut self, bytes: usize) -> Option<(Place, NonNull<u8>)> {
        let (length, place) = match self.best_fit(bytes) {
            Some(range) => range,
            None => self.grow(bytes)?,
        };
        self.remove(place, length);
        let (chunk, start) = place;
        if length > bytes {
            self.insert((chunk, start + bytes), length - bytes);
        }
        self.used += bytes;
        self.most_used = self.most_used.max(self.used);
        let memory = self.chunks[chunk].as_ref().expect("free ranges lie in chunks");
        Some((place, memory.at(start)))
    }

    /// Frees the range of `bytes` at `place`, which [`Arena::take`] gave.
    pub(super) fn give(&mut self, (chunk, mut start): Place, mut bytes: usize) {
        self.used -= bytes;
        let before = self.by_place.range(..(chunk, start)).next_back();
        if let Some((&place, &length)) = before
            && (place.0, place.1 + length) == (chunk, start)
        {
            self.remove(place, length);
            start = place.1;
            bytes += length;
        }
        let after = (chunk, start + bytes);
        if let Some(&length) = self.by_place.get(&after) {
            self.remove(after, length);
            bytes += length;
        }
        self.insert((chunk, start), bytes);
        if self.used == 0 {
            self.settle();
        }
    }

    /// Gives the chunks in which nothing is in use back to the system; how many bytes that were.
    pub(super) fn release(&mut self) -> usize {
        (self.most_used, self.settled) = (self.used, 0);
        self.drop_idle()
    }

    fn drop_idle(&mut self) -> usize {
        let is_idle = |&(&place, &length): &(&Place, &usize)| {
            let whole = self.chunks[place.0].as_ref().map(Chunk::bytes);
            whole == Some(length)
        };
        let idle = self
            .by_place
            .iter()
            .filter(is_idle)
            .map(|(&place, &length)| (place, length));
        let idle: Vec<_> = idle.collect();
        for &(place, length) in &idle {
            self.remove(place, length);
            self.chunks[place.0] = None;
        }
        let released = idle.iter().map(|(_, length)| length).sum();
        self.reserved -= released;
        released
    }

    /// Gives all up for one chunk that holds the most that was in use, when nothing is and an eighth
    /// more is reserved: ranges in several chunks cannot be joined. Only after `most_used` has
    /// grown, so that this ends soon, even if that chunk should be too short because of gaps: new
    /// pages have to be cleared.
    fn settle(&mut self) {
        let several = self.chunks.iter().flatten().nth(1).is_some();
        let wasteful = self.reserved / 9 > self.most_used / 8;
        if several && wasteful && self.most_used / 9 > self.settled / 8 {
            self.settled = self.most_used;
            self.drop_idle();
        }
    }

    /// Adds a chunk in which `bytes` fit, as a free range. Chunks that are idle all the same, being
    /// too short, go into it.
    fn grow(&mut self, bytes: usize) -> Option<(usize, Place)> {
        let usual = self.least_chunk.max(self.reserved / 16).max(self.drop_idle());
        let usual = if self.reserved == 0 && self.settled > usual {
            self.settled.checked_add(self.settled / 32)
        } else {
            // The next requests are often as long as this one: room for a whole number of them.
            usual.checked_next_multiple_of(bytes)
        };
        // Perhaps the system has what is needed, if not what is usual.
        let chunk = usual
            .filter(|&usual| usual >= bytes)
            .and_then(Chunk::new)
            .or_else(|| Chunk::new(bytes))?;
        let length = chunk.bytes();
        let index = match self.chunks.iter().position(Option::is_none) {
            Some(index) => index,
            None => {
                self.chunks.push(None);
                self.chunks.len() - 1
            }
        };
        self.chunks[index] = Some(chunk);
        self.reserved += length;
        self.insert((index, 0), length);
        Some((length, (index, 0)))
    }

    fn best_fit(&self, bytes: usize) -> Option<(usize, Place)> {
        self.by_length.range((bytes, (0, 0))..).next().copied()
    }

    fn insert(&mut self, place: Place, length: usize) {
        self.by_place.insert(place, length);
        self.by_length.insert((length, place));
    }

    fn remove(&mut self, place: Place, length: usize) {
        self.by_place.remove(&place);
        self.by_length.remove(&(length, place));
    }
}

#[cfg(test)]
#[path = "arena_tests.rs"]
mod tests;
