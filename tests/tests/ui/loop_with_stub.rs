use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;

ksnet! {
    net refine {
        input 8
        steps: repeat up to 4 { linear(8); tahn }
        linear(3)
    }
}

// A stub stands for `refine`: calls with a count give no further errors.
fn main() {
    let mut model = Cpu::default().build_module::<refine::Builder, f32>();
    let x: Tensor<Rank2<1, 8>, f32, _> = Cpu::default().zeros();
    let _ = model.with_steps(2).forward(x.clone());
    let _ = model.with_steps_mut(refine::Steps { steps: 2 }).forward_mut(x.leaky_trace());
}
