// Operations with windows: depthwise convolutions and pooling.

// An image and a position in it.
struct Pixel {
    idx n;
    int y, x;
};

// The pixel of a row of a map of this height and width.
__device__ __forceinline__ Pixel pixel_of(idx row, int height, int width) {
    idx line = row / width;
    return {line / height, (int)(line % height), (int)(row % width)};
}

// The input coordinate of a tap, or -1 outside the map.
__device__ __forceinline__ int source(int out, int tap, int stride, int dilation, int pad, int len) {
    int at = out * stride + tap * dilation - pad;
    return at >= 0 && at < len ? at : -1;
}

// The output coordinate that reads input `in` with this tap, or -1.
__device__ __forceinline__ int target(int in, int tap, int stride, int dilation, int pad, int len) {
    int at = in + pad - tap * dilation;
    if (at < 0 || at % stride != 0) return -1;
    at /= stride;
    return at < len ? at : -1;
}

// Depthwise, with kernels as [tap][output channel]; output channel o reads input channel
// o / (outputs / inputs).
extern "C" __global__ void depthwise_forward(Sizes s, idx rows, const real *x, const real *kernel, real *y) {
    int multiplier = s.output_channels / s.input_channels;
    FOR_ROWS(row, o, rows, s.output_channels) {
        Pixel out = pixel_of(row, s.output_height, s.output_width);
        real sum = 0;
        for (int ky = 0; ky < s.kernel_height; ky++) {
            int iy = source(out.y, ky, s.stride_y, s.dilation_y, s.pad_y, s.input_height);
            if (iy < 0) continue;
            for (int kx = 0; kx < s.kernel_width; kx++) {
                int ix = source(out.x, kx, s.stride_x, s.dilation_x, s.pad_x, s.input_width);
                if (ix < 0) continue;
                real v = x[((out.n * s.input_height + iy) * s.input_width + ix) * s.input_channels + o / multiplier];
                sum = fma(v, kernel[(idx)(ky * s.kernel_width + kx) * s.output_channels + o], sum);
            }
        }
        y[row * s.output_channels + o] = sum;
    }
}

extern "C" __global__ void depthwise_data(Sizes s, idx rows, int accumulate, const real *kernel, const real *dy,
                                          real *dx) {
    int multiplier = s.output_channels / s.input_channels;
    FOR_ROWS(row, c, rows, s.input_channels) {
        Pixel in = pixel_of(row, s.input_height, s.input_width);
        real sum = 0;
        for (int ky = 0; ky < s.kernel_height; ky++) {
            int oy = target(in.y, ky, s.stride_y, s.dilation_y, s.pad_y, s.output_height);
            if (oy < 0) continue;
            for (int kx = 0; kx < s.kernel_width; kx++) {
                int ox = target(in.x, kx, s.stride_x, s.dilation_x, s.pad_x, s.output_width);
                if (ox < 0) continue;
                idx pixel = (in.n * s.output_height + oy) * s.output_width + ox;
                for (int m = 0; m < multiplier; m++) {
                    int o = c * multiplier + m;
                    real w = kernel[(idx)(ky * s.kernel_width + kx) * s.output_channels + o];
                    sum = fma(dy[pixel * s.output_channels + o], w, sum);
                }
            }
        }
        idx to = row * s.input_channels + c;
        dx[to] = accumulate ? dx[to] + sum : sum;
    }
}

// Outputs that a thread makes at once in the kernels below.
#define STRIP 8
// Lets the compiler use at most half of a multiprocessor's registers for a block: without it, it unrolls until one
// block takes nearly all (170 registers for 9 x 9 on compute capability 9.0, 86 with it, none spilled).
#define TWO_BLOCKS __launch_bounds__(THREADS, 2)

