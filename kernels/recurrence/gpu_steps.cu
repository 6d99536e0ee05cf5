// What stands between the written segments of a step, for all programs alike: a product of a
// step's rows, and rows that are standardised.

// ----- products -----

// out[r, n] = a chain of fused multiply-adds of a[r, k] w[k, n], k ascending, from start[r, n], so
// that an element's bits depend on its row, its column and its start alone. A block does ROWS
// rows and COLUMNS columns, a thread OF_A_THREAD rows of one column. The elements of w are w_row apart
// from row to row and w_column from column to column: a transpose is the same in another order.
constexpr int COLUMNS = 32, GROUPS = 8, DEPTH = 32, ROWS = GROUPS * OF_A_THREAD;

extern "C" __global__ void product(
    const Real* a, long long a_first, long long a_row, const Real* w, long long w_first,
    long long w_row, long long w_column, const Real* start, long long start_first,
    long long start_row, Real* out, long long out_first, long long out_row, long long rows,
    long long depth, long long columns) {
    __shared__ Real a_tile[ROWS][DEPTH + 1], w_tile[DEPTH][COLUMNS + 1];
    const int x = threadIdx.x % COLUMNS, y = threadIdx.x / COLUMNS;
    const long long top = blockIdx.y * (long long)ROWS, left = blockIdx.x * (long long)COLUMNS;
    const long long column = left + x;
    a += a_first, w += w_first, out += out_first;
    Real sums[OF_A_THREAD];
    for (int i = 0; i < OF_A_THREAD; ++i) {
        const long long r = top + y + i * GROUPS;
        const bool begins = start && r < rows && column < columns;
        sums[i] = begins ? start[start_first + r * start_row + column] : Real(0);
    }
    for (long long first = 0; first < depth; first += DEPTH) {
        const int deep = depth - first < DEPTH ? int(depth - first) : DEPTH;
        __syncthreads();  // whoever still reads the tiles before
        for (int i = threadIdx.x; i < ROWS * DEPTH; i += blockDim.x) {
            const int r = i / DEPTH, k = i % DEPTH;
            const bool inside = top + r < rows && k < deep;
            a_tile[r][k] = inside ? a[(top + r) * a_row + first + k] : Real(0);
        }
        for (int i = threadIdx.x; i < DEPTH * COLUMNS; i += blockDim.x) {
            // Neighbours in memory to neighbouring threads.
            const int k = w_column == 1 ? i / COLUMNS : i % DEPTH;
            const int n = w_column == 1 ? i % COLUMNS : i / DEPTH;
            const bool inside = k < deep && left + n < columns;
            w_tile[k][n] = inside ? w[(first + k) * w_row + (left + n) * w_column] : Real(0);
        }
        __syncthreads();
        for (int k = 0; k < deep; ++k)
            for (int i = 0; i < OF_A_THREAD; ++i)
                sums[i] = fma(a_tile[y + i * GROUPS][k], w_tile[k][x], sums[i]);
    }
    for (int i = 0; i < OF_A_THREAD; ++i) {
        const long long r = top + y + i * GROUPS;
        if (r < rows && column < columns) out[r * out_row + column] = sums[i];
    }
}

// ----- rows that are standardised: a block each -----

extern "C" __global__ void standardize(
    Real* rows, long long first, long long width, Real eps, Real* deviations) {
    Real* const row = rows + (first + blockIdx.x) * width;
    Real sum = 0;
    EACH_IN_BLOCK(i, width) sum += row[i];
    const Real mean = block_sum(sum) / Real(width);
    sum = 0;
    EACH_IN_BLOCK(i, width) {
        row[i] -= mean;
        sum += row[i] * row[i];
    }
    const Real scale = Real(1) / sqrt(block_sum(sum) / Real(width) + eps);
    EACH_IN_BLOCK(i, width) row[i] *= scale;
    if (threadIdx.x == 0) deviations[first + blockIdx.x] = scale;
}

// The gradients of rows before they were standardised, in place of those after.
extern "C" __global__ void standardize_back(
    const Real* rows, Real* gradients, long long first, long long width, const Real* deviations) {
    const Real* const row = rows + (first + blockIdx.x) * width;
    Real* const gradient = gradients + (first + blockIdx.x) * width;
    const Real scale = deviations[first + blockIdx.x];
    Real sum = 0, along = 0;
    EACH_IN_BLOCK(i, width) {
        sum += gradient[i];
        along += gradient[i] * row[i];
    }
    const Real mean = block_sum(sum) / Real(width), slope = block_sum(along) / Real(width);
    EACH_IN_BLOCK(i, width) gradient[i] = (gradient[i] - mean - row[i] * slope) * scale;
}

// ----- sums of columns -----

// The sum of all rows, in blocks of SUMMED rows as on the CPU: first each block's, ...
extern "C" __global__ void block_sums(
    const Real* rows, long long count, long long width, long long summed, Real* parts) {
    const long long column = blockIdx.y * (long long)blockDim.x + threadIdx.x;
    if (column >= width) return;
    const long long first = blockIdx.x * summed;
    const long long last = first + summed < count ? first + summed : count;
    Real sum = 0;
    for (long long r = first; r < last; ++r) sum += rows[r * width + column];
    parts[blockIdx.x * width + column] = sum;
}

// ... and then the sum of these, one after the other.
extern "C" __global__ void sum_of_blocks(
    const Real* parts, long long blocks, long long width, Real* sums) {
    const long long column = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (column >= width) return;
    Real sum = 0;
    for (long long r = 0; r < blocks; ++r) sum += parts[r * width + column];
    sums[column] = sum;
}
