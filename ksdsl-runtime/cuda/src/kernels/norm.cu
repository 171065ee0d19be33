// Sums over rows and what is made of them: batch norm, layer norm, gates, global pooling.

// The rows [first, last) of part blockIdx.x.
#define PART_OF(rows, rows_per_part)                                      \
    idx first = (idx)blockIdx.x * (rows_per_part), last = first + (rows_per_part); \
    if (last > (rows)) last = (rows)
// Blocks of channels go on along z where there are more than y can count.
#define CHANNEL ((blockIdx.z * gridDim.y + blockIdx.y) * blockDim.x + threadIdx.x)

// Per part and channel: the sums of before(x + bias) and of its square. Writes x + bias to
// `output` (which may be x) where there is a bias, and before(x + bias) to `activated` where there
// is a `before`. Partial sums lie [part][2][channels].
extern "C" __global__ void moments(idx rows, int channels, idx rows_per_part, const real *x, const real *bias,
                                   int before, real *output, real *activated, double *partials) {
    __shared__ double shared[THREADS];
    PART_OF(rows, rows_per_part);
    int c = CHANNEL;
    double sum = 0, squares = 0;
    if (c < channels) {
        real add = bias ? bias[c] : (real)0;
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) {
            idx i = row * channels + c;
            real v = x[i] + add;
            if (bias) output[i] = v;
            v = activate(before, v);
            if (activated) activated[i] = v;
            sum += (double)v;
            squares += (double)v * (double)v;
        }
    }
    sum = sum_rows(sum, shared);
    squares = sum_rows(squares, shared);
    if (c < channels && threadIdx.y == 0) {
        double *to = partials + (idx)blockIdx.x * 2 * channels;
        to[c] = sum;
        to[channels + c] = squares;
    }
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
__device__ __forceinline__ real masked(real dy, int after, const real *output, idx i, real a, real factor,
                                       real offset) {
    if (after == NONE) return dy;
    real y = output ? output[i] : fma(factor, a, offset);
    return y > (real)0 ? dy : (real)0;
}

// Per part and channel: the sums of g and of g * (a - mean), with a = before(x).
extern "C" __global__ void norm_reduce(idx rows, int channels, idx rows_per_part, const real *x, int before,
                                       int after, const real *output, const real *mean, const real *factor,
                                       const real *offset, const real *dy, double *partials) {
    __shared__ double shared[THREADS];
    PART_OF(rows, rows_per_part);
    int c = CHANNEL;
    double sum = 0, product = 0;
    if (c < channels) {
        for (idx row = first + threadIdx.y; row < last; row += blockDim.y) {
            idx i = row * channels + c;
            real a = activate(before, x[i]);
            real g = masked(dy[i], after, output, i, a, factor[c], offset[c]);
            sum += (double)g;
            product += (double)g * (double)(a - mean[c]);
        }
    }
    sum = sum_rows(sum, shared);
    product = sum_rows(product, shared);
    if (c < channels && threadIdx.y == 0) {
        double *to = partials + (idx)blockIdx.x * 2 * channels;
        to[c] = sum;
        to[channels + c] = product;
    }
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
extern "C" __global__ void norm_gradient(idx rows, int channels, const real *x, int before, int after,
                                         const real *output, const real *mean, const real *factor,
                                         const real *offset, const real *average, const real *slope, const real *dy,
                                         real *dx, real *dresidual) {
    FOR_ROWS(row, c, rows, channels) {
        idx i = row * channels + c;
        real at = x[i];
        real a = activate(before, at);
        real g = masked(dy[i], after, output, i, a, factor[c], offset[c]);
        if (dresidual) dresidual[i] = g;
        real d = factor[c] * (g - average[c] - (a - mean[c]) * slope[c]);
        dx[i] = before == NONE ? d : d * slope_of(before, at);
    }
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

// A block takes an image: dx = g * gate, dresidual = g, dgate = the sum of g * x over the pixels,
// with g the gradient before the last activation. dresidual may be dy.
extern "C" __global__ void gate_backward(int pixels, int channels, const real *x, const real *gate,
                                         const real *output, const real *dy, real *dx, real *dresidual, real *dgate) {
    __shared__ double shared[THREADS];
    idx start = (idx)blockIdx.x * pixels;
    int c = CHANNEL;
    double sum = 0;
    if (c < channels) {
        real factor = gate[(idx)blockIdx.x * channels + c];
        for (int p = threadIdx.y; p < pixels; p += blockDim.y) {
            idx i = (start + p) * channels + c;
            real g = dy[i];
            if (output && !(output[i] > (real)0)) g = 0;
            if (dresidual) dresidual[i] = g;
            dx[i] = g * factor;
            sum += (double)g * (double)x[i];
        }
    }
    sum = sum_rows(sum, shared);
    if (c < channels && threadIdx.y == 0) dgate[(idx)blockIdx.x * channels + c] = (real)sum;
}

// A block takes an image.
extern "C" __global__ void global_average(int pixels, int channels, const real *x, real *y) {
    __shared__ double shared[THREADS];
    idx start = (idx)blockIdx.x * pixels;
    int c = CHANNEL;
    double sum = 0;
    if (c < channels) {
        for (int p = threadIdx.y; p < pixels; p += blockDim.y) sum += (double)x[(start + p) * channels + c];
    }
    sum = sum_rows(sum, shared);
    if (c < channels && threadIdx.y == 0) y[(idx)blockIdx.x * channels + c] = (real)(sum / pixels);
}

extern "C" __global__ void global_average_backward(idx rows, int channels, int pixels, const real *dy, real *dx) {
    FOR_ROWS(row, c, rows, channels) {
        dx[row * channels + c] = dy[row / pixels * channels + c] / (real)pixels;
    }
}

// Rows are images here: a thread finds the first greatest pixel of its channel.
extern "C" __global__ void global_max(idx images, int channels, int pixels, const real *x, real *y) {
    FOR_ROWS(n, c, images, channels) {
        const real *from = x + n * pixels * channels + c;
        real most = from[0];
        for (int p = 1; p < pixels; p++) {
            real v = from[(idx)p * channels];
            if (v > most) most = v;
        }
        y[n * channels + c] = most;
    }
}

extern "C" __global__ void global_max_backward(idx images, int channels, int pixels, const real *x, const real *dy,
                                               real *dx) {
    FOR_ROWS(n, c, images, channels) {
        const real *from = x + n * pixels * channels + c;
        int at = 0;
        for (int p = 1; p < pixels; p++) {
            if (from[(idx)p * channels] > from[(idx)at * channels]) at = p;
        }
        for (int p = 0; p < pixels; p++)
            dx[(n * pixels + p) * channels + c] = p == at ? dy[n * channels + c] : (real)0;
    }
}