// Depthwise K x K with stride 1, dilation 1 and as many outputs as inputs: a thread makes STRIP
// outputs of one channel that lie side by side, so that it reads each input of a line once. With
// `rotated` the kernel is rotated by 180 degrees, which makes it the data gradient.
template <int K>
__device__ __forceinline__ void depthwise_strips(const Sizes &s, idx rows, int rotated, int accumulate, const real *x,
                                                 const real *kernel, real *y) {
    int channels = s.output_channels;
    int strips = (s.output_width + STRIP - 1) / STRIP;
    FOR_ROWS(row, c, rows, channels) {
        int left = (int)(row % strips) * STRIP;
        idx rest = row / strips;
        int oy = (int)(rest % s.output_height);
        idx n = rest / s.output_height;
        real sums[STRIP];
#pragma unroll
        for (int t = 0; t < STRIP; t++) sums[t] = 0;
        for (int ky = 0; ky < K; ky++) {
            int iy = oy + ky - s.pad_y;
            if (iy < 0 || iy >= s.input_height) continue;
            const real *from = x + (n * s.input_height + iy) * s.input_width * channels + c;
            real line[STRIP + K - 1];
#pragma unroll
            for (int j = 0; j < STRIP + K - 1; j++) {
                int ix = left + j - s.pad_x;
                line[j] = ix >= 0 && ix < s.input_width ? from[(idx)ix * channels] : (real)0;
            }
#pragma unroll
            for (int kx = 0; kx < K; kx++) {
                int tap = rotated ? K * K - 1 - (ky * K + kx) : ky * K + kx;
                real w = kernel[(idx)tap * channels + c];
#pragma unroll
                for (int t = 0; t < STRIP; t++) sums[t] = fma(line[t + kx], w, sums[t]);
            }
        }
        idx to = ((n * s.output_height + oy) * s.output_width + left) * channels + c;
#pragma unroll
        for (int t = 0; t < STRIP; t++) {
            if (left + t < s.output_width) {
                idx at = to + (idx)t * channels;
                y[at] = accumulate ? y[at] + sums[t] : sums[t];
            }
        }
    }
}

extern "C" __global__ void depthwise_strips_3(Sizes s, idx rows, int rotated, int accumulate, const real *x,
                                              const real *kernel, real *y) {
    depthwise_strips<3>(s, rows, rotated, accumulate, x, kernel, y);
}

extern "C" __global__ void depthwise_strips_5(Sizes s, idx rows, int rotated, int accumulate, const real *x,
                                              const real *kernel, real *y) {
    depthwise_strips<5>(s, rows, rotated, accumulate, x, kernel, y);
}

extern "C" TWO_BLOCKS __global__ void depthwise_strips_7(Sizes s, idx rows, int rotated, int accumulate, const real *x,
                                              const real *kernel, real *y) {
    depthwise_strips<7>(s, rows, rotated, accumulate, x, kernel, y);
}

extern "C" TWO_BLOCKS __global__ void depthwise_strips_9(Sizes s, idx rows, int rotated, int accumulate, const real *x,
                                              const real *kernel, real *y) {
    depthwise_strips<9>(s, rows, rotated, accumulate, x, kernel, y);
}

// The weight gradient of a depthwise convolution by parts: partials lie [part][tap][output channel].
// Rows are lines of the output; blockIdx.z is the tap.
extern "C" __global__ void depthwise_weight(Sizes s, idx lines, idx lines_per_part, const real *x, const real *dy,
                                            double *partials) {
    __shared__ double shared[THREADS];
    int multiplier = s.output_channels / s.input_channels, taps = s.kernel_height * s.kernel_width;
    int tap = blockIdx.z, ky = tap / s.kernel_width, kx = tap % s.kernel_width;
    idx first = (idx)blockIdx.x * lines_per_part, last = first + lines_per_part;
    if (last > lines) last = lines;
    int o = blockIdx.y * blockDim.x + threadIdx.x;
    double sum = 0;
    if (o < s.output_channels) {
        for (idx line = first + threadIdx.y; line < last; line += blockDim.y) {
            int oy = (int)(line % s.output_height);
            idx n = line / s.output_height;
            int iy = source(oy, ky, s.stride_y, s.dilation_y, s.pad_y, s.input_height);
            if (iy < 0) continue;
            real part = 0;
            for (int ox = 0; ox < s.output_width; ox++) {
                int ix = source(ox, kx, s.stride_x, s.dilation_x, s.pad_x, s.input_width);
                if (ix < 0) continue;
                real v = x[((n * s.input_height + iy) * s.input_width + ix) * s.input_channels + o / multiplier];
                part = fma(v, dy[(line * s.output_width + ox) * s.output_channels + o], part);
            }
            sum += (double)part;
        }
    }
    sum = sum_rows(sum, shared);
    if (o < s.output_channels && threadIdx.y == 0)
        partials[((idx)blockIdx.x * taps + tap) * s.output_channels + o] = sum;
}

