// Sums over rows and what is made of them: batch norm, layer norm.

// The rows [first, last) of part blockIdx.x.
#define PART_OF(rows, rows_per_part)                                      \
    idx first = (idx)blockIdx.x * (rows_per_part), last = first + (rows_per_part); \
    if (last > (rows)) last = (rows)
// Blocks of channels go on along z where there are more than y can count.
#define CHANNEL ((blockIdx.z * gridDim.y + blockIdx.y) * blockDim.x + threadIdx.x)

// Adds both sums of N channels over the rows of the block, and writes them as partial sums.
template <int N>
__device__ __forceinline__ void write_sums(int c, int channels, const double (&first)[N], const double (&second)[N],
                                           double *partials, double *shared) {
    double *to = partials + (idx)blockIdx.x * 2 * channels + c;
#pragma unroll
    for (int k = 0; k < N; k++) {
        double a = sum_rows(first[k], shared), b = sum_rows(second[k], shared);
        if (c < channels && threadIdx.y == 0) {
            to[k] = a;
            to[channels + k] = b;
        }
    }
}

// Per part and channel: the sums of before(x + bias) and of its square. Writes x + bias to
// `output` (which may be x) where there is a bias, and before(x + bias) to `activated` where there
// is a `before`. Partial sums lie [part][2][channels].
template <int N>
__device__ __forceinline__ void moments_of(idx rows, int channels, idx rows_per_part, const real *x, const real *bias,
                                           int before, real *output, real *activated, double *partials,
                                           double *shared) {
    PART_OF(rows, rows_per_part);
    int c = CHANNEL * N;
    double sums[N] = {}, squares[N] = {};
    if (c < channels) {
        Values<N> add = load_or<N>(bias, c, (real)0);
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) {
            idx i = row * channels + c;
            Values<N> v = load<N>(x + i);
#pragma unroll
            for (int k = 0; k < N; k++) v.at[k] += add.at[k];
            if (bias) store(output + i, v);
#pragma unroll
            for (int k = 0; k < N; k++) {
                v.at[k] = activate(before, v.at[k]);
                sums[k] += (double)v.at[k];
                squares[k] += (double)v.at[k] * (double)v.at[k];
            }
            if (activated) store(activated + i, v);
        }
    }
    write_sums<N>(c, channels, sums, squares, partials, shared);
}

extern "C" __global__ void moments(idx rows, int channels, idx rows_per_part, const real *x, const real *bias,
                                   int before, real *output, real *activated, double *partials) {
    __shared__ double shared[THREADS];
    if (channels % WIDTH == 0)
        moments_of<WIDTH>(rows, channels, rows_per_part, x, bias, before, output, activated, partials, shared);
    else
        moments_of<1>(rows, channels, rows_per_part, x, bias, before, output, activated, partials, shared);
}

// A sum over the parts for each channel of the block; every thread of the block must call it.
__device__ __forceinline__ double sum_parts(int c, int channels, int parts, idx stride, const double *partials,
                                            double *shared) {
    double sum = 0;
    if (c < channels) {
        for (int part = threadIdx.y; part < parts; part += blockDim.y) sum += partials[part * stride + c];
    }
    return sum_rows(sum, shared);
}

extern "C" __global__ void moments_finish(int channels, int parts, idx rows, const double *partials, real *mean,
                                          real *variance) {
    __shared__ double shared[THREADS];
    int c = CHANNEL;
    double sum = sum_parts(c, channels, parts, 2 * channels, partials, shared);
    double squares = sum_parts(c, channels, parts, 2 * channels, partials + channels, shared);
    if (c < channels && threadIdx.y == 0) {
        double middle = sum / (double)rows;
        double spread = squares / (double)rows - middle * middle;
        mean[c] = (real)middle;
        variance[c] = (real)(spread > 0 || spread != spread ? spread : 0);
    }
}

extern "C" __global__ void norm_coefficients(int channels, double eps, const real *mean, const real *variance,
                                             const real *scale, const real *shift, real *factor, real *offset) {
    FOR_EACH(c, channels) {
        double f = (double)scale[c] / sqrt((double)variance[c] + eps);
        factor[c] = (real)f;
        offset[c] = (real)((double)shift[c] - (double)mean[c] * f);
    }
}

// The gradient before the last activation: masked by the output's sign, which is read or recomputed
// by the same operations as in the forward pass.
__device__ __forceinline__ real masked(real dy, int after, bool read, real output, real a, real factor, real offset) {
    if (after == NONE) return dy;
    real y = read ? output : fma(factor, a, offset);
    return y > (real)0 ? dy : (real)0;
}

