//! What an image gives depends on nothing else in its batch.

use crate::model::*;
use ksdsl_runtime::prelude::*;
use ksdsl_tests::tensors::values;

/// The logits of inference, image by image, as bits.
fn bits(model: &Shared<f32>, images: &Images<f32>) -> Vec<Vec<u32>> {
    let logits = model.forward(images.clone()).as_vec();
    logits
        .chunks(3)
        .map(|image| image.iter().map(|logit| logit.to_bits()).collect())
        .collect()
}

/// <https://github.com/keras-team/keras/issues/13328>
#[test]
fn an_image_does_not_feel_its_neighbours() {
    let model = build::<f32>(1);
    let images = images::<f32>(5);
    let expected = bits(&model, &images);
    for broken in [f32::NAN, f32::INFINITY, 1e8] {
        let mut pixels = images.as_vec();
        pixels[2 * IMAGE..3 * IMAGE].fill(broken);
        let found = bits(&model, &tensor(pixels));
        for image in [0, 1, 3, 4] {
            assert_eq!(found[image], expected[image], "image {image} beside {broken}");
        }
    }
}

/// <https://github.com/tensorflow/tensorflow/issues/8670>
#[test]
fn an_image_alone_has_its_logits_of_the_batch() {
    let model = build::<f64>(2);
    let images = images::<f64>(5);
    let logits = model.forward(images.clone()).as_vec();
    for (pixels, expected) in images.as_vec().chunks(IMAGE).zip(logits.chunks(3)) {
        let alone = tensor::<f64>(pixels.to_vec());
        assert_close(&model.forward(alone).as_vec(), expected);
    }
}

/// <https://github.com/pytorch/pytorch/issues/1738>
#[test]
fn every_visit_has_statistics_of_its_own() {
    let mut model = build::<f64>(3);
    train(&mut model);
    let values = values(&model);
    let means = [0, 1, 2].map(|block| &values[&format!("body.{block}.batch_norm.running_mean")]);
    assert!(means[0] != means[1] && means[1] != means[2] && means[0] != means[2]);
}
