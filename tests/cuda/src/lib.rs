//! What the tests of the CUDA device share: whether they run on the emulator, and what that counted.

/// What the emulator counted since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Copies from the host to the device.
    pub to_device: u64,
    /// Copies from the device to the host.
    pub to_host: u64,
    /// Kernels launched.
    pub launches: u64,
    /// Products of matrices by cuBLAS.
    pub products: u64,
    /// Bytes of device memory in use.
    pub bytes: u64,
}

/// The order that the emulator runs the threads of a block in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By their index.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Mixed, another mixture after each barrier.
    Mixed,
}

/// Whether the tests run on the emulator and not on a GPU.
pub const EMULATED: bool = cfg!(feature = "emulator");

#[cfg(feature = "emulator")]
mod emulator {
    use super::{Counts, Order};

    unsafe extern "C" {
        fn ksdsl_emulator_counts(to: *mut u64);
        fn ksdsl_emulator_order(order: i32);
    }

    /// The counts; `None` on a GPU.
    pub fn counts() -> Option<Counts> {
        let mut counts = [0; 6];
        // SAFETY: the function writes six numbers.
        unsafe { ksdsl_emulator_counts(counts.as_mut_ptr()) };
        let [to_device, to_host, launches, products, bytes, _] = counts;
        Some(Counts {
            to_device,
            to_host,
            launches,
            products,
            bytes,
        })
    }

    /// Sets the order; no effect on a GPU.
    pub fn set_order(order: Order) {
        // SAFETY: any number is accepted.
        unsafe { ksdsl_emulator_order(order as i32) };
    }
}

#[cfg(feature = "emulator")]
pub use emulator::{counts, set_order};

/// The counts; `None` on a GPU.
#[cfg(not(feature = "emulator"))]
pub fn counts() -> Option<Counts> {
    None
}

/// Sets the order; no effect on a GPU.
#[cfg(not(feature = "emulator"))]
pub fn set_order(_: Order) {}