// Per part and channel: the sums of g and of g * (a - mean), with a = before(x).
template <int N>
__device__ __forceinline__ void norm_reduce_of(idx rows, int channels, idx rows_per_part, const real *x, int before,
                                               int after, const real *output, const real *mean, const real *factor,
                                               const real *offset, const real *dy, double *partials, double *shared) {
    PART_OF(rows, rows_per_part);
    int c = CHANNEL * N;
    double sums[N] = {}, products[N] = {};
    if (c < channels) {
        Values<N> middle = load<N>(mean + c), scale = load<N>(factor + c), shift = load<N>(offset + c);
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) {
            idx i = row * channels + c;
            Values<N> a = load<N>(x + i), g = load<N>(dy + i), y = load_or<N>(output, i, (real)0);
#pragma unroll
            for (int k = 0; k < N; k++) {
                a.at[k] = activate(before, a.at[k]);
                g.at[k] = masked(g.at[k], after, output, y.at[k], a.at[k], scale.at[k], shift.at[k]);
                sums[k] += (double)g.at[k];
                products[k] += (double)g.at[k] * (double)(a.at[k] - middle.at[k]);
            }
        }
    }
    write_sums<N>(c, channels, sums, products, partials, shared);
}

extern "C" __global__ void norm_reduce(idx rows, int channels, idx rows_per_part, const real *x, int before,
                                       int after, const real *output, const real *mean, const real *factor,
                                       const real *offset, const real *dy, double *partials) {
    __shared__ double shared[THREADS];
    if (channels % WIDTH == 0)
        norm_reduce_of<WIDTH>(rows, channels, rows_per_part, x, before, after, output, mean, factor, offset, dy,
                              partials, shared);
    else
        norm_reduce_of<1>(rows, channels, rows_per_part, x, before, after, output, mean, factor, offset, dy, partials,
                          shared);
}

// Adds the gradients of scale and shift; `average` and `slope` are what norm_gradient takes away.
extern "C" __global__ void norm_finish(int channels, int parts, idx rows, double eps, const real *variance,
                                       const double *partials, real *dscale, real *dshift, real *average,
                                       real *slope) {
    __shared__ double shared[THREADS];
    int c = CHANNEL;
    double sum = sum_parts(c, channels, parts, 2 * channels, partials, shared);
    double product = sum_parts(c, channels, parts, 2 * channels, partials + channels, shared);
    if (c < channels && threadIdx.y == 0) {
        double inverse = 1.0 / sqrt((double)variance[c] + eps);
        dshift[c] += (real)sum;
        dscale[c] += (real)(product * inverse);
        average[c] = (real)(sum / (double)rows);
        slope[c] = (real)(product / (double)rows * inverse * inverse);
    }
}

// dx = before'(x) * factor * (g - average - (a - mean) * slope); the residual's gradient is g.
// dx or dresidual may be dy.
template <int N>
__device__ __forceinline__ void norm_gradient_of(idx rows, int channels, const real *x, int before, int after,
                                                 const real *output, const real *mean, const real *factor,
                                                 const real *offset, const real *average, const real *slope,
                                                 const real *dy, real *dx, real *dresidual) {
    FOR_WIDE_CHANNELS(N, c, channels) {
        Values<N> middle = load<N>(mean + c), scale = load<N>(factor + c), shift = load<N>(offset + c);
        Values<N> less = load<N>(average + c), tilt = load<N>(slope + c);
        FOR_THEIR_ROWS(row, rows) {
            idx i = row * channels + c;
            Values<N> at = load<N>(x + i), g = load<N>(dy + i), y = load_or<N>(output, i, (real)0), d;
#pragma unroll
            for (int k = 0; k < N; k++) {
                real a = activate(before, at.at[k]);
                g.at[k] = masked(g.at[k], after, output, y.at[k], a, scale.at[k], shift.at[k]);
                d.at[k] = scale.at[k] * (g.at[k] - less.at[k] - (a - middle.at[k]) * tilt.at[k]);
                if (before != NONE) d.at[k] *= slope_of(before, at.at[k]);
            }
            if (dresidual) store(dresidual + i, g);
            store(dx + i, d);
        }
    }
}

