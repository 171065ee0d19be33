use ksdsl_runtime::ksnet;

ksnet! {
    net none {
        conv(8, kernel = 3)
    }
    net two {
        input 3 x 32 x 32
        input 1 x 28 x 28
        conv(8, kernel = 3)
    }
    net flat {
        input 1 x 3 x 32 x 32
        conv(8, kernel = 3)
    }
}

fn main() {}
