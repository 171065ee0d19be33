use ksdsl_runtime::ksnet;

ksnet! {
    net small(width = 8) {
        input 3 x 32 x 32
        conv(widht, kernel = 3)
        repeat depth { conv(width, kernel = 3, pad = 1) }
    }
}

fn main() {}
