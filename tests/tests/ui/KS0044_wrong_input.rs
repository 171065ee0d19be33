use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        global_avg_pool
        conv(8, kernel = 3)
        linear(10)
    }
}

fn main() {}
