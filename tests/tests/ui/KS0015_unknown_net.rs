use ksdsl_runtime::ksnet;

ksnet! {
    net resnet(depth = 2) {
        input 3 x 32 x 32
        repeat depth { conv(8, kernel = 3, pad = 1); relu }
    }
    net resnet_20 = resnt(depth = 20)
}

fn main() {}
