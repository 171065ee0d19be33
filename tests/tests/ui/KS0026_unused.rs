#![deny(deprecated)]

use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        keep image
        conv(8, kernel = 3)
    }
}

fn main() {}
