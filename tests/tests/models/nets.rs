//! The generated models, one module per `.ksn` file.

macro_rules! files {
    ($($file:ident $name:literal)+) => {$(
        #[allow(missing_docs)]
        pub(crate) mod $file {
            ksdsl_runtime::include_generated!($name);
        }
    )+};
}

files! {
    algorithms "algorithms"
    bottleneck "bottleneck"
    branches "branches"
    chains "chains"
    slices "slices"
    convmixer "convmixer"
    convmixer_rows "convmixer_rows"
    digits "digits"
    gradients "gradients"
    mlp "mlp"
    mobilenet "mobilenet"
    preact_resnet "preact_resnet"
    private_parts "private_parts"
    random "random"
    rounding "rounding"
    se_resnet "se_resnet"
    se_resnet_rows "se_resnet_rows"
    sharesnet "sharesnet"
    tied "tied"
}
