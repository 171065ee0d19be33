use ksdsl_runtime::ksnet;

ksnet! {
    net small(depth = 2) {
        input 3 x 32 x 32
        conv(8, kernel = 3, stride = 0)
        repeat depth - 3 { relu }
    }
}

fn main() {}
