use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        residual { }
        add { path { relu } }
    }
}

fn main() {}
