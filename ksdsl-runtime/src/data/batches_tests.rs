use super::{Batch, Batches, Scaling};
use crate::data::{Digit, Digits};
use dfdx::shapes::HasShape;
use dfdx::tensor::Cpu;
use std::num::NonZeroUsize;

/// `count` digits whose pixels all have the number of the digit (below 17), with classes 0, 1, ...
fn numbered(count: u8) -> Digits {
    (0..count)
        .map(|i| Digit {
            pixels: [i; 64],
            class: i % 10,
        })
        .collect()
}

const AS_IT_IS: Scaling = Scaling {
    mean: 0.0,
    deviation: 1.0,
};

/// Of each batch of an epoch, the numbers of its digits.
fn numbers(batches: &mut Batches) -> Vec<Vec<usize>> {
    let number = |image: &[f64]| image[0] as usize;
    batches
        .epoch::<f64, _>(&Cpu::default())
        .map(|batch| batch.unwrap().images.as_vec().chunks(64).map(number).collect())
        .collect()
}

fn batches(digits: &Digits, size: usize, seed: u64) -> Batches<'_> {
    Batches::new(digits, NonZeroUsize::new(size).unwrap(), AS_IT_IS, seed)
}

#[test]
fn scaling_gives_mean_0_and_variance_1() {
    // Half of the pixels 2, half 6: mean 4, deviation 2.
    let digits: Digits = [2, 6]
        .map(|pixel| Digit {
            pixels: [pixel; 64],
            class: 0,
        })
        .into_iter()
        .collect();
    let scaling = Scaling::of(&digits);
    assert_eq!((scaling.mean, scaling.deviation), (4.0, 2.0));
    let batch = Batch::<f32, _>::new(&digits, scaling, &Cpu::default()).unwrap();
    assert_eq!(batch.images.as_vec(), [[-1.0; 64], [1.0; 64]].concat());
}

#[test]
fn scaling_of_equal_pixels_is_finite() {
    let digits: Digits = numbered(4).iter().take(1).copied().collect();
    assert_eq!(Scaling::of(&digits).deviation, 1.0);
}

#[test]
fn tensors_keep_rows_and_columns_and_mark_the_class() {
    let mut pixels = [0; 64];
    pixels[2 * 8 + 5] = 16; // row 2, column 5
    let digit = Digit { pixels, class: 3 };
    let batch = Batch::<f64, _>::new([&digit], AS_IT_IS, &Cpu::default()).unwrap();
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
