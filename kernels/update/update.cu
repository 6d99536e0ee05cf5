// What is asked of gradients before an update: which rows are not zero, and how long they are.

// found[r] says whether any number of row r is not 0; a warp a row.
extern "C" __global__ void touched(const Real *x, bool *found, long long rows, long long width) {
    const int lane = threadIdx.x % 32;
    EACH_OF_A_WARP(r, rows) {
        bool any = false;
        for (long long c = lane; c < width; c += 32) any |= x[r * width + c] != 0;
        any = __any_sync(WHOLE_WARP, any);
        if (lane == 0) found[r] = any;
    }
}

// Squares of float32 fit into a double whatever they are. Those of a double may not, so they are
// summed three times: as they are, of small numbers made larger, of large ones made smaller.
constexpr int WAYS = 3;
constexpr double UP = 0x1p600, DOWN = 0x1p-600;
constexpr double LEAST = 0x1p-900;  // a plain sum below it may be of squares that lost digits

// What a block of threads works on: up to BLOCK numbers of one array. A row of table holds a count
// and an address; behind the rows stands the number of the first block of each.
struct Piece {
    Real *x;
    long long count;
};

__device__ inline Piece piece_of(const long long *table, long long rows) {
    const long long *starts = table + rows * 2, block = blockIdx.x;
    long long row = 0;
    for (long long high = rows; high - row > 1;) {
        const long long middle = (row + high) / 2;
        (starts[middle] <= block ? row : high) = middle;
    }
    const long long first = (block - starts[row]) * BLOCK;
    return {reinterpret_cast<Real *>(table[row * 2 + 1]) + first,
            min((long long)BLOCK, table[row * 2] - first)};
}

// sums (blocks, WAYS) of the squares of scale x.
extern "C" __global__ void squares(const long long *table, long long rows, double scale,
                                   double *sums) {
    const Piece piece = piece_of(table, rows);
    double plain = 0, small = 0, large = 0;
    EACH_IN_BLOCK(i, piece.count) {
        const double number = scale * double(piece.x[i]);
        plain += number * number;
        if (sizeof(Real) == 8) {
            const double up = UP * number, down = DOWN * number;
            small += up * up;
            large += down * down;
        }
    }
    plain = block_sum(plain);
    small = block_sum(small);
    large = block_sum(large);
    if (threadIdx.x == 0) {
        sums[blockIdx.x * WAYS] = plain;
        sums[blockIdx.x * WAYS + 1] = small;
        sums[blockIdx.x * WAYS + 2] = large;
    }
}

// A sum and what was lost in rounding it: so exact that the order of terms makes no difference.
struct Exact {
    double sum, lost;
};

__device__ inline Exact joined(Exact a, Exact b) {
    const double sum = a.sum + b.sum, part = sum - a.sum;
    return {sum, a.lost + b.lost + ((a.sum - (sum - part)) + (b.sum - part))};
}

__device__ inline double value_of(Exact a) { return isfinite(a.sum) ? a.sum + a.lost : a.sum; }

// out = the sum of squares, its root, and what brings a root of most or more down to it, else 1.
// One block, of a power of two of threads.
extern "C" __global__ void summed(const double *sums, long long blocks, double most, double *out) {
    __shared__ double parts[WAYS][2][MOST_THREADS];
    const int thread = threadIdx.x;
    for (int way = 0; way < WAYS; way++) {
        Exact own = {0, 0};
        EACH_IN_BLOCK(block, blocks) own = joined(own, {sums[block * WAYS + way], 0});
        parts[way][0][thread] = own.sum;
        parts[way][1][thread] = own.lost;
    }
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        for (int way = 0; thread < half && way < WAYS; way++) {
            double *sum = parts[way][0] + thread, *lost = parts[way][1] + thread;
            const Exact both = joined({sum[0], lost[0]}, {sum[half], lost[half]});
            sum[0] = both.sum;
            lost[0] = both.lost;
        }
    }
    if (thread == 0) {
        const double plain = value_of({parts[0][0][0], parts[0][1][0]});
        const double small = value_of({parts[1][0][0], parts[1][1][0]});
        const double large = value_of({parts[2][0][0], parts[2][1][0]});
        double root = sqrt(plain);
        if (sizeof(Real) == 8 && plain < LEAST) root = sqrt(small) / UP;
        if (sizeof(Real) == 8 && plain == INFINITY) root = sqrt(large) / DOWN;
        out[0] = plain;
        out[1] = root;
        out[2] = root < most ? 1 : most / root;  // NaN, too
    }
}

// x *= factor for all arrays of a table, as of squares; nothing where the factor is 1.
extern "C" __global__ void scale_all(const long long *table, long long rows, const double *factor) {
    if (*factor != 1) {
        const Piece piece = piece_of(table, rows);
        EACH_IN_BLOCK(i, piece.count) piece.x[i] *= Real(*factor);
    }
}
