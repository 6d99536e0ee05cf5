// The largest number of every window, a thread each; and the gradients of those, a warp a plane.

// x (planes, H, W) -> y and at (planes, P, Q): windows of rows x columns, whose first stands
// above and before the plane's own first row and column.
extern "C" __global__ void max_pool(const Real *x, Real *y, int *at, long long planes, long long H,
                                    long long W, long long P, long long Q, long long rows,
                                    long long columns, long long down, long long along,
                                    long long above, long long before) {
    EACH(i, planes * P * Q) {
        const long long q = i % Q, p = i / Q % P;
        const Real *plane = x + i / Q / P * H * W;
        Real best = 0;
        long long place = -1;
        for (long long row = 0; row < rows; row++) {
            const long long r = p * down + row - above;
            for (long long column = 0; column < columns; column++) {
                const long long c = q * along + column - before;
                if (r < 0 || r >= H || c < 0 || c >= W) continue;
                const Real number = plane[r * W + c];
                if (place < 0 || number > best || (number != number && best == best)) {
                    best = number;
                    place = r * W + c;
                }
            }
        }
        y[i] = best;
        at[i] = (int)place;
    }
}

// dx (planes, size) += g (planes, count) at places, in the order in which they stand: the lanes
// of a warp bring 32 of them, and the first of those that name one place adds up all of these.
extern "C" __global__ void max_pool_input(const Real *g, const int *places, Real *dx,
                                          long long planes, long long count, long long size) {
    const int lane = threadIdx.x % 32;
    EACH_OF_A_WARP(plane, planes) {
        Real *out = dx + plane * size;
        for (long long begin = 0; begin < count; begin += 32) {
            const long long i = begin + lane;
            const int place = i < count ? places[plane * count + i] : -1;
            const Real own = i < count ? g[plane * count + i] : Real(0);
            Real sum = place < 0 ? Real(0) : out[place];
            bool leads = place >= 0;
            for (int other = 0; other < 32; other++) {
                const bool same = __shfl_sync(WHOLE_WARP, place, other) == place;
                const Real theirs = __shfl_sync(WHOLE_WARP, own, other);
                if (same && other < lane) leads = false;
                if (same) sum += theirs;
            }
            if (leads) out[place] = sum;
            __syncwarp();  // the next 32 may read what this one has written
        }
    }
}
