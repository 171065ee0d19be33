use super::*;
use crate::memory::{CHUNK, chunk::HUGE_PAGE};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A range in use, as the tests see it: where it is, how long, and what its bytes are filled with.
struct Live {
    place: Place,
    start: NonNull<u8>,
    bytes: usize,
    mark: u8,
}

impl Live {
    fn take(arena: &mut Arena, bytes: usize, mark: u8) -> Self {
        let (place, start) = arena.take(bytes).unwrap();
        // SAFETY: the range is ours until it is returned.
        unsafe { start.write_bytes(mark, bytes) };
        Self {
            place,
            start,
            bytes,
            mark,
        }
    }

    /// Whether nobody else wrote.
    fn is_whole(&self) -> bool {
        // SAFETY: as above.
        let bytes = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.bytes) };
        bytes.iter().all(|&byte| byte == self.mark)
    }

    fn give(self, arena: &mut Arena) {
        assert!(self.is_whole());
        arena.give(self.place, self.bytes);
    }
}

/// What the arena must hold to be in order, given what is in use.
fn check(arena: &Arena, live: &[Live]) {
    let lengths = arena.by_place.iter().map(|(&place, &length)| (length, place));
    assert_eq!(lengths.collect::<BTreeSet<_>>(), arena.by_length);
    let mut ranges: Vec<_> = live.iter().map(|range| (range.place, range.bytes, true)).collect();
    ranges.extend(arena.by_place.iter().map(|(&place, &length)| (place, length, false)));
    ranges.sort_unstable();
    let mut ranges = ranges.into_iter().peekable();
    for (index, chunk) in arena.chunks.iter().enumerate() {
        let Some(chunk) = chunk else { continue };
        let (mut end, mut last_used) = (0, true);
        while let Some(((_, start), length, used)) = ranges.next_if(|&((chunk, _), ..)| chunk == index) {
            assert_eq!(start, end, "a gap or an overlap");
            assert!(used || last_used, "two free neighbours");
            (end, last_used) = (start + length, used);
        }
        assert_eq!(end, chunk.bytes());
    }
    assert!(ranges.next().is_none(), "a range outside of all chunks");
    let chunks = arena.chunks.iter().flatten();
    assert_eq!(chunks.map(Chunk::bytes).sum::<usize>(), arena.reserved());
}

#[test]
fn random_sequences_keep_ranges_apart_and_join_what_is_free() {
    let mut rng = StdRng::seed_from_u64(7);
    let (rounds, longest) = if cfg!(miri) { (60, 1 << 10) } else { (3000, 5 << 14) };
    let (mut arena, mut live) = (Arena::new(HUGE_PAGE), Vec::new());
    let mut most_chunks = 0;
    for round in 0..rounds {
        // Fills up, then empties, again and again.
        if live.is_empty() || rng.gen_bool(if round / 250 % 2 == 0 { 0.6 } else { 0.4 }) {
            let longest: usize = longest >> rng.gen_range(2..14);
            let bytes = 64 * rng.gen_range(1..=longest.max(1));
            live.push(Live::take(&mut arena, bytes, round as u8));
        } else {
            let range: Live = live.swap_remove(rng.gen_range(0..live.len()));
            range.give(&mut arena);
        }
        if round % 500 == 499 {
            arena.release();
        }
        most_chunks = most_chunks.max(arena.chunks.iter().flatten().count());
        check(&arena, &live);
    }
    assert!(
        cfg!(miri) || most_chunks > 2,
        "too little was in use: {most_chunks} chunks"
    );
    for range in live.drain(..) {
        range.give(&mut arena);
    }
    check(&arena, &live);
    // One free range per chunk.
    assert_eq!(arena.by_place.len(), arena.chunks.iter().flatten().count());
    let reserved = arena.reserved();
    assert_eq!(arena.release(), reserved);
    assert_eq!((arena.reserved(), arena.by_place.len()), (0, 0));
}

#[test]
fn best_fit_takes_the_shortest_range_that_holds_it() {
    let mut arena = Arena::new(HUGE_PAGE);
    let sizes = [640, 64, 256, 64, 384, 64];
    let places = sizes.map(|bytes| arena.take(bytes).unwrap().0);
    for hole in [0, 2, 4] {
        arena.give(places[hole], sizes[hole]);
    }
    assert_eq!(arena.take(320).unwrap().0, places[4]);
    assert_eq!(arena.take(256).unwrap().0, places[2]);
    assert_eq!(arena.take(192).unwrap().0, places[0]);
    // The rest of a range that was cut serves, too.
    assert_eq!(arena.take(448).unwrap().0, (0, places[0].1 + 192));
}

