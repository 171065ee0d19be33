// Row by row, with 16 bytes of channels at a time where they divide the channels: tails, gates, global pooling.

// Convolution tails and norms: after(factor * before(x + bias) + offset + residual). Null pointers
// leave their part out; y may be x.
template <int N>
__device__ __forceinline__ void tail_of(idx rows, int channels, const real *x, const real *bias, int before,
                                        const real *factor, const real *offset, const real *residual, int after,
                                        real *y) {
    FOR_WIDE_CHANNELS(N, c, channels) {
        Values<N> add = load_or<N>(bias, c, (real)0), scale = load_or<N>(factor, c, (real)1);
        Values<N> shift = load_or<N>(offset, c, (real)0);
        FOR_THEIR_ROWS(row, rows) {
            idx i = row * channels + c;
            Values<N> v = load<N>(x + i), more = load_or<N>(residual, i, (real)0);
#pragma unroll
            for (int k = 0; k < N; k++) {
                real sum = fma(scale.at[k], activate(before, v.at[k] + add.at[k]), shift.at[k]);
                v.at[k] = activate(after, sum + more.at[k]);
            }
            store(y + i, v);
        }
    }
}

extern "C" __global__ void tail(idx rows, int channels, const real *x, const real *bias, int before,
                                const real *factor, const real *offset, const real *residual, int after,
                                real *y) {
    if (channels % WIDTH == 0)
        tail_of<WIDTH>(rows, channels, x, bias, before, factor, offset, residual, after, y);
    else
        tail_of<1>(rows, channels, x, bias, before, factor, offset, residual, after, y);
}

// after(x * gate[image] + residual); `pixels` rows belong to an image.
template <int N>
__device__ __forceinline__ void gate_forward_of(idx rows, int channels, int pixels, const real *x, const real *gate,
                                                const real *residual, int after, real *y) {
    FOR_WIDE_CHANNELS(N, c, channels) {
        FOR_THEIR_ROWS(row, rows) {
            idx i = row * channels + c;
            Values<N> v = load<N>(x + i), open = load<N>(gate + row / pixels * channels + c);
            Values<N> more = load_or<N>(residual, i, (real)0);
#pragma unroll
            for (int k = 0; k < N; k++) v.at[k] = activate(after, v.at[k] * open.at[k] + more.at[k]);
            store(y + i, v);
        }
    }
}

extern "C" __global__ void gate_forward(idx rows, int channels, int pixels, const real *x, const real *gate,
                                        const real *residual, int after, real *y) {
    if (channels % WIDTH == 0)
        gate_forward_of<WIDTH>(rows, channels, pixels, x, gate, residual, after, y);
    else
        gate_forward_of<1>(rows, channels, pixels, x, gate, residual, after, y);
}

// A block takes channels of an image: dx = g * gate, dresidual = g, dgate = the sum of g * x over the
// pixels, with g the gradient before the last activation. dresidual may be dy.
template <int N>
__device__ __forceinline__ void gate_backward_of(int pixels, int channels, const real *x, const real *gate,
                                                 const real *output, const real *dy, real *dx, real *dresidual,
                                                 real *dgate, double *shared) {
    idx start = (idx)blockIdx.x * pixels;
    int c = CHANNEL * N;
    double sums[N] = {};
    if (c < channels) {
        Values<N> open = load<N>(gate + (idx)blockIdx.x * channels + c);
        for (int p = threadIdx.y; p < pixels; p += blockDim.y) {
            idx i = (start + p) * channels + c;
            Values<N> g = load<N>(dy + i), at = load<N>(x + i), y = load_or<N>(output, i, (real)1), d;
#pragma unroll
            for (int k = 0; k < N; k++) {
                if (!(y.at[k] > (real)0)) g.at[k] = 0;
                d.at[k] = g.at[k] * open.at[k];
                sums[k] += (double)g.at[k] * (double)at.at[k];
            }
            if (dresidual) store(dresidual + i, g);
            store(dx + i, d);
        }
    }
#pragma unroll
    for (int k = 0; k < N; k++) {
        double sum = sum_rows(sums[k], shared);
        if (c < channels && threadIdx.y == 0) dgate[(idx)blockIdx.x * channels + c + k] = (real)sum;
    }
}

extern "C" __global__ void gate_backward(int pixels, int channels, const real *x, const real *gate,
                                         const real *output, const real *dy, real *dx, real *dresidual, real *dgate) {
    __shared__ double shared[THREADS];
    if (channels % WIDTH == 0)
        gate_backward_of<WIDTH>(pixels, channels, x, gate, output, dy, dx, dresidual, dgate, shared);
    else
        gate_backward_of<1>(pixels, channels, x, gate, output, dy, dx, dresidual, dgate, shared);
}

// A block takes channels of an image.
template <int N>
__device__ __forceinline__ void global_average_of(int pixels, int channels, const real *x, real *y, double *shared) {
    idx start = (idx)blockIdx.x * pixels;
    int c = CHANNEL * N;
    double sums[N] = {};
    if (c < channels) {
        for (int p = threadIdx.y; p < pixels; p += blockDim.y) {
            Values<N> v = load<N>(x + (start + p) * channels + c);
#pragma unroll
            for (int k = 0; k < N; k++) sums[k] += (double)v.at[k];
        }
    }
#pragma unroll
    for (int k = 0; k < N; k++) {
        double sum = sum_rows(sums[k], shared);
        if (c < channels && threadIdx.y == 0) y[(idx)blockIdx.x * channels + c + k] = (real)(sum / pixels);
    }
}

extern "C" __global__ void global_average(int pixels, int channels, const real *x, real *y) {
    __shared__ double shared[THREADS];
    if (channels % WIDTH == 0)
        global_average_of<WIDTH>(pixels, channels, x, y, shared);
    else
        global_average_of<1>(pixels, channels, x, y, shared);
}

template <int N>
__device__ __forceinline__ void global_average_backward_of(idx rows, int channels, int pixels, const real *dy,
                                                           real *dx) {
    FOR_WIDE_CHANNELS(N, c, channels) {
        FOR_THEIR_ROWS(row, rows) {
            Values<N> v = load<N>(dy + row / pixels * channels + c);
#pragma unroll
            for (int k = 0; k < N; k++) v.at[k] /= (real)pixels;
            store(dx + row * channels + c, v);
        }
    }
}

extern "C" __global__ void global_average_backward(idx rows, int channels, int pixels, const real *dy, real *dx) {
    if (channels % WIDTH == 0)
        global_average_backward_of<WIDTH>(rows, channels, pixels, dy, dx);
    else
        global_average_backward_of<1>(rows, channels, pixels, dy, dx);
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
