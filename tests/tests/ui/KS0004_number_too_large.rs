use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 8
        linear(99999999999999999999)
    }
}

fn main() {}
