use ksdsl_runtime::ksnet;

ksnet! {
    // A line comment, with größe and 大きさ in it.
    /// Doc comment: größe.
    net /* é */ small {
        /* A block comment
           over two lines. */ input 3 x 32 x 32 // to the end
        größe(8); conv(8 , /* nothing */ kernel = 大きさ)
    }
}

fn main() {}
