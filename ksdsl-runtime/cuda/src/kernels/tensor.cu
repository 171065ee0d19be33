// The products of gather.cu and gather_weight.cu on tensor cores, for `float` from compute capability
// 8.0 on: factors are rounded to TF32 (11 bits) or bfloat16 (8 bits), sums are `float`.
//
// A warp makes 64 x 32 or 64 x 64 results in blocks of 16 x 8. The order of a sum does not matter as long as both
// factors have the same, so lanes read 16 bytes at a time and give the products what they read:
// PTX ISA, "Matrix Fragments for mma.m16n8k8" and "for mma.m16n8k16".

#ifdef REAL_IS_float
#if defined(EMULATOR) || (defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800)
#define TENSOR_CORES
#endif
#endif

#ifdef TENSOR_CORES
// A value of which the tensor core reads 11 bits. It drops the others, so this adds two thirds of what the
// eleventh is worth at most: the result is less than two thirds of it off, as it is half of it off after
// cvt.rna.tf32, which takes three times as long.
__device__ __forceinline__ unsigned rounded(float value) {
    return __float_as_uint(value * 1.00032552f); // 1 + 2 / 3 * 2^-11
}

// Two values with 8 bits.
__device__ __forceinline__ unsigned pair(float low, float high) {
#ifdef EMULATOR
    return emulator_pair(low, high);
#else
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
#endif
}

// sums += a b, of 16 x 8 by 8 x 8, or 16 x 16 by 16 x 8 if BRIEF.
template <bool BRIEF>
__device__ __forceinline__ void tensor_product(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#ifdef EMULATOR
    emulator_tensor_product(sums, a, b, BRIEF);
#else
    if constexpr (BRIEF)
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    else
        asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
            "{%0, %1, %2, %3};"
            : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#endif
}

// The sums of a warp: 4 blocks of 16 rows, NJ blocks of 8 columns.
template <int NJ> struct Tile {
    float sums[4][NJ][4];

    __device__ __forceinline__ Tile() {
#pragma unroll
        for (int i = 0; i < 16 * NJ; i++) sums[i / 4 / NJ][i / 4 % NJ][i % 4] = 0;
    }

    // Adds a product of 8 (or 16) terms of each sum. A lane has the terms number 2 t and 2 t + 1 (or 4 t to
    // 4 t + 3), t its place among the four lanes of a row: `left(i, h, k)` is term k of row h of the two that
    // it has in block i, `right(j, k)` of its column in block j.
    template <bool BRIEF, class Left, class Right> __device__ __forceinline__ void add(Left left, Right right) {
        unsigned b[NJ][2];
#pragma unroll
        for (int j = 0; j < NJ; j++)
#pragma unroll
            for (int k = 0; k < 2; k++)
                b[j][k] = BRIEF ? pair(right(j, 2 * k), right(j, 2 * k + 1)) : rounded(right(j, k));
#pragma unroll
        for (int i = 0; i < 4; i++) {
            unsigned a[4];
#pragma unroll
            for (int h = 0; h < 4; h++)
                a[h] = BRIEF ? pair(left(i, h % 2, h / 2 * 2), left(i, h % 2, h / 2 * 2 + 1))
                             : rounded(left(i, h % 2, h / 2));
#pragma unroll
            for (int j = 0; j < NJ; j++) tensor_product<BRIEF>(sums[i][j], a, b[j]);
        }
    }
};

template <int ROWS, int COLUMNS, bool BRIEF, int NJ>
__device__ __forceinline__ void tensor_gather(const Gather &g, const float *source, const float *packed,
                                              const Finish &finish, float *y) {
    enum { STAGES = 3, LENGTH = (ROWS + COLUMNS) * SLICE, WARPS = COLUMNS / 8 / NJ };
    __shared__ Wide stages[STAGES * LENGTH / WIDTH];
    Loader<ROWS, COLUMNS, ROWS * COLUMNS / 16 / NJ, WIDTH> loader(g, source, packed);
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int row = warp / WARPS * 64 + lane / 4, column = warp % WARPS * 8 * NJ;
    Tile<NJ> tile;
    int slices = (g.taps_y * g.taps_x * g.inner + SLICE - 1) / SLICE;
    auto copy = [&](float *to) {
        if (to) loader.slice(source, packed, to, to + ROWS * SLICE);
        copies_end();
    };
    pipeline<STAGES, LENGTH>(
        slices, stages->at, copy, [&](const float *from, float *next) {
            Wide left[8], right[NJ];
#pragma unroll
            for (int i = 0; i < 8; i++) left[i] = load<WIDTH>(from + swizzled(row, lane % 4) + i * 8 * SLICE);
#pragma unroll
            for (int j = 0; j < NJ; j++)
                right[j] = load<WIDTH>(from + swizzled(ROWS + column + lane / 4, lane % 4) + j * 8 * SLICE);
            copy(next);
#pragma unroll
            for (int first = 0; first < WIDTH; first += BRIEF ? 4 : 2)
                tile.template add<BRIEF>([&](int i, int h, int k) { return left[2 * i + h].at[first + k]; },
                                [&](int j, int k) { return right[j].at[first + k]; });
        });
    write<8, 2 * NJ>(
        g, finish, y, [&](int i) { return (idx)blockIdx.x * ROWS + row + i * 8; },
        [&](int j) { return blockIdx.y * COLUMNS + column + j / 2 * 8 + lane % 4 * 2 + j % 2; },
        [&](int i, int j) { return tile.sums[i / 2][j / 2][i % 2 * 2 + j % 2]; });
}

