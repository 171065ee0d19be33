use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 8 x 32 x 32
        stage s1 { repeat 3 { conv1: conv(8, kernel = 3, pad = 1); relu } }
        share s1[*].cnov1
    }
}

fn main() {}
