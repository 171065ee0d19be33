use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        relu(6)
        conv(8, kernel = 3, stride = 1, stride = 2)
    }
}

fn main() {}
