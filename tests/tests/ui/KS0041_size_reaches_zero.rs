use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 8 x 8
        conv(8, kernel = 5)
        conv(8, kernel = 5)
    }
}

fn main() {}
