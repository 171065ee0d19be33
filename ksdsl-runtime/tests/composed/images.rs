//! Images as a whole.

use super::*;

/// Each image is 0 or itself times 1 / (1 - p), and about p of them are 0.
#[test]
fn stochastic_depth_is_of_whole_images() {
    let x: Tensor<Rank2<256, 3>, f64, _> = Cpu::seed_from_u64(19).sample_normal();
    let run = |seed, training| {
        let device = Cpu::seed_from_u64(seed);
        let mut pass = if training {
            Pass::training(&device)
        } else {
            Pass::inference(&device)
        };
        let y = op::stochastic_depth(&mut pass, Flat::read(x.clone()).unwrap(), 0.25).unwrap();
        y.into_tensor().unwrap().as_vec()
    };
    assert_eq!(run(1, true), run(1, true));
    assert_ne!(run(1, true), run(2, true));
    assert_eq!(run(1, false), x.as_vec());
    let (x, y) = (x.as_vec(), run(1, true));
    let mut dropped = 0;
    for (x, y) in x.chunks(3).zip(y.chunks(3)) {
        match y == [0.0; 3] {
            true => dropped += 1,
            false => x.iter().zip(y).for_each(|(x, y)| assert!((x / 0.75 - y).abs() < 1e-12)),
        }
    }
    // 64 of 256 expected, standard deviation sqrt(256 * 0.25 * 0.75) = 7.
    assert!((36..=92).contains(&dropped), "{dropped} of 256 dropped at p = 0.25");
}
