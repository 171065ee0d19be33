#![deny(deprecated)]

use ksdsl_runtime::include_ksn;

include_ksn!("models/broken.ksn");

include_ksn!("models/warned.ksn");

include_ksn!("models/missing.ksn");

include_ksn!(models / small.ksn);

include_ksn!();

fn main() {}
