//! Rows of a table that ids name.

use super::par::{for_rows, rows_per_task};
use super::{CpuBuf, Error};
use crate::real::CpuReal;
use ksdsl_engine::ids::{by_row, rows_of};
use ksdsl_engine::size::RowSize;

/// The rows that the ids name.
pub(super) fn gather<E: CpuReal>(size: RowSize, table: &CpuBuf<E>, ids: &CpuBuf<E>) -> Result<CpuBuf<E>, Error> {
    let (rows, channels) = (rows_of(ids, size.rows)?, size.channels);
    if table.len() != size.rows * channels {
        return Err(Error::WrongLength);
    }
    let mut y = CpuBuf::scratch(rows.len() * channels);
    for_rows(
        &mut y,
        channels,
        rows_per_task(channels),
        #[inline(always)]
        |first, part| {
            for (y, row) in part.chunks_exact_mut(channels).zip(&rows[first..]) {
                y.copy_from_slice(&table[row * channels..][..channels]);
            }
        },
    );
    Ok(y)
}

/// Adds each row of `dy` to the row that its id names. A task has some rows of the table, and adds what belongs to each in
/// the order of the ids.
pub(super) fn scatter_add<E: CpuReal>(
    size: RowSize,
    dy: &CpuBuf<E>,
    ids: &CpuBuf<E>,
    dtable: &mut CpuBuf<E>,
) -> Result<(), Error> {
    let (rows, channels) = (rows_of(ids, size.rows)?, size.channels);
    if dtable.len() != size.rows * channels || dy.len() != rows.len() * channels {
        return Err(Error::WrongLength);
    }
    let order = by_row(&rows);
    for_rows(
        dtable,
        channels,
        rows_per_task(channels),
        #[inline(always)]
        |first, part| {
            let end = first + part.len() / channels;
            let start = order.partition_point(|&position| rows[position] < first);
            let mine = order[start..].iter().take_while(|&&position| rows[position] < end);
            for &position in mine {
                let sum = &mut part[(rows[position] - first) * channels..][..channels];
                let more = &dy[position * channels..][..channels];
                sum.iter_mut().zip(more).for_each(|(sum, &more)| *sum += more);
            }
        },
    );
    Ok(())
}
