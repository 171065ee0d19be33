// The rules of optimisers, as update.rs describes them.

extern "C" __global__ void sgd(idx n, real rate, real momentum, int nesterov, real decay, real kept, real *parameter,
                               const real *gradient, real *velocity) {
    FOR_EACH(i, n) {
        real p = parameter[i];
        real g = gradient[i] + decay * p;
        real v = momentum * velocity[i] + g;
        velocity[i] = v;
        parameter[i] = kept * p - rate * (nesterov ? g + momentum * v : v);
    }
}

// `rate` and `root` contain the corrections of the moments.
extern "C" __global__ void adam(idx n, real rate, real root, real beta1, real rest1, real beta2, real rest2, real eps,
                                real decay, real kept, real *parameter, const real *gradient, real *first,
                                real *second) {
    FOR_EACH(i, n) {
        real p = parameter[i];
        real g = gradient[i] + decay * p;
        real m = beta1 * first[i] + rest1 * g;
        real v = beta2 * second[i] + rest2 * g * g;
        first[i] = m;
        second[i] = v;
        parameter[i] = kept * p - rate * m / (sqrt(v) / root + eps);
    }
}

extern "C" __global__ void average(idx n, real kept, real rest, real *average, const real *value) {
    FOR_EACH(i, n) average[i] = kept * average[i] + rest * value[i];
}

extern "C" __global__ void scale(idx n, real factor, real *x) {
    FOR_EACH(i, n) x[i] *= factor;
}

// One partial sum per block, of THREADS x 1 threads; blocks of 1 x THREADS, so that sum_rows adds all.
extern "C" __global__ void squares(idx n, const real *x, double *partials) {
    __shared__ double shared[THREADS];
    double sum = 0;
    for (idx i = (idx)blockIdx.x * THREADS + threadIdx.y; i < n; i += (idx)gridDim.x * THREADS)
        sum += (double)x[i] * (double)x[i];
    sum = sum_rows(sum, shared);
    if (threadIdx.y == 0) partials[blockIdx.x] = sum;
}

extern "C" __global__ void sum_doubles(int n, const double *partials, double *sum) {
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        double total = 0;
        for (int i = 0; i < n; i++) total += partials[i];
        *sum = total;
    }
}
