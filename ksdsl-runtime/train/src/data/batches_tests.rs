use super::{Batch, Batches, Scaling};
use crate::data::{Dataset, Digits};
use ksdsl_runtime::dfdx::shapes::HasShape;
use ksdsl_runtime::dfdx::tensor::Cpu;
use std::num::NonZeroUsize;

/// `count` digits whose pixels all have the number of the digit (below 17), with classes 0, 1, ...
fn numbered(count: u8) -> Digits {
    let pixels = (0..count).flat_map(|i| [i; 64]).collect();
    Digits::new(pixels, (0..count).map(|i| u16::from(i % 10)).collect()).unwrap()
}

const AS_IT_IS: Scaling<1> = Scaling {
    mean: [0.0],
    deviation: [1.0],
};

/// Of each batch of an epoch, the numbers of its digits.
fn numbers(batches: &mut Batches<1, 8, 8, 10>) -> Vec<Vec<usize>> {
    let number = |image: &[f64]| image[0] as usize;
    batches
        .epoch::<f64, _>(&Cpu::default())
        .map(|batch| batch.unwrap().images.as_vec().chunks(64).map(number).collect())
        .collect()
}

fn batches(digits: &Digits, size: usize, seed: u64) -> Batches<'_, 1, 8, 8, 10> {
    Batches::new(digits, NonZeroUsize::new(size).unwrap(), AS_IT_IS, seed)
}

#[test]
fn scaling_gives_mean_0_and_variance_1() {
    // Half of the pixels 2, half 6: mean 4, deviation 2.
    let digits = Digits::new([[2; 64], [6; 64]].concat(), vec![0, 0]).unwrap();
    let scaling = Scaling::of(&digits);
    assert_eq!((scaling.mean, scaling.deviation), ([4.0], [2.0]));
    let batch = Batch::<_, _, _, _, f32, _>::new(&digits, 0..2, scaling, &Cpu::default()).unwrap();
    assert_eq!(batch.images.as_vec(), [[-1.0; 64], [1.0; 64]].concat());
}

#[test]
fn every_channel_has_a_scaling_of_its_own() {
    // Channel 0: 1, 3, 1, 3; channel 1: 10, 10, 30, 30.
    let data = Dataset::<2, 1, 2, 2>::new(vec![1, 3, 10, 10, 1, 3, 30, 30], vec![0, 1]).unwrap();
    let scaling = Scaling::of(&data);
    assert_eq!((scaling.mean, scaling.deviation), ([2.0, 20.0], [1.0, 10.0]));
    let batch = Batch::<_, _, _, _, f64, _>::new(&data, [1], scaling, &Cpu::default()).unwrap();
    assert_eq!(batch.images.as_vec(), [-1.0, 1.0, 1.0, 1.0]);
    assert_eq!(batch.targets.as_vec(), [0.0, 1.0]);
}

#[test]
fn scaling_of_equal_pixels_is_finite() {
    assert_eq!(Scaling::of(&numbered(1)).deviation, [1.0]);
}

#[test]
fn tensors_keep_rows_and_columns_and_mark_the_class() {
    let mut pixels = [0; 64];
    pixels[2 * 8 + 5] = 16; // row 2, column 5
    let digits = Digits::new(pixels.to_vec(), vec![3]).unwrap();
    let batch = Batch::<_, _, _, _, f64, _>::new(&digits, [0], AS_IT_IS, &Cpu::default()).unwrap();
    assert_eq!(batch.images.shape().0, 1);
    assert_eq!(batch.images[[0, 0, 2, 5]], 16.0);
    assert_eq!(batch.images.as_vec().iter().sum::<f64>(), 16.0);
    assert_eq!(
        batch.targets.as_vec(),
        [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    );
}

#[test]
fn an_epoch_holds_every_image_once() {
    let digits = numbered(17);
    let mut batches = batches(&digits, 5, 0);
    assert_eq!(batches.per_epoch(), 4);
    for _ in 0..3 {
        let epoch = numbers(&mut batches);
        assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 2]);
        let mut all = epoch.concat();
        all.sort();
        assert_eq!(all, (0..17).collect::<Vec<_>>());
    }
}

#[test]
fn every_epoch_has_an_order_of_its_own() {
    let digits = numbered(17);
    let mut one = batches(&digits, 17, 0);
    let (first, second) = (numbers(&mut one), numbers(&mut one));
    assert_ne!(first, second);
    assert_ne!(first, [(0..17).collect::<Vec<_>>()]);
    let mut again = batches(&digits, 17, 0);
    assert_eq!((numbers(&mut again), numbers(&mut again)), (first.clone(), second));
    assert_ne!(numbers(&mut batches(&digits, 17, 1)), first);
}
