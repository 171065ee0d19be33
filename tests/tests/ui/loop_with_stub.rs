use ksdsl_runtime::ksnet;
use ksdsl_runtime::prelude::*;

ksnet! {
    net unknown {
        input 8
        steps: repeat up to 4 { linear(8); tahn }
    }
    net resolved {
        input 8
        steps: repeat up to 4 { linear(8) }
        conv(3, kernel = 3)
    }
}

// Stubs stand for both: calls with counts give no further errors.
fn main() {
    let device = Cpu::default();
    let mut unknown = device.build_module::<unknown::Builder, f32>();
    let mut resolved = device.build_module::<resolved::Builder, f32>();
    let x: Tensor<Rank2<1, 8>, f32, _> = device.zeros();
    let _ = unknown.with_steps(2).forward(x.clone());
    let _ = unknown.with_steps_mut(2).forward_mut(x.clone().leaky_trace());
    let steps = resolved::Steps { steps: 2 };
    let _ = resolved.with_steps(steps).forward(x.clone());
    let _ = resolved.with_steps_mut(3).forward_mut(x.leaky_trace());
}
