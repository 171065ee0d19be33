use ksdsl_runtime::ksnet;

ksnet! {
    net small(reduction = 0) {
        input 3 x 32 x 32
        conv(16 / reduction, kernel = 3)
    }
}

fn main() {}
