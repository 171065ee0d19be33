use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 6 x 32 x 32
        conv(8, kernel = 3, groups = 4)
    }
}

fn main() {}
