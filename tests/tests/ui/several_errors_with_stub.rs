use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;

ksnet! {
    net small(width = 8) {
        input 3 x 32 x 32
        stage s1 { conv(widht, kernel = 3); batchnorm }
    }
    net fine {
        input 8
        linear(4)
    }
}

// A stub stands for `small`, and `fine` is itself: what uses them gives no further errors.
fn main() {
    let device = Cpu::default();
    let small = device.build_module::<small::Builder, f32>();
    let mut fine = device.build_module::<fine::Builder, f32>();
    let images: Tensor<Rank4<1, 3, 32, 32>, f32, _> = device.zeros();
    let _ = small.forward(images);
    let features: Tensor<Rank2<1, 8>, f32, _> = device.zeros();
    let logits: Tensor<Rank2<1, 4>, f32, _, _> = fine.forward_mut(features.leaky_trace());
    println!("{} {:?}", small::PARAMETERS, logits.array());
}
