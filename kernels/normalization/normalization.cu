// Rows that are standardised, and back: a block a row, whose numbers are read again from the
// cache. The size of a block depends on the width of rows alone, and with it the order of sums.

// Mean and 1 / sqrt(variance + eps) of a row, in every thread.
struct Moments {
    Real mean, scale;
};

__device__ inline Moments moments(const Real *row, long long width, Real eps) {
    Real sum = 0;
    EACH_IN_BLOCK(c, width) sum += row[c];
    const Real mean = block_sum(sum) / Real(width);
    sum = 0;
    EACH_IN_BLOCK(c, width) {
        const Real centred = row[c] - mean;
        sum += centred * centred;
    }
    return {mean, Real(1) / sqrt(block_sum(sum) / Real(width) + eps)};
}

extern "C" __global__ void standardize(const Real *x, Real *out, long long width, Real eps) {
    const Real *row = x + blockIdx.x * width;
    const Moments found = moments(row, width, eps);
    EACH_IN_BLOCK(c, width) out[blockIdx.x * width + c] = (row[c] - found.mean) * found.scale;
}

extern "C" __global__ void standardize_slope(const Real *gs, const Real *x, Real *out,
                                             long long width, Real eps) {
    const Real *row = x + blockIdx.x * width, *g = gs + blockIdx.x * width;
    const Moments found = moments(row, width, eps);
    Real sum_g = 0, sum_gy = 0;
    EACH_IN_BLOCK(c, width) {
        sum_g += g[c];
        sum_gy += g[c] * ((row[c] - found.mean) * found.scale);
    }
    const Real mean_g = block_sum(sum_g) / Real(width), mean_gy = block_sum(sum_gy) / Real(width);
    EACH_IN_BLOCK(c, width) {
        const Real y = (row[c] - found.mean) * found.scale;
        out[blockIdx.x * width + c] = (g[c] - mean_g - y * mean_gy) * found.scale;
    }
}
