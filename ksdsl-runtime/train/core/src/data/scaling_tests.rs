use super::Scaling;
use crate::data::{Dataset, Digits, Sizes};
use crate::source::HostBatch;

fn digits(pixels: Vec<u8>, labels: Vec<u16>) -> Dataset {
    Dataset::new(Digits::SIZES, pixels, labels).unwrap()
}

#[test]
fn scaling_gives_mean_0_and_variance_1() {
    // Half of the pixels 2, half 6: mean 4, deviation 2.
    let digits = digits([[2; 64], [6; 64]].concat(), vec![0, 0]);
    let scaling = Scaling::of(&digits);
    assert_eq!((scaling.mean, scaling.deviation), (vec![4.0], vec![2.0]));
    let batch = HostBatch::new(&digits, 0..2, &Scaling::of(&digits));
    assert_eq!(batch.images, [[-1.0; 64], [1.0; 64]].concat());
}

#[test]
fn every_channel_has_a_scaling_of_its_own() {
    // Channel 0: 1, 3, 1, 3; channel 1: 10, 10, 30, 30.
    let data = Dataset::new(Sizes::new([2, 1, 2], 2), vec![1, 3, 10, 10, 1, 3, 30, 30], vec![0, 1]).unwrap();
    let scaling = Scaling::of(&data);
    assert_eq!((scaling.mean, scaling.deviation), (vec![2.0, 20.0], vec![1.0, 10.0]));
    let batch = HostBatch::new(&data, [1], &Scaling::of(&data));
    assert_eq!(batch.images, [-1.0, 1.0, 1.0, 1.0]);
    assert_eq!(batch.targets, [0.0, 1.0]);
}

#[test]
fn scaling_of_equal_pixels_is_finite() {
    assert_eq!(Scaling::of(&digits(vec![7; 64], vec![0])).deviation, [1.0]);
}
