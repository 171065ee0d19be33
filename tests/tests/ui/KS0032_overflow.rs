use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 8
        let huge = 9_223_372_036_854_775_807
        linear(huge + 1)
    }
}

fn main() {}
