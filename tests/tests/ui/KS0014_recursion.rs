use ksdsl_runtime::ksnet;

ksnet! {
    block outer(width) { inner(width) }
    block inner(width) { relu; outer(width) }

    net small {
        input 3 x 32 x 32
        outer(8)
    }
}

fn main() {}