template <int ROWS, int COLUMNS, bool BRIEF>
__device__ __forceinline__ void tensor_weight(const Gather &g, int groups, int rows_per_part, const float *source,
                                              const float *dy, float *partials) {
    typedef WeightLoader<ROWS, COLUMNS, ROWS * COLUMNS / 64, WIDTH> Load;
    enum { STAGES = 2, LENGTH = (Load::ROW_PITCH + Load::COLUMN_PITCH) * SLICE, WARPS = COLUMNS / 32 };
    enum { B = Load::ROW_PITCH * SLICE, TERMS = BRIEF ? 4 : 2 };
    __shared__ Wide stages[STAGES * LENGTH / WIDTH];
    Part part(g, groups, rows_per_part);
    Load loader(g, part.group, part.first, part.last);
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    // Four rows (and columns) of a lane lie side by side.
    int row = warp / WARPS * 64 + lane / 4 * 4, column = warp % WARPS * 32;
    Tile<4> tile;
    int slices = (part.last - part.first + SLICE - 1) / SLICE;
    auto copy = [&](float *to) {
        if (to) loader.slice(source, dy, to, to + B);
        copies_end();
    };
    pipeline<STAGES, LENGTH>(
        slices, stages->at, copy, [&](const float *from, float *next) {
#pragma unroll
            for (int first = 0; first < SLICE; first += 4 * TERMS) {
                Wide left[TERMS][2], right[TERMS];
#pragma unroll
                for (int k = 0; k < TERMS; k++) {
                    int line = first + lane % 4 + 4 * k;
                    const float *a = from + line * Load::ROW_PITCH + row;
                    left[k][0] = load<WIDTH>(a), left[k][1] = load<WIDTH>(a + 32);
                    right[k] = load<WIDTH>(from + B + line * Load::COLUMN_PITCH + column + lane / 4 * 4);
                }
                if (first == 0) copy(next);
                tile.template add<BRIEF>([&](int i, int h, int k) { return left[k][i / 2].at[i % 2 * 2 + h]; },
                                [&](int j, int k) { return right[k].at[j]; });
            }
        });
    write_partials<8, 8>(
        g, partials, [&](int i) { return blockIdx.y * ROWS + row + i / 4 * 32 + i % 4; },
        [&](int j) { return blockIdx.x * COLUMNS + column + lane % 4 * 8 + j; },
        [&](int i, int j) { return tile.sums[i / 2][j % 4][i % 2 * 2 + j / 4]; });
}
#define ON_TENSOR_CORES(call) call
#else
// Never launched here.
#define ON_TENSOR_CORES(call)
#endif

extern "C" __launch_bounds__(128, 2) __global__ void gather_tf32_128(Gather g, Finish f, const real *source,
                                                                     const real *packed, real *y) {
    ON_TENSOR_CORES((tensor_gather<128, 128, false, 8>(g, source, packed, f, y)));
}

extern "C" SMALL_BLOCKS __global__ void gather_tf32_64(Gather g, Finish f, const real *source, const real *packed,
                                                       real *y) {
    ON_TENSOR_CORES((tensor_gather<128, 64, false, 4>(g, source, packed, f, y)));
}

extern "C" LARGE_BLOCKS __global__ void weight_tf32_128(Gather g, int groups, int rows_per_part, const real *source,
                                                        const real *dy, real *partials) {
    ON_TENSOR_CORES((tensor_weight<128, 128, false>(g, groups, rows_per_part, source, dy, partials)));
}

extern "C" SMALL_BLOCKS __global__ void weight_tf32_64(Gather g, int groups, int rows_per_part, const real *source,
                                                       const real *dy, real *partials) {
    ON_TENSOR_CORES((tensor_weight<64, 128, false>(g, groups, rows_per_part, source, dy, partials)));
}

extern "C" __launch_bounds__(128, 2) __global__ void gather_bf16_128(Gather g, Finish f, const real *source,
                                                                     const real *packed, real *y) {
    ON_TENSOR_CORES((tensor_gather<128, 128, true, 8>(g, source, packed, f, y)));
}

extern "C" SMALL_BLOCKS __global__ void gather_bf16_64(Gather g, Finish f, const real *source, const real *packed,
                                                       real *y) {
    ON_TENSOR_CORES((tensor_gather<128, 64, true, 4>(g, source, packed, f, y)));
}

extern "C" LARGE_BLOCKS __global__ void weight_bf16_128(Gather g, int groups, int rows_per_part, const real *source,
                                                        const real *dy, real *partials) {
    ON_TENSOR_CORES((tensor_weight<128, 128, true>(g, groups, rows_per_part, source, dy, partials)));
}

extern "C" SMALL_BLOCKS __global__ void weight_bf16_64(Gather g, int groups, int rows_per_part, const real *source,
                                                       const real *dy, real *partials) {
    ON_TENSOR_CORES((tensor_weight<64, 128, true>(g, groups, rows_per_part, source, dy, partials)));
}
