//! Between tensors, gradients and buffers.

use dfdx::prelude::*;
use ksdsl_cpu::CpuBuf;
use ksdsl_runtime::backend::Backend;
use ksdsl_runtime::dfdx;

fn cpu() -> Cpu {
    Cpu::default()
}

fn buf(values: &[f32]) -> CpuBuf<f32> {
    CpuBuf::from_vec(values.to_vec())
}

#[test]
fn tensors_are_read_in_logical_order() {
    let dev = cpu();
    let plain = dev.tensor([[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    assert_eq!(&dev.read_tensor(&plain).unwrap()[..], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let turned: Tensor<Rank2<3, 2>, f32, _> = plain.clone().permute();
    assert_eq!(&dev.read_tensor(&turned).unwrap()[..], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let row = dev.tensor([7.0_f32, 8.0]);
    let spread = row.broadcast::<Rank2<2, 2>, Axis<0>>();
    assert_eq!(&dev.read_tensor(&spread).unwrap()[..], [7.0, 8.0, 7.0, 8.0]);
}

#[test]
fn tensors_are_made_and_refused() {
    let dev = cpu();
    let made = Backend::<f32>::make_tensor(&dev, buf(&[1.0_f32, 2.0]), Rank1::<2>::default()).unwrap();
    assert_eq!(made.as_vec(), [1.0, 2.0]);
    assert!(Backend::<f32>::make_tensor(&dev, buf(&[1.0_f32]), Rank1::<2>::default()).is_err());
}

#[test]
fn gradients_are_added_and_taken() {
    let dev = cpu();
    let tensor = dev.tensor([1.0_f32, 2.0]);
    let mut gradients = Gradients::leaky();
    dev.add_to_gradient(&mut gradients, &tensor, buf(&[1.0, 2.0])).unwrap();
    dev.add_to_gradient(&mut gradients, &tensor, buf(&[0.5, 0.5])).unwrap();
    assert_eq!(gradients.get(&tensor).array(), [1.5, 2.5]);
    assert!(dev.add_to_gradient(&mut gradients, &tensor, buf(&[1.0])).is_err());
    assert_eq!(&dev.take_gradient(&mut gradients, &tensor).unwrap()[..], [1.5, 2.5]);
    let other = dev.tensor([3.0_f32]);
    assert_eq!(&dev.take_gradient(&mut gradients, &other).unwrap()[..], [0.0]);
}

#[test]
fn tensors_are_set_to_as_many_values() {
    let dev = cpu();
    let mut tensor = dev.tensor_from_vec(vec![2.0_f32; 3], (3,));
    assert!(dev.set_tensor(&mut tensor, buf(&[1.0; 2])).is_err());
    assert_eq!(tensor.as_vec(), [2.0; 3]);
    dev.set_tensor(&mut tensor, buf(&[1.0; 3])).unwrap();
    assert_eq!(tensor.as_vec(), [1.0; 3]);
}