extern "C" __global__ void norm_gradient(idx rows, int channels, const real *x, int before, int after,
                                         const real *output, const real *mean, const real *factor,
                                         const real *offset, const real *average, const real *slope, const real *dy,
                                         real *dx, real *dresidual) {
    if (channels % WIDTH == 0)
        norm_gradient_of<WIDTH>(rows, channels, x, before, after, output, mean, factor, offset, average, slope, dy, dx,
                                dresidual);
    else
        norm_gradient_of<1>(rows, channels, x, before, after, output, mean, factor, offset, average, slope, dy, dx,
                            dresidual);
}

extern "C" __global__ void blend(idx n, double momentum, double factor, const real *running, const real *batch,
                                 real *blended) {
    FOR_EACH(i, n)
    blended[i] = (real)((double)running[i] * (1.0 - momentum) + (double)batch[i] * factor * momentum);
}

// Per part and channel: the sum over the rows, [part][channels].
extern "C" __global__ void column_sums(idx rows, int channels, idx rows_per_part, const real *x,
                                       double *partials) {
    __shared__ double shared[THREADS];
    PART_OF(rows, rows_per_part);
    int c = CHANNEL;
    double sum = 0;
    if (c < channels) {
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) sum += (double)x[row * channels + c];
    }
    sum = sum_rows(sum, shared);
    if (c < channels && threadIdx.y == 0) partials[(idx)blockIdx.x * channels + c] = sum;
}

// sums[c] += the partial sums of all parts, [part][stride].
extern "C" __global__ void add_parts(int channels, int parts, idx stride, const double *partials, real *sums) {
    __shared__ double shared[THREADS];
    int c = CHANNEL;
    double sum = sum_parts(c, channels, parts, stride, partials, shared);
    if (c < channels && threadIdx.y == 0) sums[c] += (real)sum;
}

// Layer norm: a warp takes a row. Blocks of LANES x rows.
extern "C" __global__ void layer_norm_forward(idx rows, int channels, double eps, const real *x, const real *scale,
                                              const real *shift, real *y, real *means, real *inverses) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        const real *from = x + row * channels;
        double sum = 0;
        for (int c = threadIdx.x; c < channels; c += LANES) sum += (double)from[c];
        double middle = sum_lanes(sum) / channels;
        double squares = 0;
        for (int c = threadIdx.x; c < channels; c += LANES) {
            double apart = (double)from[c] - middle;
            squares += apart * apart;
        }
        real mean = (real)middle, inverse = (real)(1.0 / sqrt(sum_lanes(squares) / channels + eps));
        for (int c = threadIdx.x; c < channels; c += LANES)
            y[row * channels + c] = (from[c] - mean) * inverse * scale[c] + shift[c];
        if (threadIdx.x == 0) {
            means[row] = mean;
            inverses[row] = inverse;
        }
    }
}

// dx = (g - mean(g) - xhat * mean(g * xhat)) * inverse, with g = dy * scale.
extern "C" __global__ void layer_norm_backward(idx rows, int channels, const real *x, const real *means,
                                               const real *inverses, const real *scale, const real *dy, real *dx) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        const real *from = x + row * channels, *above = dy + row * channels;
        real mean = means[row], inverse = inverses[row];
        double sum = 0, product = 0;
        for (int c = threadIdx.x; c < channels; c += LANES) {
            real g = above[c] * scale[c];
            sum += (double)g;
            product += (double)g * (double)((from[c] - mean) * inverse);
        }
        real average = (real)(sum_lanes(sum) / channels), slope = (real)(sum_lanes(product) / channels);
        for (int c = threadIdx.x; c < channels; c += LANES) {
            real xhat = (from[c] - mean) * inverse;
            dx[row * channels + c] = (above[c] * scale[c] - average - xhat * slope) * inverse;
        }
    }
}

// Per part and channel: the sums of dy * xhat and of dy, [part][2][channels].
extern "C" __global__ void layer_norm_reduce(idx rows, int channels, idx rows_per_part, const real *x,
                                             const real *means, const real *inverses, const real *dy,
                                             double *partials) {
    __shared__ double shared[THREADS];
    PART_OF(rows, rows_per_part);
    int c = CHANNEL;
    double product = 0, sum = 0;
    if (c < channels) {
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) {
            idx i = row * channels + c;
            product += (double)dy[i] * (double)((x[i] - means[row]) * inverses[row]);
            sum += (double)dy[i];
        }
    }
    product = sum_rows(product, shared);
    sum = sum_rows(sum, shared);
    if (c < channels && threadIdx.y == 0) {
        double *to = partials + (idx)blockIdx.x * 2 * channels;
        to[c] = product;
        to[channels + c] = sum;
    }
}
