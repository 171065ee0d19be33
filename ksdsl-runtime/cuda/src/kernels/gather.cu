// Convolutions as products of matrices whose left factor is read from the map itself (implicit GEMM):
// row m is a position of the result, column n one of its channels, and the sum runs over the taps and
// the channels of the source. The forward pass and the data gradient are both of this kind; see
// `Gather` in gather.rs for which values of it make which.
//
// A block makes a tile of ROWS x COLUMNS. Slices of the sum, 64 bytes of each row and column, pass
// through shared memory: while one is multiplied, asynchronous copies bring the next ones. Every result
// is summed in an order that depends on neither the number of images nor its place in the tile.

// A gathering product, field by field as in gather.rs.
struct Gather {
    int batch, height, width; // positions of the result that are computed
    int stride_y, stride_x;   // from one position to the next, in the source
    int first_y, first_x;     // where the first tap of the first position reads
    int step_y, step_x;       // from tap to tap, in the source
    int taps_y, taps_x;       // taps that are read
    int tap, tap_y, tap_x;    // in the kernel: the first of them, and the steps to the next ones
    int kernel_taps;
    int source_height, source_width, source_channels;
    int target_height, target_width, target_channels;
    int target_stride_y, target_stride_x, target_y, target_x; // where the positions are in the result
    int inner, outer;                                         // channels of a group: source, result
};

// What is done to a sum v before it is written: after(factor * before(v + bias) + offset + residual).
// Null pointers leave their part out; activations are NONE or RELU.
struct Finish {
    const real *bias, *factor, *offset, *residual;
    int before, after;
};

// Values of a slice of one row.
#define SLICE (4 * WIDTH)

typedef Values<WIDTH> Wide;

// Copies COUNT values (1, or WIDTH where both addresses are multiples of 16) to shared memory; zeros
// where not `inside`. `from` must be an address in device memory in any case.
template <int COUNT> __device__ __forceinline__ void copy_async(real *to, const real *from, bool inside) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800 && !defined(EMULATOR)
    unsigned place = (unsigned)__cvta_generic_to_shared(to);
    int bytes = inside ? COUNT * (int)sizeof(real) : 0;
    // 16 bytes may bypass the first cache, which is faster.
    if constexpr (COUNT == WIDTH)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(from), "r"(bytes));
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(place), "l"(from),
                     "n"(COUNT * (int)sizeof(real)), "r"(bytes));
#else
#pragma unroll
    for (int i = 0; i < COUNT; i++) to[i] = inside ? from[i] : (real)0;
#endif
}

// Ends a group of copies.
__device__ __forceinline__ void copies_end() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800 && !defined(EMULATOR)
    asm volatile("cp.async.commit_group;");
#endif
}

// Waits until at most LEFT groups of this thread's copies are under way.
template <int LEFT> __device__ __forceinline__ void copies_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800 && !defined(EMULATOR)
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT));
#endif
}

// A place in the sum: a channel of the source and a tap.
struct Place {
    int channel, y, x;

    __device__ __forceinline__ void advance(const Gather &g, int by) {
        channel += by;
        while (channel >= g.inner) {
            channel -= g.inner;
            if (++x == g.taps_x) {
                x = 0;
                y++;
            }
        }
    }
};

// A position of the result: its pixel there, and where its first tap reads.
struct Position {
    idx image, pixel;
    int y, x;

    __device__ __forceinline__ Position(const Gather &g, idx row) {
        int px = (int)(row % g.width);
        idx rest = row / g.width;
        int py = (int)(rest % g.height);
        image = rest / g.height;
        pixel = (image * g.target_height + g.target_y + py * g.target_stride_y) * g.target_width + g.target_x +
                px * g.target_stride_x;
        y = g.first_y + py * g.stride_y;
        x = g.first_x + px * g.stride_x;
    }
};

// Where 16 bytes of a slice lie in shared memory. Parts are exchanged such that neither lanes that read the same
// part of eight lines nor those that read all parts of two lines meet in a bank.
__device__ __forceinline__ int swizzled(int line, int part) { return line * SLICE + (part ^ line / 2 % 4) * WIDTH; }

