//! Compiles the example networks to Rust, and instances of them.

use ksdsl::build::Config;
use std::error::Error;
use std::{env, io};

/// The instances that the program `nets` trains: output file, source file, and instances.
const SMALL: [(&str, &str, &str); 2] = [
    (
        "small_se_resnet",
        "sweep.ksn",
        "
net se_resnet_small_unshared = sweep(channels = 3, side = 32, width = 16, shared = 0)
net se_resnet_small_shared = sweep(channels = 3, side = 32, width = 16, shared = 3)
",
    ),
    (
        "small_convmixer",
        "nets/convmixer.ksn",
        "
net convmixer_small_unshared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2, shared = false)
net convmixer_small_shared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2)
",
    ),
];

/// As [`SMALL`], with the feature `cifar`; replaces the files of the same name.
const CIFAR: [(&str, &str, &str); 2] = [
    (
        "small_se_resnet",
        "sweep.ksn",
        "
net se_resnet_small_unshared = sweep(channels = 3, side = 32, width = 16, shared = 0)
net se_resnet_small_shared = sweep(channels = 3, side = 32, width = 16, shared = 3)
net se_resnet_small_100_unshared = sweep(channels = 3, side = 32, width = 16, shared = 0, classes = 100)
net se_resnet_small_100_shared = sweep(channels = 3, side = 32, width = 16, shared = 3, classes = 100)
",
    ),
    (
        "small_convmixer",
        "nets/convmixer.ksn",
        "
net convmixer_small_unshared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2, shared = false)
net convmixer_small_shared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2)
net convmixer_small_100_unshared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2, shared = false, classes = 100)
net convmixer_small_100_shared = convmixer(dim = 64, depth = 6, kernel = 5, patch = 2, classes = 100)
",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut instances = Config::new().dir("nets");
    let cifar = env::var_os("CARGO_FEATURE_CIFAR").is_some();
    let small: &[_] = if cifar { &CIFAR } else { &SMALL };
    if cifar {
        instances = instances.file("cifar/study.ksn");
    }
    for (name, net, text) in small {
        instances = instances.text(name, importing(net, text));
    }
    instances.compile_to(&mut io::stdout())?;
    Ok(())
}

/// Instances of the networks in a file.
fn importing(net: &str, instances: &str) -> String {
    format!("use \"{net}\"\n{instances}")
}
