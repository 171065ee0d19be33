use ksdsl_runtime::ksnet;

ksnet! {
    net small {
        input 3 x 32 x 32
        stag s1 { conv(8, kernel = 3) }
        stage head { global_avg_pool; linear(10) }
    }
    net other {
        input 8
        linear(classes = , 10)
    }
}

fn main() {}