// As depthwise_weight for K x K, stride 1, dilation 1, as many outputs as inputs: a thread keeps the
// sums of all K taps of a line of the kernel and slides over the line, one read per output.
// blockIdx.z is the line of the kernel.
template <int K>
__device__ __forceinline__ void depthwise_weight_lines(const Sizes &s, idx lines, idx lines_per_part, const real *x,
                                                       const real *dy, double *partials) {
    __shared__ double shared[THREADS];
    int channels = s.output_channels, ky = blockIdx.z;
    idx first = (idx)blockIdx.x * lines_per_part, last = first + lines_per_part;
    if (last > lines) last = lines;
    int c = blockIdx.y * blockDim.x + threadIdx.x;
    real sums[K];
#pragma unroll
    for (int k = 0; k < K; k++) sums[k] = 0;
    if (c < channels) {
        for (idx line = first + threadIdx.y; line < last; line += blockDim.y) {
            int iy = (int)(line % s.output_height) + ky - s.pad_y;
            if (iy < 0 || iy >= s.input_height) continue;
            const real *from = x + (line / s.output_height * s.input_height + iy) * s.input_width * channels + c;
            const real *above = dy + line * s.output_width * channels + c;
            real window[K];
#pragma unroll
            for (int k = 1; k < K; k++) {
                int ix = k - 1 - s.pad_x;
                window[k] = ix >= 0 && ix < s.input_width ? from[(idx)ix * channels] : (real)0;
            }
            for (int ox = 0; ox < s.output_width; ox++) {
                int ix = ox + K - 1 - s.pad_x;
#pragma unroll
                for (int k = 0; k + 1 < K; k++) window[k] = window[k + 1];
                window[K - 1] = ix >= 0 && ix < s.input_width ? from[(idx)ix * channels] : (real)0;
                real g = above[(idx)ox * channels];
#pragma unroll
                for (int k = 0; k < K; k++) sums[k] = fma(window[k], g, sums[k]);
            }
        }
    }
#pragma unroll
    for (int k = 0; k < K; k++) {
        double sum = sum_rows((double)sums[k], shared);
        if (c < channels && threadIdx.y == 0)
            partials[((idx)blockIdx.x * K * K + ky * K + k) * channels + c] = sum;
    }
}

extern "C" __global__ void depthwise_weight_lines_3(Sizes s, idx lines, idx lines_per_part, const real *x,
                                                    const real *dy, double *partials) {
    depthwise_weight_lines<3>(s, lines, lines_per_part, x, dy, partials);
}

extern "C" __global__ void depthwise_weight_lines_5(Sizes s, idx lines, idx lines_per_part, const real *x,
                                                    const real *dy, double *partials) {
    depthwise_weight_lines<5>(s, lines, lines_per_part, x, dy, partials);
}

extern "C" __global__ void depthwise_weight_lines_7(Sizes s, idx lines, idx lines_per_part, const real *x,
                                                    const real *dy, double *partials) {
    depthwise_weight_lines<7>(s, lines, lines_per_part, x, dy, partials);
}

extern "C" __global__ void depthwise_weight_lines_9(Sizes s, idx lines, idx lines_per_part, const real *x,
                                                    const real *dy, double *partials) {
    depthwise_weight_lines<9>(s, lines, lines_per_part, x, dy, partials);
}

