// Element by element: activations, sums, products, joins, dropout, changes of layout.

extern "C" __global__ void activation_forward(idx n, int kind, real *x) {
    FOR_EACH(i, n) x[i] = activate(kind, x[i]);
}

// `saved` is the output for RELU, RELU6 and SIGMOID, the input otherwise.
extern "C" __global__ void activation_backward(idx n, int kind, const real *saved, real *dy) {
    FOR_EACH(i, n) {
        real at = saved[i];
        real slope = kind == SIGMOID ? at * ((real)1 - at) : slope_of(kind, at);
        dy[i] *= slope;
    }
}

extern "C" __global__ void add(idx n, real *a, const real *b) {
    FOR_EACH(i, n) a[i] += b[i];
}

extern "C" __global__ void multiply(idx n, real *a, const real *b) {
    FOR_EACH(i, n) a[i] *= b[i];
}

extern "C" __global__ void fill(idx n, real value, real *x) {
    FOR_EACH(i, n) x[i] = value;
}

// [a | b] for each row; channels = left + right.
extern "C" __global__ void concat(idx rows, int channels, int left, const real *a, const real *b, real *y) {
    FOR_ROWS(row, c, rows, channels) {
        y[row * channels + c] = c < left ? a[row * left + c] : b[row * (channels - left) + c - left];
    }
}

extern "C" __global__ void split(idx rows, int channels, int left, const real *x, real *a, real *b) {
    FOR_ROWS(row, c, rows, channels) {
        real v = x[row * channels + c];
        if (c < left)
            a[row * left + c] = v;
        else
            b[row * (channels - left) + c - left] = v;
    }
}

__device__ __forceinline__ unsigned long long mix(unsigned long long z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// SplitMix64 by counter, the same bits as on the CPU: element i is dropped if the upper 53 bits of
// its number are below `threshold`, which is p * 2^53 rounded up.
extern "C" __global__ void dropout(idx n, unsigned long long start, unsigned long long threshold, real scale,
                                   real *x) {
    FOR_EACH(i, n) {
        unsigned long long number = mix(start + (unsigned long long)(i + 1) * 0x9e3779b97f4a7c15ULL);
        x[i] = (number >> 11) < threshold ? (real)0 : x[i] * scale;
    }
}

#define TILE 32

// Each of `batch` matrices [height][width] becomes [width][height]. Blocks of TILE x 8 threads.
extern "C" __global__ void transpose(int batch, int height, int width, const real *x, real *y) {
    __shared__ real tile[TILE][TILE + 1];
    for (int n = blockIdx.z; n < batch; n += gridDim.z) {
        const real *from = x + (idx)n * height * width;
        real *to = y + (idx)n * height * width;
        int column = blockIdx.x * TILE + threadIdx.x, first = blockIdx.y * TILE;
        for (int j = threadIdx.y; j < TILE; j += blockDim.y) {
            if (first + j < height && column < width) tile[j][threadIdx.x] = from[(idx)(first + j) * width + column];
        }
        __syncthreads();
        int row = first + threadIdx.x;
        for (int j = threadIdx.y; j < TILE; j += blockDim.y) {
            int across = blockIdx.x * TILE + j;
            if (across < width && row < height) to[(idx)across * height + row] = tile[threadIdx.x][j];
        }
        __syncthreads();
    }
}

// Kernels from [outer][inner][taps] to [outer][taps][inner], where neighbours are channels.
extern "C" __global__ void pack(idx n, int inner, int taps, const real *plain, real *packed) {
    FOR_EACH(i, n) {
        idx outer = i / ((idx)inner * taps);
        int within = (int)(i % ((idx)inner * taps));
        int tap = within / inner, channel = within % inner;
        packed[i] = plain[(outer * inner + channel) * taps + tap];
    }
}

// Kernels from [group][output][input][tap] to [group][input][tap][output], for the data gradient.
extern "C" __global__ void pack_transposed(idx n, int outputs, int inputs, int taps, const real *plain, real *packed) {
    FOR_EACH(i, n) {
        int output = (int)(i % outputs);
        idx rest = i / outputs;
        int tap = (int)(rest % taps);
        rest /= taps;
        int input = (int)(rest % inputs);
        idx group = rest / inputs;
        packed[i] = plain[((group * outputs + output) * inputs + input) * taps + tap];
    }
}

// The way back from `pack`, added.
extern "C" __global__ void unpack_add(idx n, int inner, int taps, const real *packed, real *plain) {
    FOR_EACH(i, n) {
        idx outer = i / ((idx)inner * taps);
        int within = (int)(i % ((idx)inner * taps));
        int channel = within / taps, tap = within % taps;
        plain[i] += packed[(outer * taps + tap) * inner + channel];
    }
}
