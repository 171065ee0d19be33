//! Tables that depend on sizes alone, such as the angles of rotary positions: the same in every visit and every pass.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// What a table is: its name and the numbers that decide on its values.
pub(crate) type Key = (&'static str, [u64; 5]);

/// Tables that are kept, those that were used last: a network has a few.
const MOST: usize = 8;
/// Most values of a table that is kept.
const MOST_VALUES: usize = 1 << 20;

/// The tables of a thread by their keys, the last used ones last. Those of `f32` and `f64` may have one key.
type Tables = Vec<(Key, Rc<dyn Any>)>;

thread_local! {
    static TABLES: RefCell<Tables> = const { RefCell::new(Vec::new()) };
}

/// The values of a table, which `make` makes if they are not kept.
pub(crate) fn table<E: Copy + 'static>(key: Key, make: impl FnOnce() -> Vec<E>) -> Rc<Vec<E>> {
    let kept = TABLES.with_borrow_mut(|tables| {
        let of_type = |(known, values): &(Key, Rc<dyn Any>)| *known == key && values.is::<Vec<E>>();
        let entry = tables.remove(tables.iter().position(of_type)?);
        tables.push(entry.clone());
        entry.1.downcast::<Vec<E>>().ok()
    });
    kept.unwrap_or_else(|| {
        let values = Rc::new(make());
        if values.len() <= MOST_VALUES {
            TABLES.with_borrow_mut(|tables| {
                if tables.len() == MOST {
                    tables.remove(0);
                }
                tables.push((key, values.clone()));
            });
        }
        values
    })
}

#[cfg(test)]
mod tests {
    use super::{MOST, MOST_VALUES, table};

    #[test]
    fn tables_are_made_once_for_each_key_and_type() {
        let mut made = 0;
        let mut ask = |number: u64, len: usize| {
            let values = table(("test", [number, 0, 0, 0, 0]), || {
                made += 1;
                vec![number as f32; len]
            });
            assert_eq!(*values, vec![number as f32; len]);
            made
        };
        assert_eq!([ask(1, 3), ask(1, 3), ask(2, 3), ask(1, 3)], [1, 1, 2, 2]);
        let wide = table(("test", [1, 0, 0, 0, 0]), || vec![1.5_f64]);
        assert_eq!(*wide, [1.5]);
        assert_eq!(ask(1, 3), 2);
        // The one that was not used for longest goes.
        for number in 3..=MOST as u64 + 1 {
            ask(number, 1);
        }
        let before = ask(MOST as u64 + 1, 1);
        assert_eq!(ask(2, 3), before + 1);
        // Large ones are not kept.
        let large = ask(100, MOST_VALUES + 1);
        assert_eq!(ask(100, MOST_VALUES + 1), large + 1);
    }
}