// What a thread copies of each slice: 16 bytes of some rows and of some columns, always at the same
// channels of the slice.
template <int ROWS, int COLUMNS, int BLOCK, int COUNT> struct Loader {
    enum { STEP = BLOCK / 4, A = ROWS / STEP, B = COLUMNS / STEP };
    const Gather &g;
    const real *kernel;
    // Of the first tap: its pixel among those of all images, and where it lies in its image.
    int pixel[A], y[A], x[A], to, column;
    Place place;

    __device__ __forceinline__ Loader(const Gather &g, const real *source, const real *packed) : g(g) {
        int line = threadIdx.x / 4, part = threadIdx.x % 4 * WIDTH;
        idx rows = (idx)g.batch * g.height * g.width;
#pragma unroll
        for (int i = 0; i < A; i++) {
            idx row = (idx)blockIdx.x * ROWS + line + i * STEP;
            bool exists = row < rows;
            Position at(g, exists ? row : 0);
            // So far outside that no tap leads back.
            y[i] = exists ? at.y : -(1 << 30);
            x[i] = at.x;
            pixel[i] = ((int)at.image * g.source_height + at.y) * g.source_width + at.x;
        }
        column = blockIdx.y * COLUMNS + line;
        kernel = packed + ((idx)blockIdx.z * g.outer + column) * g.kernel_taps * g.inner;
        to = swizzled(line, threadIdx.x % 4);
        place = {0, 0, 0};
        place.advance(g, part);
    }

    // Copies a slice to rows and columns in shared memory, and goes on to the next one.
    __device__ __forceinline__ void slice(const real *source, const real *packed, real *a, real *b) {
#pragma unroll
        for (int k = 0; k < WIDTH; k += COUNT) {
            bool more = place.y < g.taps_y;
            int down = place.y * g.step_y, across = place.x * g.step_x, away = down * g.source_width + across;
            int channel = blockIdx.z * g.inner + place.channel;
#pragma unroll
            for (int i = 0; i < A; i++) {
                int sy = y[i] + down, sx = x[i] + across;
                bool inside = more && sy >= 0 && sy < g.source_height && sx >= 0 && sx < g.source_width;
                const real *from = source + (idx)(pixel[i] + away) * g.source_channels + channel;
                copy_async<COUNT>(a + to + i * STEP * SLICE + k, inside ? from : source, inside);
            }
            const real *from = kernel + (g.tap + place.y * g.tap_y + place.x * g.tap_x) * g.inner + place.channel;
#pragma unroll
            for (int i = 0; i < B; i++) {
                bool inside = more && column + i * STEP < g.outer;
                idx skipped = (idx)i * STEP * g.kernel_taps * g.inner;
                copy_async<COUNT>(b + to + i * STEP * SLICE + k, inside ? from + skipped : packed, inside);
            }
            place.advance(g, COUNT);
        }
        place.advance(g, SLICE - WIDTH);
    }
};

// Runs the slices of a product through shared memory, which has STAGES stages of LENGTH values. `load`
// copies the next slice to a stage, if it is given one; `multiply` uses a stage, and calls `load` with the one
// it is given after its first reads.
template <int STAGES, int LENGTH, class Load, class Multiply>
__device__ __forceinline__ void pipeline(int slices, real *shared, Load load, Multiply multiply) {
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) load(i < slices ? shared + i * LENGTH : nullptr);
    int now = 0, next = STAGES - 1;
    for (int i = 0; i < slices; i++) {
        copies_wait<STAGES - 2>();
        // All have copied this slice, and all have used the stage that the next one takes.
        __syncthreads();
        multiply(shared + now * LENGTH, i + STAGES - 1 < slices ? shared + next * LENGTH : nullptr);
        now = now + 1 == STAGES ? 0 : now + 1;
        next = next + 1 == STAGES ? 0 : next + 1;
    }
}

