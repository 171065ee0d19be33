//! Compiles the example nets to Rust, and the instances of them that the benchmarks measure.

use ksdsl::build::Config;
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs, io};

/// What `bench_worker` can load besides the nets as they stand: file and instances.
const BENCHMARKS: [(&str, &str); 2] = [
    (
        "se_resnet",
        "
net se_resnet_2 = se_resnet(depth = 2)
net se_resnet_3 = se_resnet(depth = 3)
net se_resnet_6 = se_resnet(depth = 6)
net se_resnet_10 = se_resnet(depth = 10)
net se_resnet_10_unshared = se_resnet(depth = 10, share_s1 = false, share_s2 = false, share_s3 = false)
",
    ),
    (
        "convmixer",
        "
net convmixer_64 = convmixer(dim = 64)
net convmixer_128 = convmixer(dim = 128)
net convmixer_256 = convmixer(dim = 256)
net convmixer_256_unshared = convmixer(dim = 256, shared = false)
net convmixer_512 = convmixer(dim = 512)
",
    ),
];

fn main() -> Result<(), Box<dyn Error>> {
    Config::new().dir("nets").compile_to(&mut io::stdout())?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let mut instances = Config::new().root(&out_dir);
    for (net, text) in BENCHMARKS {
        let file = format!("{net}_benchmarks.ksn");
        fs::write(
            out_dir.join(&file),
            fs::read_to_string(format!("nets/{net}.ksn"))? + text,
        )?;
        instances = instances.file(file);
    }
    // Cargo must not watch what this script writes.
    instances.compile_to(&mut io::sink())?;
    Ok(())
}
