use super::{Plain, Source};
use crate::data::{Dataset, Scaling, Sizes};

/// Ten images of one channel and two pixels in three classes; the first pixel is the image's number.
fn data() -> Dataset {
    let pixels = (0..10).flat_map(|i| [i, 100]).collect();
    Dataset::new(Sizes::new([1, 1, 2], 3), pixels, (0..10).map(|i| i % 3).collect()).unwrap()
}

fn as_is() -> Scaling {
    Scaling {
        mean: vec![0.0],
        deviation: vec![1.0],
    }
}

fn images(source: &mut Plain<'_>, epoch: u32, from: u64) -> Vec<Vec<f32>> {
    source.epoch(epoch, from).map(|batch| batch.unwrap().images).collect()
}

#[test]
fn an_epoch_holds_every_image_once_with_its_target() {
    let data = data();
    let mut source = Plain::new(&data, 4.try_into().unwrap(), &as_is(), 7);
    assert_eq!((source.images(), source.steps_per_epoch()), (10, 3));
    let mut seen = Vec::new();
    for batch in source.epoch(1, 0) {
        let batch = batch.unwrap();
        for ((image, target), label) in batch.images.chunks(2).zip(batch.targets.chunks(3)).zip(&batch.labels) {
            assert_eq!(image[0] as usize % 3, *label);
            let largest = (0..3).map(|class| f32::from(u8::from(class == *label)));
            assert_eq!(target, largest.collect::<Vec<_>>());
            seen.push(image[0] as usize);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
}

#[test]
fn an_epoch_can_be_entered_anywhere_and_in_any_order() {
    let data = data();
    let mut source = Plain::new(&data, 4.try_into().unwrap(), &as_is(), 7);
    let second = images(&mut source, 2, 0);
    let first = images(&mut source, 1, 0);
    assert_ne!(first, second);
    for from in 0..=3 {
        assert_eq!(images(&mut source, 2, from), second[from as usize..]);
    }
    let mut other = Plain::new(&data, 4.try_into().unwrap(), &as_is(), 8);
    assert_ne!(images(&mut other, 1, 0), first);
}