// Writes the sums of R rows and C columns that a thread has; `row`, `column` and `sum` say which they are.
template <int R, int C, class Row, class Column, class Sum>
__device__ __forceinline__ void write(const Gather &g, const Finish &finish, real *y, Row row, Column column,
                                      Sum sum) {
    idx rows = (idx)g.batch * g.height * g.width, at[R];
    bool dense = g.target_stride_y * g.target_stride_x == 1; // then positions are the result's pixels
#pragma unroll
    for (int i = 0; i < R; i++) {
        idx m = (idx)row(i);
        at[i] = m >= rows ? -1 : (dense ? m : Position(g, m).pixel) * g.target_channels + blockIdx.z * g.outer;
    }
    real low = finish.before == RELU ? (real)0 : MINUS_INFINITY;
    real least = finish.after == RELU ? (real)0 : MINUS_INFINITY;
#pragma unroll
    for (int j = 0; j < C; j++) {
        int c = column(j);
        if (c >= g.outer) continue;
        int channel = blockIdx.z * g.outer + c;
        real bias = finish.bias ? finish.bias[channel] : (real)0;
        real factor = finish.factor ? finish.factor[channel] : (real)1;
        real offset = finish.factor ? finish.offset[channel] : (real)0;
#pragma unroll
        for (int i = 0; i < R; i++) {
            if (at[i] < 0) continue;
            real v = sum(i, j) + bias;
            v = fma(factor, v < low ? low : v, offset); // a NaN stays one
            if (finish.residual) v += finish.residual[at[i] + c];
            y[at[i] + c] = v < least ? least : v;
        }
    }
}

// On ordinary units: a thread makes 8 x 8 results. The lanes of a warp are 32 / ACROSS x ACROSS, such that
// those served together read few distinct words.
template <int ROWS, int COLUMNS, int ACROSS, int COUNT>
__device__ __forceinline__ void gather(const Gather &g, const real *source, const real *packed, const Finish &finish,
                                       real *y) {
    enum { STAGES = 2, LENGTH = (ROWS + COLUMNS) * SLICE, WARPS = COLUMNS / (8 * ACROSS), STEP = LANES / ACROSS };
    __shared__ Wide stages[STAGES * LENGTH / WIDTH];
    Loader<ROWS, COLUMNS, ROWS * COLUMNS / 64, COUNT> loader(g, source, packed);
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int row = warp / WARPS * 8 * STEP + lane / (2 * ACROSS) * 2 + lane % 2;
    int column = warp % WARPS * 8 * ACROSS + lane / 2 % ACROSS;
    real sums[8][8];
#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) sums[i][j] = 0;
    int slices = (g.taps_y * g.taps_x * g.inner + SLICE - 1) / SLICE;
    auto copy = [&](real *to) {
        if (to) loader.slice(source, packed, to, to + ROWS * SLICE);
        copies_end();
    };
    pipeline<STAGES, LENGTH>(
        slices, stages->at, copy, [&](const real *from, real *next) {
#pragma unroll
            for (int k = 0; k < 4; k++) {
                Wide right[8];
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    int skipped = j * ACROSS / 8 * 8 * SLICE;
                    right[j] = load<WIDTH>(from + swizzled(ROWS + column + j * ACROSS % 8, k) + skipped);
                }
                if (k == 0) copy(next);
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    int skipped = i * STEP / 8 * 8 * SLICE;
                    Wide left = load<WIDTH>(from + swizzled(row + i * STEP % 8, k) + skipped);
#pragma unroll
                    for (int v = 0; v < WIDTH; v++)
#pragma unroll
                        for (int j = 0; j < 8; j++) sums[i][j] = fma(left.at[v], right[j].at[v], sums[i][j]);
                }
            }
        });
    write<8, 8>(
        g, finish, y, [&](int i) { return (idx)blockIdx.x * ROWS + row + i * STEP; },
        [&](int j) { return blockIdx.y * COLUMNS + column + j * ACROSS; }, [&](int i, int j) { return sums[i][j]; });
}

// Blocks of two warps, four of them on a multiprocessor: all registers that threads can have.
#define TWO_WARPS __launch_bounds__(64, 4)

extern "C" TWO_WARPS __global__ void gather_wide(Gather g, Finish f, const real *source, const real *packed, real *y) {
    gather<64, 64, 8, WIDTH>(g, source, packed, f, y);
}

// For few columns.
extern "C" TWO_WARPS __global__ void gather_narrow(Gather g, Finish f, const real *source, const real *packed,
                                                   real *y) {
    gather<128, 32, 4, WIDTH>(g, source, packed, f, y);
}

// For any number of channels.
extern "C" TWO_WARPS __global__ void gather_any(Gather g, Finish f, const real *source, const real *packed, real *y) {
    gather<64, 64, 8, 1>(g, source, packed, f, y);
}
