// The weights of attention; the products around them are cuBLAS's. A warp takes a row.

// p_j = exp(scale * s_j) / sum, in place.
extern "C" __global__ void softmax(idx rows, int tokens, real scale, real *scores) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        real *s = scores + row * tokens;
        real most = MINUS_INFINITY;
        for (int j = threadIdx.x; j < tokens; j += LANES) {
            real v = s[j] * scale;
            most = v > most ? v : most;
        }
        most = max_lanes(most);
        double sum = 0;
        for (int j = threadIdx.x; j < tokens; j += LANES) {
            real power = exp(s[j] * scale - most);
            s[j] = power;
            sum += (double)power;
        }
        real inverse = (real)(1.0 / sum_lanes(sum));
        for (int j = threadIdx.x; j < tokens; j += LANES) s[j] *= inverse;
    }
}

// ds_j = scale * p_j (dp_j - sum of p dp), instead of dp.
extern "C" __global__ void softmax_backward(idx rows, int tokens, real scale, const real *weights, real *gradients) {
    for (idx row = (idx)blockIdx.x * blockDim.y + threadIdx.y; row < rows; row += (idx)gridDim.x * blockDim.y) {
        const real *p = weights + row * tokens;
        real *dp = gradients + row * tokens;
        double sum = 0;
        for (int j = threadIdx.x; j < tokens; j += LANES) sum += (double)p[j] * (double)dp[j];
        real mean = (real)sum_lanes(sum);
        for (int j = threadIdx.x; j < tokens; j += LANES) dp[j] = scale * p[j] * (dp[j] - mean);
    }
}
