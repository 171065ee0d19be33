#![deny(deprecated)]

use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        conv(3, 16, 3)
    }
}

fn main() {}
