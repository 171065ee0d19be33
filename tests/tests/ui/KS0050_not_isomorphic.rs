use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        stage stem { conv(16, kernel = 3, pad = 1) }
        stage s1 {
            conv1: conv(64, kernel = 3, pad = 1); relu
            conv2: conv(64, kernel = 3, pad = 1); relu
        }
        share s1.conv1, s1.conv2
    }
}

fn main() {}
