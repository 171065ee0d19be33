use super::Loader;
use crate::data::augment::{Augment, Erase, Picture, RandAugment, Transform};
use crate::data::{Dataset, Digits, Scaling, Sizes};
use crate::recipe::Recipe;
use crate::source::{HostBatch, Plain, Source};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::num::NonZeroUsize;
use std::time::Duration;

const SIZES: Sizes = Sizes::new([3, 6, 5], 4);

/// Pictures whose values are all different from those of the same place in the others.
fn data(images: usize) -> Dataset {
    let pixels = (0..images * SIZES.values()).map(|i| (i / SIZES.values() * 7 + i * 31) as u8);
    Dataset::new(SIZES, pixels.collect(), (0..images).map(|i| (i % 4) as u16).collect()).unwrap()
}

fn size(batch: usize) -> NonZeroUsize {
    NonZeroUsize::new(batch).unwrap()
}

/// Every kind of change.
fn everything() -> Augment {
    let scaling = Scaling::of(&data(23));
    Augment::of(&Recipe::convmixer().augment, &scaling).then(RandAugment::default())
}

fn loader(augment: Augment, seed: u64) -> Loader {
    let data = data(23);
    let scaling = Scaling::of(&data);
    Loader::new(data, size(5), &scaling, seed).augment(augment)
}

fn epoch(loader: &mut Loader, epoch: u32, from: u64) -> Vec<HostBatch> {
    loader.epoch(epoch, from).map(Result::unwrap).collect()
}

#[test]
fn without_changes_batches_are_the_plain_ones() {
    let (train, _) = Digits::embedded().split(0.9, 0);
    let scaling = Scaling::of(&train);
    let mut plain = Plain::new(&train, size(32), &scaling, 7);
    let mut loader = Loader::new(train.clone(), size(32), &scaling, 7);
    assert_eq!(loader.steps_per_epoch(), plain.steps_per_epoch());
    assert_eq!(loader.images(), train.len());
    for epoch in 1..4 {
        let expected: Vec<_> = plain.epoch(epoch, 0).map(Result::unwrap).collect();
        let batches: Vec<_> = loader.epoch(epoch, 0).map(Result::unwrap).collect();
        assert_eq!(batches, expected);
    }
}

#[test]
fn short_last_batches_can_be_left_out() {
    let lengths = |batch: usize, drop_last: bool| {
        let data = data(23);
        let scaling = Scaling::of(&data);
        let mut loader = Loader::new(data, size(batch), &scaling, 1).drop_last(drop_last);
        assert_eq!(loader.steps_per_epoch(), epoch(&mut loader, 1, 0).len() as u64);
        epoch(&mut loader, 2, 0).iter().map(HostBatch::len).collect::<Vec<_>>()
    };
    assert_eq!(lengths(5, false), [5, 5, 5, 5, 3]);
    assert_eq!(lengths(5, true), [5, 5, 5, 5]);
    assert_eq!(lengths(23, true), [23]);
    // Otherwise nothing would be trained on.
    assert_eq!(lengths(30, true), [23]);
}

#[test]
fn threads_do_not_show_in_batches() {
    let run = |workers, ahead| {
        let mut loader = loader(everything(), 3).workers(workers).ahead(size(ahead));
        [epoch(&mut loader, 1, 0), epoch(&mut loader, 2, 0)].concat()
    };
    let alone = run(0, 1);
    assert_eq!(
        alone.iter().map(HostBatch::len).collect::<Vec<_>>(),
        [5, 5, 5, 5, 3, 5, 5, 5, 5, 3]
    );
    for (workers, ahead) in [(1, 1), (2, 1), (3, 7), (8, 3)] {
        assert_eq!(run(workers, ahead), alone);
    }
}

/// Elsewhere: <https://github.com/huggingface/accelerate/issues/2823>
#[test]
fn any_step_can_be_the_first() {
    let whole: Vec<_> = (1..4)
        .map(|number| epoch(&mut loader(everything(), 3), number, 0))
        .collect();
    let mut one = loader(everything(), 3);
    for (number, from) in [(3, 2), (1, 4), (2, 0), (3, 0), (1, 1), (1, 5)] {
        let expected = &whole[number as usize - 1][from as usize..];
        assert_eq!(epoch(&mut one, number, from), expected, "{number} {from}");
    }
    // An epoch that is left early leaves nothing behind.
    let _ = one.epoch(2, 0).nth(1);
    assert_eq!(epoch(&mut one, 2, 1), whole[1][1..]);
}

