// Rows of scores, a block of whole warps each: see the contract in __init__.py.

// The largest of some scores, and the sum of their exponentials over it, as they are met one
// after the other. While the largest is not finite the sum is over 0, as the contract has it; NaN
// is passed over and spoils the sum.
struct Sum {
    Real most, total;

    __device__ __forceinline__ Real top() const { return isfinite(most) ? most : Real(0); }

    __device__ __forceinline__ void raise(Real other) {
        if (!(other > most)) return;
        const Real before = top();
        const bool empty = most == -INFINITY;
        most = other;
        if (!empty) total *= exp(before - top());  // what is empty is 0 or NaN, and stays it
    }

    __device__ __forceinline__ void add(Real score) {
        raise(score);
        total += exp(score - top());
    }

    // The sum of this and of another, over what is the largest of both.
    __device__ __forceinline__ void join(Sum other) {
        raise(other.most);
        other.raise(most);
        total += other.total;
    }

    __device__ __forceinline__ Sum from(int apart) const {
        return {__shfl_xor_sync(WHOLE_WARP, most, apart), __shfl_xor_sync(WHOLE_WARP, total, apart)};
    }
};

// Join the sums of all threads. Each gets the same largest score, thread 0 the total that counts:
// those of others may be rounded otherwise.
__device__ __forceinline__ Sum block_join_sums(Sum sum) {
    __shared__ Real most[32], total[32];
    for (int apart = 16; apart > 0; apart /= 2) sum.join(sum.from(apart));
    if (threadIdx.x % 32 == 0) {
        most[threadIdx.x / 32] = sum.most;
        total[threadIdx.x / 32] = sum.total;
    }
    __syncthreads();
    const bool there = threadIdx.x % 32 < blockDim.x / 32;
    sum.most = there ? most[threadIdx.x % 32] : -INFINITY;
    sum.total = there ? total[threadIdx.x % 32] : Real(0);
    for (int apart = 16; apart > 0; apart /= 2) sum.join(sum.from(apart));
    return sum;
}

// Four scores are asked for at once: more of a row is on its way, and one factor serves them all.
__device__ __forceinline__ Sum sum_of_row(const Real* row, long long width) {
    Sum sum = {-INFINITY, 0};
    long long c = threadIdx.x;
    for (; c + 3 * blockDim.x < width; c += 4 * blockDim.x) {
        const Real a = row[c], b = row[c + blockDim.x];
        const Real d = row[c + 2 * blockDim.x], e = row[c + 3 * blockDim.x];
        sum.raise(fmax(fmax(a, b), fmax(d, e)));  // fmax passes NaN over
        const Real top = sum.top();
        sum.total += (exp(a - top) + exp(b - top)) + (exp(d - top) + exp(e - top));
    }
    for (; c < width; c += blockDim.x) sum.add(row[c]);
    return block_join_sums(sum);
}

extern "C" __global__ void __launch_bounds__(512)
sums(const Real* x, long long width, const Real* weights, Real* top, Real* total, Real* lean, Real* out) {
    const long long n = blockIdx.x;
    const Real* row = x + n * width;
    const Sum sum = sum_of_row(row, width);
    const Real over = sum.top();
    if (threadIdx.x == 0) {
        top[n] = over;
        total[n] = sum.total;
    }
    if (weights) {
        Real leaning = 0;
        EACH_IN_BLOCK(c, width) leaning += weights[c] * (row[c] - over);
        leaning = block_sum(leaning);
        if (threadIdx.x == 0) lean[n] = leaning;
    }
    if (out) {  // which may be x: a score is read by nobody but the thread that writes there
        EACH_IN_BLOCK(c, width) out[n * width + c] = exp(row[c] - over);
    }
}

// Blocks (row, part of its columns).
extern "C" __global__ void __launch_bounds__(512)
slopes(const Real* x, long long width, const Real* top, const Real* total, const Real* g, const Real* even,
       const Real* weights, Real* out) {
    const long long n = blockIdx.x;
    const Real factor = g[n] == 0 ? Real(0) : g[n] / total[n];
    const Real less = even ? even[n] : Real(0);
    const bool idle = g[n] == 0 && less == 0;
    const Real over = top[n];
    for (long long c = blockIdx.y * (long long)blockDim.x + threadIdx.x; c < width;
         c += gridDim.y * (long long)blockDim.x) {
        Real slope = factor * exp(x[n * width + c] - over);
        if (even) slope -= less * weights[c];
        out[n * width + c] = idle ? Real(0) : slope;
    }
}

