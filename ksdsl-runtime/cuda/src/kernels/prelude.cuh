// What all kernels share. The sources are compiled together, once with REAL = float and once with
// REAL = double, by nvrtc when a program first uses the device; so nothing may be included here.
//
// Maps are NHWC: row r is a pixel of an image, and its channels lie next to each other. Sums over
// rows are made by parts: a block adds its rows in a fixed order and writes one partial sum, and a
// second kernel adds the partial sums in order. There are no floating-point atomics, so the same
// inputs give the same bits.

typedef REAL real;
typedef long long idx;

// The sizes of a convolution or a pooling; the same fields as `Sizes` in sizes.rs.
struct Sizes {
    int batch;
    int input_height, input_width, input_channels;
    int output_height, output_width, output_channels;
    int kernel_height, kernel_width;
    int stride_y, stride_x;
    int pad_y, pad_x;
    int dilation_y, dilation_x;
    int groups;
};

// Every element i of n, for a grid of one dimension.
#define FOR_EACH(i, n) \
    for (idx i = (idx)blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += (idx)gridDim.x * blockDim.x)

// Every channel c of every row, for a block whose x are channels and y rows: no division is needed
// to know the channel, and neighbouring threads read neighbouring values.
#define FOR_ROWS(row, c, rows, channels)                                                           \
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < (rows);                       \
         row += (idx)gridDim.x * blockDim.y)                                                       \
        for (int c = blockIdx.y * blockDim.x + threadIdx.x; c < (channels); c += gridDim.y * blockDim.x)

// Values of 16 bytes, which is what a thread reads and writes at a time where it can.
#define WIDTH (16 / (int)sizeof(real))

template <int N> struct alignas(N * sizeof(real)) Values {
    real at[N];
};

template <int N> __device__ __forceinline__ Values<N> load(const real *from) { return *(const Values<N> *)from; }

template <int N> __device__ __forceinline__ void store(real *to, const Values<N> &values) {
    *(Values<N> *)to = values;
}

// N values from `from`, or all `otherwise` where there is none.
template <int N> __device__ __forceinline__ Values<N> load_or(const real *from, idx at, real otherwise) {
    if (from) return load<N>(from + at);
    Values<N> values;
#pragma unroll
    for (int k = 0; k < N; k++) values.at[k] = otherwise;
    return values;
}

// For maps whose channels are read N at a time: every N channels, and with them every row. What depends on
// the channels alone is read before the rows.
#define FOR_WIDE_CHANNELS(N, c, channels) \
    for (int c = (blockIdx.y * blockDim.x + threadIdx.x) * N; c < (channels); c += gridDim.y * blockDim.x * N)
#define FOR_THEIR_ROWS(row, rows) \
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < (rows); row += (idx)gridDim.x * blockDim.y)

// Threads of a block; blockDim.x and blockDim.y are powers of two with this product.
#define THREADS 256
// Lanes of a warp.
#define LANES 32
#define ALL_LANES 0xffffffffu

#define NONE 0
#define RELU 1
#define GELU 2
#define GELU_TANH 3
#define SILU 4
#define SIGMOID 5
#define HARD_SWISH 6
#define RELU6 7

#define MINUS_INFINITY ((real)__int_as_float(0xff800000))
#define SQRT_HALF ((real)0.70710678118654752440)
#define DENSITY ((real)0.39894228040143267794)   // 1 / sqrt(2 pi)
#define TANH_ROOT ((real)0.79788456080286535588) // sqrt(2 / pi)
#define TANH_CUBE ((real)0.044715)

__device__ __forceinline__ real logistic(real x) { return (real)1 / ((real)1 + exp(-x)); }

// What GELU's tanh form takes the tanh of.
__device__ __forceinline__ real tanh_inner(real x) { return TANH_ROOT * (x + TANH_CUBE * x * x * x); }

// The distribution function of the standard normal, also far out in the lower tail.
__device__ __forceinline__ real normal(real x) { return (real)0.5 * erfc(-x * SQRT_HALF); }

// So far out every activation is at its limit, to rounding; further out terms of the formulas overflow.
#define FAR ((real)1e4)

// x, or the next of the ends; a NaN stays one.
__device__ __forceinline__ real near_zero(real x) { return x < -FAR ? -FAR : x > FAR ? FAR : x; }

// x * gate, for a gate that is zero far below: then -0 also for minus infinity.
__device__ __forceinline__ real gated(real x, real gate) { return (x < -FAR ? -FAR : x) * gate; }

__device__ __forceinline__ real activate(int kind, real x) {
    switch (kind) {
    case RELU:
        return x < (real)0 ? (real)0 : x; // a NaN stays one
    case GELU:
        return gated(x, normal(x));
    case GELU_TANH:
        return gated(x, (real)0.5 * ((real)1 + tanh(tanh_inner(near_zero(x)))));
    case SILU:
        return gated(x, logistic(x));
    case SIGMOID:
        return logistic(x);
    case HARD_SWISH: {
        real gate = x + (real)3;
        gate = gate < (real)0 ? (real)0 : gate > (real)6 ? (real)6 : gate;
        return gated(x, gate / (real)6);
    }
    case RELU6:
        return x < (real)0 ? (real)0 : x > (real)6 ? (real)6 : x; // a NaN stays one
    default:
        return x;
    }
}

// The derivative at the input x; at the kinks as PyTorch has it.
__device__ __forceinline__ real slope_of(int kind, real x) {
    real near = near_zero(x);
    switch (kind) {
    case RELU:
        return x <= (real)0 ? (real)0 : (real)1;
    case GELU:
        return normal(x) + near * DENSITY * exp((real)-0.5 * near * near);
    case GELU_TANH: {
        real t = tanh(tanh_inner(near));
        real slope = TANH_ROOT * ((real)1 + (real)3 * TANH_CUBE * near * near);
        return (real)0.5 * ((real)1 + t) + (real)0.5 * near * ((real)1 - t * t) * slope;
    }
    case SILU: {
        real s = logistic(x);
        return s + near * s * ((real)1 - s);
    }
    case SIGMOID: {
        real s = logistic(x);
        return s * ((real)1 - s);
    }
    case HARD_SWISH:
        return x <= (real)-3 ? (real)0 : x < (real)3 ? x / (real)3 + (real)0.5 : (real)1;
    case RELU6:
        return x <= (real)0 || x >= (real)6 ? (real)0 : (real)1;
    default:
        return (real)1;
    }
}

// Adds `value` over the threads of equal threadIdx.x, in the order of a tree; the sum is in the
// thread with threadIdx.y == 0. All threads of the block must call it. `shared` has THREADS values.
__device__ __forceinline__ double sum_rows(double value, double *shared) {
    int at = threadIdx.y * blockDim.x + threadIdx.x;
    shared[at] = value;
    __syncthreads();
    for (int step = blockDim.y / 2; step > 0; step /= 2) {
        if (threadIdx.y < step) shared[at] += shared[at + step * blockDim.x];
        __syncthreads();
    }
    double sum = shared[threadIdx.x];
    __syncthreads();
    return sum;
}

// Adds `value` over the lanes of a warp, every lane in the same order.
__device__ __forceinline__ double sum_lanes(double value) {
    for (int step = LANES / 2; step > 0; step /= 2) value += __shfl_xor_sync(ALL_LANES, value, step);
    return value;
}

__device__ __forceinline__ real max_lanes(real value) {
    for (int step = LANES / 2; step > 0; step /= 2) {
        real other = __shfl_xor_sync(ALL_LANES, value, step);
        value = other > value ? other : value;
    }
    return value;
}
