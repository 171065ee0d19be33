use super::OnDevice;
use crate::data::{Dataset, Digits, Scaling};
use crate::source::HostBatch;
use ksdsl_runtime::dfdx::shapes::HasShape;
use ksdsl_runtime::dfdx::tensor::Cpu;

fn digits(pixels: Vec<u8>, labels: Vec<u16>) -> Dataset {
    Dataset::new(Digits::SIZES, pixels, labels).unwrap()
}

#[test]
fn tensors_keep_rows_and_columns_and_mark_the_class() {
    let mut pixels = [0; 64];
    pixels[2 * 8 + 5] = 16; // row 2, column 5
    let as_it_is = Scaling {
        mean: vec![0.0],
        deviation: vec![1.0],
    };
    let batch = HostBatch::new(&digits(pixels.to_vec(), vec![3]), [0], &as_it_is);
    let (images, targets) = batch.tensors::<1, 8, 8, 10, _>(&Cpu::default()).unwrap();
    assert_eq!(images.shape().0, 1);
    assert_eq!(images[[0, 0, 2, 5]], 16.0);
    assert_eq!(images.as_vec().iter().sum::<f32>(), 16.0);
    assert_eq!(targets.as_vec(), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn batches_that_do_not_fit_the_network_are_refused() {
    let batch = HostBatch::new(
        &digits(vec![7; 128], vec![0, 1]),
        0..2,
        &Scaling::of(&digits(vec![7; 64], vec![0])),
    );
    let error = batch.tensors::<1, 8, 9, 10, _>(&Cpu::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the batch has 128 values and 20 targets for 2 images; the network takes 1 x 8 x 9 values and 10 targets for each"
    );
    assert!(batch.tensors::<1, 8, 8, 9, _>(&Cpu::default()).is_err());
    assert!(HostBatch::default().tensors::<1, 8, 8, 10, _>(&Cpu::default()).is_err());
}
