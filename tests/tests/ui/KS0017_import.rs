use ksdsl_runtime::ksnet;

ksnet! {
    use "nets/no_such_file.ksn"
    net small { input 3 x 8 x 8; conv(8, kernel = 3) }
}

fn main() {}
