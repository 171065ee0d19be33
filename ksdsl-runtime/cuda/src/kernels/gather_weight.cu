// The weight gradient of a convolution as a product whose right factor is read from the map itself:
// row m is an output channel, column n a tap and an input channel, and the sum runs over the positions
// of the output. It is cut into parts, whose sums `add_partials` adds in order.

// What a thread copies of each slice, SLICE positions: the same 16 bytes of some positions.
template <int ROWS, int COLUMNS, int BLOCK, int COUNT> struct WeightLoader {
    enum { ROW_PITCH = ROWS + 2 * WIDTH, COLUMN_PITCH = COLUMNS + 2 * WIDTH };
    enum { A_STEP = BLOCK / (ROWS / WIDTH), B_STEP = BLOCK / (COLUMNS / WIDTH), TAPS = WIDTH / COUNT };
    const Gather &g;
    int group, row, column, position, gathered, last;
    int image, oy, ox;                            // of `gathered`
    int y[TAPS], x[TAPS], channel[TAPS];          // what the columns read
    int a_line, b_line;

    __device__ __forceinline__ WeightLoader(const Gather &g, int group, int first, int last)
        : g(g), group(group), last(last) {
        a_line = threadIdx.x / (ROWS / WIDTH), b_line = threadIdx.x / (COLUMNS / WIDTH);
        row = blockIdx.y * ROWS + threadIdx.x % (ROWS / WIDTH) * WIDTH;
        column = blockIdx.x * COLUMNS + threadIdx.x % (COLUMNS / WIDTH) * WIDTH;
        position = first + a_line, gathered = first + b_line;
        ox = gathered % g.width;
        oy = gathered / g.width % g.height;
        image = gathered / g.width / g.height;
#pragma unroll
        for (int k = 0; k < TAPS; k++) {
            int tap = (column + k) / g.inner;
            channel[k] = (column + k) % g.inner;
            // Behind the last column: so far outside that nothing is read.
            y[k] = tap < g.taps_y * g.taps_x ? g.first_y + tap / g.taps_x * g.step_y : -(1 << 30);
            x[k] = g.first_x + tap % g.taps_x * g.step_x;
        }
    }

    // Copies a slice to rows and columns in shared memory, and goes on to the next one.
    __device__ __forceinline__ void slice(const real *source, const real *dy, real *a, real *b) {
#pragma unroll
        for (int line = 0; line < SLICE; line += A_STEP) {
            const real *from = dy + (idx)(position + line) * g.target_channels + group * g.outer + row;
            real *to = a + (a_line + line) * ROW_PITCH + row - blockIdx.y * ROWS;
#pragma unroll
            for (int k = 0; k < WIDTH; k += COUNT) {
                bool inside = position + line < last && row + k < g.outer;
                copy_async<COUNT>(to + k, inside ? from + k : dy, inside);
            }
        }
        position += SLICE;
#pragma unroll
        for (int line = 0; line < SLICE; line += B_STEP) {
            real *to = b + (b_line + line) * COLUMN_PITCH + column - blockIdx.x * COLUMNS;
#pragma unroll
            for (int k = 0; k < TAPS; k++) {
                int sy = oy * g.stride_y + y[k], sx = ox * g.stride_x + x[k];
                bool inside =
                    gathered < last && sy >= 0 && sy < g.source_height && sx >= 0 && sx < g.source_width;
                idx pixel = (image * g.source_height + sy) * g.source_width + sx;
                const real *from = source + pixel * g.source_channels + group * g.inner + channel[k];
                copy_async<COUNT>(to + k * COUNT, inside ? from : source, inside);
            }
            gathered += B_STEP;
            ox += B_STEP;
            while (ox >= g.width) {
                ox -= g.width;
                if (++oy == g.height) {
                    oy = 0;
                    image++;
                }
            }
        }
    }
};

// Which part of which group a block adds.
struct Part {
    int group, first, last;

    __device__ __forceinline__ Part(const Gather &g, int groups, int rows_per_part) {
        int part = blockIdx.z / groups, rows = g.batch * g.height * g.width;
        group = blockIdx.z % groups;
        first = part * rows_per_part;
        last = rows - first < rows_per_part ? rows : first + rows_per_part;
    }
};

