//! Rows of a table that ids name. The ids are checked on the host, which waits for them: a kernel could not say which one
//! is wrong, nor that one is, before the host waits for it.

use super::buf::CudaBuf;
use super::error::Error;
use super::gpu::Gpu;
use super::grid::Grid;
use super::layers::{Done, int, long};
use super::real::CudaReal;
use ksdsl_engine::ids::{by_row, rows_of};
use ksdsl_engine::size::RowSize;
use std::sync::Arc;

/// Indices on the device.
fn upload(gpu: &Arc<Gpu>, indices: impl Iterator<Item = usize>) -> Done<CudaBuf<i64>> {
    let indices: Vec<i64> = indices.map(|index| index as i64).collect();
    Ok(CudaBuf::new(gpu.device.htod_copy(indices)?, gpu.clone()))
}

/// The rows that the ids name.
pub(super) fn gather<E: CudaReal>(size: RowSize, table: &CudaBuf<E>, ids: &CudaBuf<E>) -> Done<CudaBuf<E>> {
    let (gpu, channels) = (ids.gpu(), size.channels);
    let rows = rows_of(&ids.to_host()?, size.rows)?;
    if table.len() != size.rows * channels {
        return Err(Error::WrongLength);
    }
    let y = gpu.scratch::<E>(rows.len() * channels)?;
    if y.is_empty() {
        return Ok(y);
    }
    let from = upload(gpu, rows.iter().copied())?;
    let args = [long(rows.len()), int(channels), from.arg(), table.arg(), y.arg()];
    gpu.launch::<E>("gather_rows", Grid::rows(rows.len(), channels), &args)?;
    Ok(y)
}

/// Adds each row of `dy` to the row that its id names, those of a row in the order of the ids.
pub(super) fn scatter_add<E: CudaReal>(
    size: RowSize,
    dy: &CudaBuf<E>,
    ids: &CudaBuf<E>,
    dtable: &mut CudaBuf<E>,
) -> Done<()> {
    let (gpu, channels) = (ids.gpu(), size.channels);
    let rows = rows_of(&ids.to_host()?, size.rows)?;
    if dtable.len() != size.rows * channels || dy.len() != rows.len() * channels {
        return Err(Error::WrongLength);
    }
    if dy.is_empty() {
        return Ok(());
    }
    let order = by_row(&rows);
    // Where the positions of the next row begin.
    let starts = (0..order.len()).filter(|&at| at == 0 || rows[order[at]] != rows[order[at - 1]]);
    let starts: Vec<usize> = starts.chain([order.len()]).collect();
    let named = starts.len() - 1;
    let [order, starts] = [upload(gpu, order.into_iter())?, upload(gpu, starts.into_iter())?];
    let to = upload(gpu, rows.into_iter())?;
    let args = [
        long(named),
        int(channels),
        starts.arg(),
        order.arg(),
        to.arg(),
        dy.arg(),
        dtable.arg(),
    ];
    gpu.launch::<E>("scatter_add_rows", Grid::rows(named, channels), &args)
}
