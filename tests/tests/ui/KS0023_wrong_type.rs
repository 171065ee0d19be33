use ksdsl_runtime::ksnet;

ksnet! {
    net small(deep = true) {
        input 3 x 32 x 32
        repeat deep { conv(8, kernel = 3, pad = 1) }
        conv(8, kernel = 3, pad = sane)
    }
}

fn main() {}
