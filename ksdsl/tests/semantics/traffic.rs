//! The bytes that a token reads, counted by hand.

use super::decode::{ALBERT, LOOPS, network};

/// Kernels of 1 KiB and a head of 640 bytes, in the order A A B B (`into 2 groups`) or A B A B.
fn read(kernels: &str, cache: u64) -> [u64; 2] {
    let text = format!(
        "net n {{
            input 8 of 10
            embedding(16)
            stage body {{ repeat 4 {{ linear(16, bias = false) }} }}
            head: linear(10, bias = false)
            {kernels}
        }}"
    );
    let traffic = ksdsl::graph::traffic(&network(&text, "n", &[]), cache).unwrap();
    assert_eq!(traffic.kept, 0);
    [traffic.memory, traffic.cache]
}

/// The row of the embedding, 64 bytes, is always from memory.
#[test]
fn weights_of_repeated_visits_are_read_from_the_cache() {
    let (kib, row, head) = (1024, 64, 640);
    assert_eq!(read("", 0), [4 * kib + head + row, 0]);
    assert_eq!(read("", 1 << 20), [row, 4 * kib + head]);
    // Smaller than what a token reads: the oldest is gone when it comes again.
    assert_eq!(read("", 4 * kib), [4 * kib + head + row, 0]);
    let pairs = "share isomorphic linear in body into 2 groups";
    assert_eq!(read(pairs, kib), [2 * kib + head + row, 2 * kib]);
    assert_eq!(read(pairs, kib - 1), [4 * kib + head + row, 0]);
    let cycle = "share isomorphic linear in body into cycle(2)";
    assert_eq!(read(cycle, kib), [4 * kib + head + row, 0]);
    assert_eq!(read(cycle, 2 * kib), [2 * kib + head + row, 2 * kib]);
    // A token later everything is still there.
    assert_eq!(read(cycle, 2 * kib + head), [row, 4 * kib + head]);
}

/// Two sequences of 10 tokens of 8 and 4 features for each of the 3 x (1 + 2) + 1 visits; iterations find their kernels in
/// the cache.
#[test]
fn iterations_read_their_kernels_from_the_cache() {
    let looped = network(LOOPS, "looped", &[]);
    let traffic = ksdsl::graph::traffic(&looped, 1 << 30).unwrap();
    assert_eq!(traffic.kept, 10 * (2 * 4) * 4 * 10);
    assert_eq!(traffic.memory, 8 * 4);
    let nothing = ksdsl::graph::traffic(&looped, 0).unwrap();
    assert_eq!([nothing.memory, nothing.cache], [traffic.cache + 8 * 4, 0]);
    // A layer: two norms, q, k, v, out, up, down; 3 x (1 + 2) + 1 of them; the positions and the head.
    let layer = 2 * 8 + (8 * 8 + 8) * 2 + (8 * 4 + 4) * 2 + 8 * 12 + 12 + 12 * 8 + 8;
    assert_eq!(traffic.cache, 4 * (10 * layer + 10 * 8 + 7 * 8 + 7));
    // One layer and no more: each iteration of the inner loop but the first finds it.
    let layer = 4 * layer;
    let some = ksdsl::graph::traffic(&looped, layer).unwrap();
    assert_eq!(some.cache, 3 * layer);
    assert_eq!(ksdsl::graph::traffic(&network(ALBERT, "albert", &[]), 0), None);
}
