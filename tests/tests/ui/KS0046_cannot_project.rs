use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        residual(project = on_shape_change) {
            global_avg_pool
        }
    }
}

fn main() {}
