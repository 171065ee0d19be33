use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 8 x 32 x 32
        stage s1 { repeat 3 { conv(8, kernel = 3, pad = 1); relu } }
        share isomorphic conv in s1 into [0, _]
    }
}

fn main() {}
