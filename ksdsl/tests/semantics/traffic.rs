//! The bytes that a token reads, counted by hand.

use super::decode::{ALBERT, LOOPS, network};
use ksdsl::graph::traffic;
use ksdsl::summary::WeightType;

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
    let read = traffic(&network(&text, "n", &[]), cache, WeightType::F32).unwrap();
    assert_eq!(read.kept, 0);
    [read.memory, read.cache]
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
    let all = traffic(&looped, 1 << 30, WeightType::F32).unwrap();
    assert_eq!(all.kept, 10 * (2 * 4) * 4 * 10);
    assert_eq!(all.memory, 8 * 4);
    let nothing = traffic(&looped, 0, WeightType::F32).unwrap();
    assert_eq!([nothing.memory, nothing.cache], [all.cache + 8 * 4, 0]);
    // A layer: two norms, q, k, v, out, up, down; 3 x (1 + 2) + 1 of them; the positions and the head.
    let layer = 2 * 8 + (8 * 8 + 8) * 2 + (8 * 4 + 4) * 2 + 8 * 12 + 12 + 12 * 8 + 8;
    assert_eq!(all.cache, 4 * (10 * layer + 10 * 8 + 7 * 8 + 7));
    // One layer and no more: each iteration of the inner loop but the first finds it.
    let layer = 4 * layer;
    let some = traffic(&looped, layer, WeightType::F32).unwrap();
    assert_eq!(some.cache, 3 * layer);
    let albert = network(ALBERT, "albert", &[]);
    assert_eq!(traffic(&albert, 0, WeightType::F32), None);
}

/// Kernels in narrower types: those of linear layers, the head's table included, have 2 bytes for a value, or 1 and 4 for an
/// output channel; the row of the embedding, norms and biases stay in `f32`, and so does a kernel of 64 x 256, which is too
/// small for the decoder to read it in another form.
#[test]
fn kernels_of_narrower_types_have_fewer_bytes() {
    let text = "net n {
        input 8 of 1000
        table: embedding(256)
        up: linear(512)
        rms_norm
        down: linear(256, bias = false)
        small: linear(64, bias = false)
        back: linear(256, bias = false)
        head: linear(1000, bias = false)
        share table, head
    }";
    let tied = network(text, "n", &[]);
    let bytes = |to| traffic(&tied, 0, to).unwrap().memory;
    let [large, channels] = [512 * 256 + 256 * 512 + 1000 * 256, 512 + 256 + 1000];
    let rest = 4 * (256 + 512 + 512 + 2 * 64 * 256);
    assert_eq!(bytes(WeightType::F32), rest + 4 * large);
    assert_eq!(bytes(WeightType::Bf16), rest + 2 * large);
    assert_eq!(bytes(WeightType::Int8), rest + large + 4 * channels);
}

/// A visit with an addition of its own reads the sum, which the decoder keeps for it in `f32`, and not the shared kernel;
/// slices of one size are one kernel.
#[test]
fn kernels_that_visits_make_are_read_as_they_are_kept() {
    let text = |layers: &str, clause: &str| {
        format!(
            "net n {{
                input 8 of 10
                embedding(512)
                stage body {{ {layers} }}
                {clause}
            }}"
        )
    };
    let of = |layers: &str, clause: &str, cache, to| {
        let read = traffic(&network(&text(layers, clause), "n", &[]), cache, to).unwrap();
        [read.memory, read.cache]
    };
    let [row, kernel] = [4 * 512, 4 * 512 * 512];
    let three = "repeat 3 { linear(512, bias = false) }";
    let low_rank = "share isomorphic linear in body with private low_rank(2)";
    for to in [WeightType::F32, WeightType::Bf16, WeightType::Int8] {
        assert_eq!(of(three, low_rank, kernel, to), [row + 3 * kernel, 0], "{to:?}");
    }
    let slices = "share isomorphic linear in body into slices";
    let widths =
        "repeat 2 { linear(512, bias = false) }; linear(256, bias = false); repeat 2 { linear(256, bias = false) }";
    // In the cache is room for one of the last two kernels.
    let [half, quarter] = [kernel / 2, kernel / 4];
    let all = 2 * kernel + half + 2 * quarter;
    assert_eq!(of(widths, slices, 0, WeightType::F32), [row + all, 0]);
    assert_eq!(
        of(widths, slices, quarter, WeightType::F32),
        [row + all - quarter, quarter]
    );
    assert_eq!(of(widths, slices, 0, WeightType::Bf16), [row + all / 2, 0]);
}
