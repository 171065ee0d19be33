use ksdsl_runtime::ksnet;

ksnet! {
    block basic(width, stride) { conv(width, kernel = 3, stride = stride) }

    net small {
        input 3 x 32 x 32
        conv(8)
        basic(16)
    }
}

fn main() {}
