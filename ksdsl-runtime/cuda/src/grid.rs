//! Grids of the kernels, and the parts that sums over rows are made of.

/// Threads of a block, as the kernels' `THREADS`.
pub(super) const THREADS: usize = 256;
/// Most blocks along the second and third dimension of a grid.
const MOST_BLOCKS: usize = 65_535;

/// A grid and a block, each `[x, y, z]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) blocks: [usize; 3],
    pub(super) threads: [usize; 3],
}

impl Grid {
    /// For a kernel with `FOR_EACH`.
    pub(super) fn flat(len: usize) -> Self {
        Self {
            blocks: [len.div_ceil(THREADS).min(1 << 20), 1, 1],
            threads: [THREADS, 1, 1],
        }
    }

    fn channel_block(channels: usize) -> [usize; 3] {
        let across = channels.max(1).next_power_of_two().min(32);
        [across, THREADS / across, 1]
    }

    /// For a kernel with `FOR_ROWS`.
    pub(super) fn rows(rows: usize, channels: usize) -> Self {
        let threads = Self::channel_block(channels);
        Self {
            blocks: [
                rows.div_ceil(threads[1]).min(1 << 20),
                channels.div_ceil(threads[0]).min(MOST_BLOCKS),
                1,
            ],
            threads,
        }
    }

    /// For a kernel that takes a part of the rows (or an image) for each `blockIdx.x`.
    pub(super) fn parts(parts: usize, channels: usize) -> Self {
        let threads = Self::channel_block(channels);
        let blocks = channels.div_ceil(threads[0]);
        Self {
            blocks: [parts, blocks.min(MOST_BLOCKS), blocks.div_ceil(MOST_BLOCKS)],
            threads,
        }
    }

    /// The channels that a thread of a wide kernel has: 16 bytes of them, or one where 16 bytes do not divide
    /// them, as the kernels decide too.
    fn wide_channels<E>(channels: usize) -> usize {
        let width = 16 / size_of::<E>();
        if channels.is_multiple_of(width) { width } else { 1 }
    }

    /// For a kernel with `FOR_WIDE_CHANNELS`: enough blocks for every GPU, so that threads take several rows.
    pub(super) fn wide_rows<E>(rows: usize, channels: usize) -> Self {
        let grid = Self::rows(rows, channels / Self::wide_channels::<E>(channels));
        let [x, y, z] = grid.blocks;
        Self {
            blocks: [x.min(4096_usize.div_ceil(y)), y, z],
            ..grid
        }
    }

    /// For a wide kernel that takes a part of the rows for each `blockIdx.x`.
    pub(super) fn wide_parts<E>(parts: usize, channels: usize) -> Self {
        Self::parts(parts, channels / Self::wide_channels::<E>(channels))
    }

    /// For a wide kernel that takes an image for each `blockIdx.x`: few channels for each block, since the
    /// images alone are few.
    pub(super) fn wide_images<E>(images: usize, channels: usize) -> Self {
        Self::narrow(images, channels / Self::wide_channels::<E>(channels))
    }

    /// For a kernel that adds the parts of each channel.
    pub(super) fn finish(channels: usize) -> Self {
        const MANY: usize = 1 << 14;
        if channels < MANY {
            Self::narrow(1, channels)
        } else {
            Self::parts(1, channels)
        }
    }

    /// As `parts`, with few channels for each block and many threads for each channel.
    fn narrow(parts: usize, channels: usize) -> Self {
        let across = channels.max(1).next_power_of_two().min(4);
        let blocks = channels.div_ceil(across);
        Self {
            blocks: [parts, blocks.min(MOST_BLOCKS), blocks.div_ceil(MOST_BLOCKS)],
            threads: [across, THREADS / across, 1],
        }
    }

    /// For a kernel in which a warp takes a row.
    pub(super) fn warps(rows: usize) -> Self {
        Self {
            blocks: [rows.div_ceil(THREADS / 32).min(1 << 20), 1, 1],
            threads: [32, THREADS / 32, 1],
        }
    }
}

/// How rows are cut into parts whose sums are added, by sizes alone: `(parts, rows per part)`.
pub(super) fn parts(rows: usize, channels: usize) -> (usize, usize) {
    parts_up_to(256, rows, channels)
}

/// As `parts`, for a wide kernel, whose blocks are fewer.
pub(super) fn wide_parts<E>(rows: usize, channels: usize) -> (usize, usize) {
    parts_up_to(512, rows, channels / Grid::wide_channels::<E>(channels))
}

fn parts_up_to(most: usize, rows: usize, channels: usize) -> (usize, usize) {
    let at_once = Grid::channel_block(channels)[1];
    let wanted = (rows / (8 * at_once)).clamp(1, most);
    let each = rows.div_ceil(wanted).max(1);
    (rows.div_ceil(each).max(1), each)
}
