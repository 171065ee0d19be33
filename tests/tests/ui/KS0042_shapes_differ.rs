use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        residual { conv(8, kernel = 3, pad = 1) }
        add {
            path { conv(8, kernel = 1) }
            path { conv(16, kernel = 1) }
        }
    }
}

fn main() {}
