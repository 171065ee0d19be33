use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 8 x 32 x 32
        repeat 1_000_000_000 { relu }
    }
}

fn main() {}
