//! Choices that hold on a thread while something runs.

use std::cell::Cell;
use std::thread::LocalKey;

/// Runs `f` with `value` in the cell, and puts the former value back, after a panic too.
pub(super) fn with_value<T: Copy + 'static, R>(cell: &'static LocalKey<Cell<T>>, value: T, f: impl FnOnce() -> R) -> R {
    struct Restore<T: Copy + 'static>(&'static LocalKey<Cell<T>>, T);
    impl<T: Copy> Drop for Restore<T> {
        fn drop(&mut self) {
            self.0.set(self.1);
        }
    }
    let _restore = Restore(cell, cell.replace(value));
    f()
}