// The loss of each row at its class, and in place of the scores their slopes but for a factor.
extern "C" __global__ void __launch_bounds__(512)
class_losses(Real* x, long long width, const long long* ids, const Real* hard, const Real* even,
             const Real* weights, const Real* weight, Real* losses, Real* factors) {
    __shared__ Real shared_total;
    const long long n = blockIdx.x, id = ids[n];
    Real* const row = x + n * width;
    const Sum sum = sum_of_row(row, width);
    const Real over = sum.top(), mine = hard[n], rest = even ? even[n] : Real(0);
    const bool idle = mine == 0 && rest == 0;
    Real leaning = 0;
    if (even) {
        EACH_IN_BLOCK(c, width) leaning += weights[c] * (row[c] - over);
        leaning = block_sum(leaning);
    }
    if (threadIdx.x == 0) {
        const Real log_total = log(sum.total);
        Real loss = mine * (over - row[id] + log_total);
        if (even) loss += rest * (*weight * log_total - leaning);
        losses[n] = idle ? Real(0) : loss;
        factors[n] = even ? Real(1) : idle ? Real(0) : mine / sum.total;
        shared_total = sum.total;
    }
    __syncthreads();
    const Real total = shared_total;
    const Real share = even ? (mine + rest * *weight) / total : Real(1);
    const Real less = even ? mine : total;
    EACH_IN_BLOCK(c, width) {
        Real slope = share * exp(row[c] - over);
        if (even) slope -= rest * weights[c];
        if (c == id) slope -= less;
        row[c] = idle ? Real(0) : slope;
    }
}

// ----- the best of each row -----

// The bits of a number in its order: a larger one has the larger key.
__device__ __forceinline__ unsigned key_of(float x) {
    const unsigned bits = __float_as_uint(x);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ unsigned long long key_of(double x) {
    const unsigned long long bits = __double_as_longlong(x), sign = 1ull << 63;
    return bits & sign ? ~bits : bits | sign;
}
__device__ __forceinline__ float of_key(unsigned key) {
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}
__device__ __forceinline__ double of_key(unsigned long long key) {
    const unsigned long long sign = 1ull << 63;
    return __longlong_as_double(key & sign ? key ^ sign : ~key);
}

// The count-th largest of numbers, bit by bit: how many are as large as what is tried?
__device__ __forceinline__ Real nth_largest(const Real* numbers, int size, int count) {
    auto found = key_of(Real(0));
    found = 0;
    for (int bit = 8 * sizeof(Real) - 1; bit >= 0; --bit) {
        const auto tried = found | decltype(found)(1) << bit;
        int mine = 0;
        for (int i = threadIdx.x; i < size; i += blockDim.x) mine += key_of(numbers[i]) >= tried;
        if (block_sum(mine) >= count) found = tried;
    }
    return of_key(found);
}

// Columns are in classes, one or some a thread, and the count-th largest of their maxima is a bound
// below which no score is wanted; those above it are written out in their order.
extern "C" __global__ void __launch_bounds__(512)
best(const Real* x, long long width, int count, int classes, Real slack, long long room, Real* top,
     Real* total, Real* most, long long* token, long long* found) {
    SHARED_MEMORY(Real, maxima);
    __shared__ int before[32];
    const long long n = blockIdx.x;
    const Real* row = x + n * width;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    for (int i = threadIdx.x; i < classes; i += blockDim.x) maxima[i] = -INFINITY;
    int mine = threadIdx.x;  // the classes of a thread are its own, here and in nth_largest
    EACH_IN_BLOCK(c, width) {
        if (row[c] > maxima[mine]) maxima[mine] = row[c];
        mine = mine + blockDim.x < classes ? mine + blockDim.x : threadIdx.x;
    }
    const Sum sum = sum_of_row(row, width);
    Real bound = nth_largest(maxima, classes, count);
    if (bound > -INFINITY) bound -= slack * (sum.top() - bound + 1);
    if (threadIdx.x == 0) {
        top[n] = sum.top();
        total[n] = sum.total;
        most[n] = sum.most;
    }
    long long passed = 0;
    for (long long begin = 0; begin < width; begin += blockDim.x) {
        const long long c = begin + threadIdx.x;
        const bool passes = c < width && row[c] > -INFINITY && row[c] >= bound;
        const unsigned votes = __ballot_sync(WHOLE_WARP, passes);
        if (!__syncthreads_or(votes != 0)) continue;  // nobody reads numbers of the last turn now
        if (lane == 0) before[warp] = __popc(votes);
        __syncthreads();
        long long place = passed + __popc(votes & ((1u << lane) - 1));
        for (int w = 0; w < warps; ++w) {
            if (w < warp) place += before[w];
            passed += before[w];
        }
        if (passes && place < room) token[n * room + place] = c;
    }
    if (threadIdx.x == 0) found[n] = passed;
}