// Writes the partial sums of R rows and C columns that a thread has, [part][group][row][column].
template <int R, int C, class Row, class Column, class Sum>
__device__ __forceinline__ void write_partials(const Gather &g, real *partials, Row row, Column column, Sum sum) {
    int columns = g.taps_y * g.taps_x * g.inner;
    real *to = partials + (idx)blockIdx.z * g.outer * columns;
#pragma unroll
    for (int i = 0; i < R; i++) {
        int m = row(i);
        if (m >= g.outer) continue;
#pragma unroll
        for (int j = 0; j < C; j++) {
            int n = column(j);
            if (n < columns) to[(idx)m * columns + n] = sum(i, j);
        }
    }
}

// On ordinary units: a thread makes 8 x 8 sums, a warp 32 x 64.
template <int ROWS, int COLUMNS, int COUNT>
__device__ __forceinline__ void gather_weight(const Gather &g, int groups, int rows_per_part, const real *source,
                                              const real *dy, real *partials) {
    typedef WeightLoader<ROWS, COLUMNS, ROWS * COLUMNS / 64, COUNT> Load;
    enum { STAGES = 2, LENGTH = (Load::ROW_PITCH + Load::COLUMN_PITCH) * SLICE, WARPS = COLUMNS / 64 };
    enum { B = Load::ROW_PITCH * SLICE, WIDES = 8 / WIDTH };
    __shared__ Wide stages[STAGES * LENGTH / WIDTH];
    Part part(g, groups, rows_per_part);
    Load loader(g, part.group, part.first, part.last);
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int down = lane / 16 * 2 + lane % 2, across = lane / 2 % 8;
    int row = warp / WARPS * 32 + down * WIDTH, column = warp % WARPS * 64 + across * WIDTH;
    real sums[8][8];
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sums[i][j] = 0;
    int slices = (part.last - part.first + SLICE - 1) / SLICE;
    auto copy = [&](real *to) {
        if (to) loader.slice(source, dy, to, to + B);
        copies_end();
    };
    pipeline<STAGES, LENGTH>(
        slices, stages->at, copy, [&](const real *from, real *next) {
#pragma unroll
            for (int k = 0; k < SLICE; k++) {
                const real *a = from + k * Load::ROW_PITCH + row, *b = from + B + k * Load::COLUMN_PITCH + column;
                Wide left[WIDES], right[WIDES];
#pragma unroll
                for (int i = 0; i < WIDES; i++) {
                    left[i] = *(const Wide *)(a + i * 4 * WIDTH);
                    right[i] = *(const Wide *)(b + i * 8 * WIDTH);
                }
                if (k == 0) copy(next);
#pragma unroll
                for (int i = 0; i < 8; i++)
#pragma unroll
                    for (int j = 0; j < 8; j++)
                        sums[i][j] = fma(left[i / WIDTH].at[i % WIDTH], right[j / WIDTH].at[j % WIDTH], sums[i][j]);
            }
        });
    write_partials<8, 8>(
        g, partials, [&](int i) { return blockIdx.y * ROWS + row + i / WIDTH * 4 * WIDTH + i % WIDTH; },
        [&](int j) { return blockIdx.x * COLUMNS + column + j / WIDTH * 8 * WIDTH + j % WIDTH; },
        [&](int i, int j) { return sums[i][j]; });
}

// sums += the partial sums of all parts, [part][n].
extern "C" __global__ void add_partials(idx n, int parts, const real *partials, real *sums) {
    FOR_EACH(i, n) {
        double sum = 0;
        for (int part = 0; part < parts; part++) sum += (double)partials[part * n + i];
        sums[i] += (real)sum;
    }
}

// So many blocks that a multiprocessor has room for them; `double` takes twice the registers.
#define LARGE_BLOCKS __launch_bounds__(256, sizeof(real) == 4 ? 2 : 1)
#define SMALL_BLOCKS __launch_bounds__(128, sizeof(real) == 4 ? 3 : 1)

extern "C" LARGE_BLOCKS __global__ void weight_128(Gather g, int groups, int rows_per_part, const real *source,
                                                   const real *dy, real *partials) {
    gather_weight<128, 128, WIDTH>(g, groups, rows_per_part, source, dy, partials);
}

extern "C" SMALL_BLOCKS __global__ void weight_64(Gather g, int groups, int rows_per_part, const real *source,
                                                  const real *dy, real *partials) {
    gather_weight<64, 128, WIDTH>(g, groups, rows_per_part, source, dy, partials);
}

// For any number of channels.
extern "C" SMALL_BLOCKS __global__ void weight_any(Gather g, int groups, int rows_per_part, const real *source,
                                                   const real *dy, real *partials) {
    gather_weight<64, 128, 1>(g, groups, rows_per_part, source, dy, partials);
}