// The first greatest element of a window, or the last NaN, as its pixel in the image, or -1 where the
// window lies outside the map.
__device__ __forceinline__ int first_max(const Sizes &s, const real *image, int oy, int ox, int c) {
    int best = -1;
    real most = 0;
    for (int ky = 0; ky < s.kernel_height; ky++) {
        int iy = source(oy, ky, s.stride_y, s.dilation_y, s.pad_y, s.input_height);
        if (iy < 0) continue;
        for (int kx = 0; kx < s.kernel_width; kx++) {
            int ix = source(ox, kx, s.stride_x, s.dilation_x, s.pad_x, s.input_width);
            if (ix < 0) continue;
            int at = iy * s.input_width + ix;
            real v = image[(idx)at * s.input_channels + c];
            if (best < 0 || v > most || v != v) {
                best = at;
                most = v;
            }
        }
    }
    return best;
}

extern "C" __global__ void max_pool(Sizes s, idx rows, const real *x, real *y) {
    FOR_ROWS(row, c, rows, s.output_channels) {
        Pixel out = pixel_of(row, s.output_height, s.output_width);
        const real *image = x + out.n * s.input_height * s.input_width * s.input_channels;
        int at = first_max(s, image, out.y, out.x, c);
        y[row * s.output_channels + c] = at < 0 ? MINUS_INFINITY : image[(idx)at * s.input_channels + c];
    }
}

// Where each window's greatest element is, for the backward pass.
extern "C" __global__ void max_pool_places(Sizes s, idx rows, const real *x, int *places) {
    FOR_ROWS(row, c, rows, s.output_channels) {
        Pixel out = pixel_of(row, s.output_height, s.output_width);
        const real *image = x + out.n * s.input_height * s.input_width * s.input_channels;
        places[row * s.output_channels + c] = first_max(s, image, out.y, out.x, c);
    }
}

extern "C" __global__ void average_pool(Sizes s, idx rows, const real *x, real *y) {
    FOR_ROWS(row, c, rows, s.output_channels) {
        Pixel out = pixel_of(row, s.output_height, s.output_width);
        const real *image = x + out.n * s.input_height * s.input_width * s.input_channels;
        real sum = 0;
        for (int ky = 0; ky < s.kernel_height; ky++) {
            int iy = source(out.y, ky, s.stride_y, s.dilation_y, s.pad_y, s.input_height);
            if (iy < 0) continue;
            for (int kx = 0; kx < s.kernel_width; kx++) {
                int ix = source(out.x, kx, s.stride_x, s.dilation_x, s.pad_x, s.input_width);
                if (ix >= 0) sum += image[((idx)iy * s.input_width + ix) * s.input_channels + c];
            }
        }
        y[row * s.output_channels + c] = sum / (real)(s.kernel_height * s.kernel_width);
    }
}

// Both kinds: `places` is null for averages. Rows are input pixels.
extern "C" __global__ void pool_backward(Sizes s, idx rows, const int *places, const real *dy, real *dx) {
    FOR_ROWS(row, c, rows, s.input_channels) {
        Pixel in = pixel_of(row, s.input_height, s.input_width);
        real sum = 0;
        for (int ky = 0; ky < s.kernel_height; ky++) {
            int oy = target(in.y, ky, s.stride_y, s.dilation_y, s.pad_y, s.output_height);
            if (oy < 0) continue;
            for (int kx = 0; kx < s.kernel_width; kx++) {
                int ox = target(in.x, kx, s.stride_x, s.dilation_x, s.pad_x, s.output_width);
                if (ox < 0) continue;
                idx at = ((in.n * s.output_height + oy) * s.output_width + ox) * s.output_channels + c;
                if (!places || places[at] == in.y * s.input_width + in.x) sum += dy[at];
            }
        }
        dx[row * s.input_channels + c] = places ? sum : sum / (real)(s.kernel_height * s.kernel_width);
    }
}
