use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        stage s1 {
            input 3 x 32 x 32
            conv(8, kernel = 3)
            share isomorphic conv
        }
        input 3 x 32 x 32
    }
}

fn main() {}
