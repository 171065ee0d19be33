use ksdsl_runtime::ksnet;

ksnet! {
    net small(width = 8, width = 16) {
        input 3 x 32 x 32
        stage s1 { conv(width, kernel = 3) }
        stage s1 { conv(width, kernel = 3) }
    }
}

fn main() {}