#[test]
fn a_request_of_any_length_gets_a_chunk_and_idle_ones_are_replaced() {
    let mut arena = Arena::new(HUGE_PAGE);
    let long = arena.take(2 * HUGE_PAGE + 64).unwrap();
    assert_eq!(arena.reserved(), 3 * HUGE_PAGE);
    assert_eq!(long.1.addr().get() % HUGE_PAGE, 0);
    arena.give(long.0, 2 * HUGE_PAGE + 64);
    let longer = arena.take(4 * HUGE_PAGE).unwrap();
    assert_eq!(arena.reserved(), 4 * HUGE_PAGE, "the idle chunk is gone");
    assert_eq!(arena.release(), 0, "the only chunk is in use");
    arena.give(longer.0, 4 * HUGE_PAGE);
    assert_eq!(arena.release(), 4 * HUGE_PAGE);
    assert!(arena.take(usize::MAX / 2).is_none());
}

/// An arena that counts what is in use.
struct Counted {
    arena: Arena,
    used: usize,
    peak: usize,
    /// The most the arena held since this was set to none.
    reserved: usize,
}

impl Counted {
    fn take(&mut self, bytes: usize) -> (Place, usize) {
        let bytes = bytes.next_multiple_of(64);
        self.used += bytes;
        self.peak = self.peak.max(self.used);
        let place = self.arena.take(bytes).unwrap().0;
        self.reserved = self.reserved.max(self.arena.reserved());
        (place, bytes)
    }

    fn give(&mut self, (place, bytes): (Place, usize)) {
        self.used -= bytes;
        self.arena.give(place, bytes);
    }

    /// A training step of a net whose stages have maps of `a`, `a / 2` and `a / 4` bytes: forward,
    /// each layer leaves its output and statistics and uses scratch; backward, gradients take
    /// turns, and a layer's output is dropped when its own gradient is done.
    fn step(&mut self, a: usize) {
        let mut outputs = Vec::new();
        for bytes in [a, a / 2, a / 4].into_iter().flat_map(|bytes| [bytes; 12]) {
            let scratch = self.take(bytes * 9 / 4);
            outputs.push((self.take(bytes), self.take(8192)));
            self.give(scratch);
        }
        let mut gradient = self.take(64);
        while let Some((output, statistics)) = outputs.pop() {
            let next = self.take(output.1);
            let scratch = self.take(output.1 * 9 / 4);
            for range in [scratch, gradient, statistics, output] {
                self.give(range);
            }
            gradient = next;
        }
        self.give(gradient);
        assert_eq!(self.used, 0);
    }
}

#[test]
fn alternating_sizes_need_little_more_than_what_is_in_use() {
    for a in [20_000_000, 26_000_000, 33_333_333, 45_000_000, 64 << 20, 90_000_000] {
        let mut counted = Counted {
            arena: Arena::new(CHUNK),
            used: 0,
            peak: 0,
            reserved: 0,
        };
        let ratios = [(); 3].map(|()| {
            counted.reserved = 0;
            counted.step(a);
            counted.reserved as f64 / counted.peak as f64
        });
        println!(
            "maps of {a} bytes: {} bytes in use at most, reserved {ratios:.3?} times that",
            counted.peak
        );
        assert!(ratios.iter().all(|&ratio| ratio <= 1.15), "{ratios:?}");
    }
}

#[test]
fn threads_do_not_get_in_each_others_way() {
    let arena = std::sync::Mutex::new(Arena::new(HUGE_PAGE));
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let arena = &arena;
            scope.spawn(move || {
                let mut rng = StdRng::seed_from_u64(thread);
                let mut live = Vec::new();
                for _ in 0..rounds {
                    if live.len() < 6 {
                        let bytes = 64 * rng.gen_range(1..400);
                        live.push(Live::take(&mut arena.lock().unwrap(), bytes, thread as u8));
                    } else {
                        let range: Live = live.swap_remove(rng.gen_range(0..6));
                        range.give(&mut arena.lock().unwrap());
                    }
                }
                for range in live {
                    range.give(&mut arena.lock().unwrap());
                }
            });
        }
    });
    let mut arena = arena.into_inner().unwrap();
    check(&arena, &[]);
    let reserved = arena.reserved();
    assert_eq!(arena.release(), reserved);
    assert!(reserved > 0);
}