#[test]
fn seeds_and_epochs_decide() {
    let mut first = loader(Augment::cifar(), 3);
    let batches = epoch(&mut first, 1, 0);
    assert_ne!(batches, epoch(&mut first, 2, 0));
    assert_ne!(batches, epoch(&mut loader(Augment::cifar(), 4), 1, 0));
    let mut labels: Vec<_> = batches.iter().flat_map(|batch| batch.labels.clone()).collect();
    labels.sort();
    // 23 images of the classes 0, 1, 2, 3, 0, ...
    let counts = [6, 6, 6, 5];
    assert!((0..4).all(|class| labels.iter().filter(|&&label| label == class).count() == counts[class]));
}

/// Adds 1 to all values.
#[derive(Debug)]
struct Lighter;

impl Transform for Lighter {
    fn apply(&self, picture: &mut Picture, _: &mut ChaCha8Rng) {
        picture
            .pixels
            .iter_mut()
            .for_each(|pixel| *pixel = pixel.wrapping_add(1));
    }
}

#[derive(Debug)]
struct Double;

impl Erase for Double {
    fn erase(&self, values: &mut [f32], size: (usize, usize), _: &mut ChaCha8Rng) {
        assert_eq!((values.len(), size), (SIZES.values(), (6, 5)));
        values.iter_mut().for_each(|value| *value *= 2.0);
    }
}

#[test]
fn pictures_are_changed_then_scaled_then_erased_then_smoothed() {
    let scaling = Scaling {
        mean: vec![10.0; 3],
        deviation: vec![4.0; 3],
    };
    let images = Dataset::new(SIZES, vec![29; SIZES.values()], vec![2]).unwrap();
    let augment = Augment::none().then(Lighter).erase(Double).smooth(0.5);
    let mut loader = Loader::new(images, size(1), &scaling, 0).augment(augment);
    let batch = loader.epoch(1, 0).next().unwrap().unwrap();
    // ((29 + 1) - 10) / 4 * 2
    assert_eq!(batch.images, vec![10.0; SIZES.values()]);
    assert_eq!(batch.targets, [0.125, 0.125, 0.625, 0.125]);
    assert_eq!(batch.labels, [2]);
}

#[derive(Debug)]
struct Bad;

impl Transform for Bad {
    fn apply(&self, _: &mut Picture, rng: &mut ChaCha8Rng) {
        assert!(rng.r#gen::<f64>() > 2.0, "no such picture");
    }
}

#[test]
fn a_change_that_panics_is_an_error_with_its_place() {
    let mut loader = loader(Augment::none().then(Bad), 0);
    let message = loader.epoch(2, 3).next().unwrap().unwrap_err().to_string();
    assert_eq!(
        message,
        "the batch of epoch 2, step 3 could not be created: no such picture"
    );
}

#[test]
fn settings_tell_what_decides() {
    let settings = |loader: &Loader| loader.settings();
    let one = settings(&loader(Augment::cifar(), 3));
    assert_eq!(one, settings(&loader(Augment::cifar(), 3).workers(1)));
    assert_ne!(one, settings(&loader(Augment::cifar(), 4)));
    assert_ne!(one, settings(&loader(Augment::cifar().smooth(0.1), 3)));
    let other = Loader::new(data(24).part(|i| i != 4), size(5), &Scaling::of(&data(23)), 3).augment(Augment::cifar());
    assert_ne!(one, settings(&other), "other images");
    assert!(
        one.iter().any(|(_, value)| value.contains("PaddedCrop { pad: 4 }")),
        "{one:?}"
    );
}

#[derive(Debug)]
struct Slow;

impl Transform for Slow {
    fn apply(&self, _: &mut Picture, _: &mut ChaCha8Rng) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Someone who only takes batches waits nearly all the time.
#[test]
fn waiting_is_measured() {
    let mut loader = loader(Augment::none().then(Slow), 0).workers(1);
    assert_eq!(loader.waits().share(), 0.0);
    let batches = epoch(&mut loader, 1, 0).len() as u64;
    let waits = loader.waits();
    assert_eq!(waits.batches, batches);
    // 23 images, one after the other, take 46 ms at least, some of which may pass between two batches.
    assert!(waits.waited >= Duration::from_millis(23), "{waits:?}");
    assert!(waits.waited <= waits.elapsed, "{waits:?}");
    assert!(waits.share() > 0.5, "{waits:?}");
}

#[test]
fn no_images_are_no_batches() {
    let empty = Dataset::new(SIZES, Vec::new(), Vec::new()).unwrap();
    let scaling = Scaling::of(&empty);
    let mut loader = Loader::new(empty, size(5), &scaling, 0);
    assert_eq!((loader.steps_per_epoch(), loader.epoch(1, 0).count()), (0, 0));
}
