//! Getting a device.

use crate::support::gpu;
use ksdsl_runtime::cuda::{self, CudaUnavailable};

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let _gpu = gpu(0);
    let error = cuda::device(99).unwrap_err();
    assert!(
        matches!(error, CudaUnavailable::NoDevice { ordinal: 99, .. }),
        "{error:?}"
    );
    assert!(error.to_string().starts_with("there is no `cuda:99`"), "{error}");
}

/// Messages name what to do; the variables make the emulator say what a machine without a driver or a
/// GPU would.
#[test]
fn no_driver_and_no_gpu_are_errors() {
    if !ksdsl_cuda_tests::EMULATED {
        return;
    }
    let ask = |variable: &str| {
        let this = std::env::current_exe().unwrap();
        let args = [
            "device::no_driver_and_no_gpu_child",
            "--exact",
            "--nocapture",
            "--ignored",
        ];
        let output = std::process::Command::new(this)
            .args(args)
            .env(variable, "1")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let text = ask("EMULATOR_NO_DRIVER");
    assert!(text.contains("cannot initialise the CUDA driver"), "{text}");
    let text = ask("EMULATOR_NO_GPU");
    assert!(text.contains("there is no GPU that could be `cuda:0`"), "{text}");
}

#[test]
#[ignore = "the process that the test above starts"]
fn no_driver_and_no_gpu_child() {
    println!("{}", cuda::device(0).unwrap_err());
}
