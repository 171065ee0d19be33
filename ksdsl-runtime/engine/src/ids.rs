//! Ids: whole numbers, held as values of the element type, that name rows of a table; and lengths and places, which are
//! checked as such.

use crate::real::Real;
use std::fmt;

/// An id that names no row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WrongId {
    /// The id.
    pub id: f64,
    /// Where it is among the ids, from 0.
    pub position: usize,
    /// Rows of the table.
    pub rows: usize,
}

impl fmt::Display for WrongId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, position, rows } = self;
        write!(
            f,
            "the id, length or place {id} at position {position} is not an integer from 0 to {}",
            rows.saturating_sub(1)
        )?;
        match rows {
            0 => f.write_str(": the table has no rows"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for WrongId {}

/// The rows that ids name.
///
/// # Errors
/// The first id that is not an integer from 0 to `rows - 1`.
pub fn rows_of<E: Real>(ids: &[E], rows: usize) -> Result<Vec<usize>, WrongId> {
    let row = |(position, id): (usize, &E)| {
        let id = id.wide();
        // Not a number and infinities have no fraction of 0.
        let names_row = id >= 0.0 && id.fract() == 0.0 && id < rows as f64;
        names_row.then_some(id as usize).ok_or(WrongId { id, position, rows })
    };
    ids.iter().enumerate().map(row).collect()
}

/// The positions of ids by the rows that they name, those of a row in their order.
pub fn by_row(rows: &[usize]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..rows.len()).collect();
    positions.sort_by_key(|&position| rows[position]);
    positions
}

#[cfg(test)]
mod tests {
    use super::{WrongId, by_row, rows_of};

    #[test]
    fn ids_are_integers_below_the_number_of_rows() {
        assert_eq!(rows_of(&[0.0, 4.0, 2.0, -0.0], 5), Ok(vec![0, 4, 2, 0]));
        assert_eq!(rows_of::<f32>(&[], 0), Ok(Vec::new()));
        for wrong in [5.0, -1.0, 0.5, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40] {
            let want = WrongId {
                id: f64::from(wrong),
                position: 1,
                rows: 5,
            };
            assert_eq!(rows_of(&[3.0, wrong, -7.0], 5), Err(want));
        }
        assert!(rows_of(&[f64::NAN], 5).is_err());
        let text = rows_of(&[7.5], 5).unwrap_err().to_string();
        assert_eq!(
            text,
            "the id, length or place 7.5 at position 0 is not an integer from 0 to 4"
        );
    }

    #[test]
    fn positions_of_a_row_keep_their_order() {
        assert_eq!(by_row(&[2, 0, 2, 1, 0, 2]), [1, 4, 3, 0, 2, 5]);
    }
}
