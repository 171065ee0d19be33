// The weights of attention; the products around them are cuBLAS's. A warp takes a row: those of a query for all keys. In
// causal attention rows come in runs of `causal_rows` queries of an image, and the first one sees one key; otherwise it
// is 0. The weights of keys that are not seen are 0, and so are their gradients.
__device__ __forceinline__ int keys_seen(idx row, int keys, int causal_rows) {
    if (!causal_rows) return keys;
    int seen = (int)(row % causal_rows) + 1;
    return seen < keys ? seen : keys;
}

// p_j = exp(scale * s_j) / sum, in place.
extern "C" __global__ void softmax(idx rows, int keys, int causal_rows, real scale, real *scores) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        real *s = scores + row * keys;
        int seen = keys_seen(row, keys, causal_rows);
        real most = MINUS_INFINITY;
        for (int j = threadIdx.x; j < seen; j += LANES) {
            real v = s[j] * scale;
            most = v > most ? v : most;
        }
        most = max_lanes(most);
        double sum = 0;
        for (int j = threadIdx.x; j < seen; j += LANES) {
            real power = exp(s[j] * scale - most);
            s[j] = power;
            sum += (double)power;
        }
        real inverse = (real)(1.0 / sum_lanes(sum));
        for (int j = threadIdx.x; j < keys; j += LANES) s[j] = j < seen ? s[j] * inverse : (real)0;
    }
}

// ds_j = scale * p_j (dp_j - sum of p dp), instead of dp.
extern "C" __global__ void softmax_backward(idx rows, int keys, int causal_rows, real scale, const real *weights,
                                            real *gradients) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        const real *p = weights + row * keys;
        real *dp = gradients + row * keys;
        int seen = keys_seen(row, keys, causal_rows);
        double sum = 0;
        for (int j = threadIdx.x; j < seen; j += LANES) sum += (double)p[j] * (double)dp[j];
        real mean = (real)sum_lanes(sum);
        for (int j = threadIdx.x; j < keys; j += LANES) dp[j] = j < seen ? scale * p[j] * (dp[j] - mean) : (real)0;
    }
}
