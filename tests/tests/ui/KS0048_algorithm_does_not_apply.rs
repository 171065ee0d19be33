use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        conv(8, kernel = 3, stride = 2, algorithm = winograd)
    }
}

fn main() {}
