use ksdsl_runtime::ksnet;

ksnet! {
    net small(width = 10) {
        input 3 x 32 x 32
        conv(width / 4, kernel = 3)
    }
}

fn main() {}
