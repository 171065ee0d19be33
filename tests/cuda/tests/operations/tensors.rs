//! Between tensors, gradients and buffers.

use crate::support::{down, gpu, up};
use ksdsl_cuda_tests::counts;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::dfdx::prelude::*;
use ksdsl_runtime::dfdx::tensor::Cuda;

fn read<S: Shape>(dev: &Cuda, tensor: &Tensor<S, f32, Cuda>) -> Vec<f64> {
    let len = tensor.shape().num_elements();
    let exec = Backend::<f32>::exec(dev).unwrap();
    down::<f32, _>(&exec, dev.read_tensor(tensor).unwrap(), len)
}

#[test]
fn tensors_are_read_in_logical_order() {
    let gpu = gpu(0);
    let dev = &gpu.device;
    let plain = dev.tensor([[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    assert_eq!(read(dev, &plain), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let turned: Tensor<Rank2<3, 2>, f32, _> = plain.clone().permute();
    assert_eq!(read(dev, &turned), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let row = dev.tensor([7.0_f32, 8.0]);
    let spread = row.broadcast::<Rank2<2, 2>, Axis<0>>();
    assert_eq!(read(dev, &spread), [7.0, 8.0, 7.0, 8.0]);
}

#[test]
fn reading_and_making_copies_nothing_to_the_host() {
    let gpu = gpu(0);
    let dev = &gpu.device;
    let tensor = dev.tensor([1.0_f32, 2.0, 3.0]);
    let _ = Backend::<f32>::read_tensor(dev, &tensor).unwrap();
    let before = counts();
    let buf = Backend::<f32>::read_tensor(dev, &tensor).unwrap();
    let again = Backend::<f32>::make_tensor(dev, buf, Rank1::<3>::default()).unwrap();
    let after = counts();
    assert_eq!(
        before.map(|counts| (counts.to_device, counts.to_host)),
        after.map(|counts| (counts.to_device, counts.to_host))
    );
    assert_eq!(again.array(), [1.0, 2.0, 3.0]);
    assert_eq!(tensor.array(), [1.0, 2.0, 3.0]);
}

#[test]
fn tensors_are_made_and_refused() {
    let gpu = gpu(0);
    let dev = &gpu.device;
    let made = Backend::<f32>::make_tensor(dev, up::<f32, _>(&gpu.exec, &[1.0, 2.0]), Rank1::<2>::default()).unwrap();
    assert_eq!(made.as_vec(), [1.0, 2.0]);
    assert!(Backend::<f32>::make_tensor(dev, up::<f32, _>(&gpu.exec, &[1.0]), Rank1::<2>::default()).is_err());
}

#[test]
fn gradients_are_added_and_taken() {
    let gpu = gpu(0);
    let dev = &gpu.device;
    let tensor = dev.tensor([1.0_f32, 2.0]);
    let mut gradients = Gradients::leaky();
    dev.add_to_gradient(&mut gradients, &tensor, up::<f32, _>(&gpu.exec, &[1.0, 2.0]))
        .unwrap();
    dev.add_to_gradient(&mut gradients, &tensor, up::<f32, _>(&gpu.exec, &[0.5, 0.5]))
        .unwrap();
    assert_eq!(gradients.get(&tensor).array(), [1.5, 2.5]);
    assert!(
        dev.add_to_gradient(&mut gradients, &tensor, up::<f32, _>(&gpu.exec, &[1.0]))
            .is_err()
    );
    let taken = dev.take_gradient(&mut gradients, &tensor).unwrap();
    assert_eq!(down::<f32, _>(&gpu.exec, taken, 2), [1.5, 2.5]);
    let other = dev.tensor([3.0_f32]);
    let none = dev.take_gradient(&mut gradients, &other).unwrap();
    assert_eq!(down::<f32, _>(&gpu.exec, none, 1), [0.0]);
}

/// The way that is taken where dfdx does not show where a tensor lies.
#[test]
fn tensors_can_be_read_through_a_gradient() {
    let gpu = gpu(0);
    let dev = &gpu.device;
    let tensor = dev.tensor([[1.5_f32, -2.0, 3.0], [4.0, 0.0, 6.0]]);
    let read = ksdsl_runtime::cuda::read_through_gradient(&tensor).unwrap();
    assert_eq!(down::<f32, _>(&gpu.exec, read, 6), [1.5, -2.0, 3.0, 4.0, 0.0, 6.0]);
    assert_eq!(tensor.array(), [[1.5, -2.0, 3.0], [4.0, 0.0, 6.0]]);
}
