// Forward over all steps in full precision: a block for every ROWS rows of the batch, with all
// units; weights in registers (what does not fit, in shared memory), h in shared memory.
//
// Four threads a unit, one slice of k each: k = 16 i + 4 slice + 0..3, so that the slices of a row
// are read at once. Sums run over i, then over the slices two by two, whatever else is in the
// batch. A thread finishes every fourth row. All constants: planner.py.

constexpr int FRAGMENTS = QUADS * GATES;  // four weights each
constexpr int OWN = (ROWS + 3) / 4;

struct alignas(4 * sizeof(Real)) Four { Real at[4]; };

struct Forward {
    const Steps& steps;
    Real* const gates;    // (N, GATES HIDDEN) x w_x + b; becomes what backward keeps of gates
    Real* const inner;    // (N, HIDDEN) GRU: h w_h + b_h of the last gate
    Real* const h_all;    // (N + B, HIDDEN) with the first state; the others are written
    Real* const c_all;    // the same for LSTM
    Real* const y;        // (T B, HIDDEN) where PACKED, else it is h
    const long long* const places;  // (N) where in y
    Four* const shared;
    const int thread, slice, unit;
    const long long top, count;  // the first row of the block, and its steps
    Four weights[RESIDENT > 0 ? RESIDENT : 1];
    Real h[OWN], c[OWN], b_h;

    INLINE long long row_of(int own) const { return top + 4 * own + slice; }
    INLINE bool real(int own) const {
        return unit < HIDDEN && 4 * own + slice < ROWS && row_of(own) < steps.rows;
    }
    INLINE Four* operand(int buffer, int row) const { return shared + (buffer * ROWS + row) * QUADS * 4; }
    INLINE Four& spilled(int n) const {
        return shared[2 * ROWS * QUADS * 4 + (n - RESIDENT) * THREADS + thread];
    }

    INLINE void begin(const Real* w_h) {
#pragma unroll
        for (int n = 0; n < FRAGMENTS; ++n) {
            Four four;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int k = n / GATES * 16 + slice * 4 + i;
                const long long place = ((long long)k * GATES + n % GATES) * HIDDEN + unit;
                four.at[i] = k < HIDDEN && unit < HIDDEN ? w_h[place] : Real(0);
            }
            if (n < RESIDENT) weights[n] = four;
            else spilled(n) = four;
        }
        const long long first = steps.time_of(0);
        for (int i = thread; i < ROWS * QUADS * 16; i += THREADS) {
            const int row = i / (QUADS * 16), k = i % (QUADS * 16);
            const bool there = k < HIDDEN && top + row < steps.rows;
            const long long from = steps.before(first, top + row) * HIDDEN + k;
            reinterpret_cast<Real*>(operand(0, row))[k] = there ? h_all[from] : Real(0);
            reinterpret_cast<Real*>(operand(1, row))[k] = Real(0);
        }
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            const long long from = steps.before(first, row_of(own)) * HIDDEN + unit;
            h[own] = real(own) ? h_all[from] : Real(0);
            c[own] = STATES > 1 && real(own) ? c_all[from] : Real(0);
        }
        __syncthreads();
    }

    INLINE void load(Real (&x)[OWN][GATES], bool (&runs)[OWN], long long step) const {
        const long long time = steps.time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            runs[own] = step < count && real(own) && row_of(own) < steps.rows_at(time);
            const long long row = runs[own] ? steps.first(time) + row_of(own) : 0;
#pragma unroll
            for (int g = 0; g < GATES; ++g)
                x[own][g] = runs[own] ? gates[(row * GATES + g) * HIDDEN + unit] : Real(0);
        }
    }

    INLINE void product(int buffer, Real (&sum)[GATES][ROWS]) const {
#pragma unroll
        for (int i = 0; i < QUADS; ++i) {
            Four weight[GATES];
#pragma unroll
            for (int g = 0; g < GATES; ++g) {
                const int n = i * GATES + g;
                weight[g] = n < RESIDENT ? weights[n] : spilled(n);
            }
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const Four state = operand(buffer, row)[4 * i + slice];
#pragma unroll
                for (int g = 0; g < GATES; ++g)
#pragma unroll
                    for (int j = 0; j < 4; ++j) sum[g][row] = fma(weight[g].at[j], state.at[j], sum[g][row]);
            }
        }
#pragma unroll
        for (int apart = 1; apart < 4; apart *= 2)
#pragma unroll
            for (int g = 0; g < GATES; ++g)
#pragma unroll
                for (int row = 0; row < ROWS; ++row)
                    sum[g][row] += __shfl_xor_sync(WHOLE_WARP, sum[g][row], apart);
    }

    INLINE Real own_of(const Real (&sums)[ROWS], int own) const {
        Real mine = sums[4 * own];
#pragma unroll
        for (int s = 1; s < 4; ++s)
            if (4 * own + s < ROWS) mine = slice == s ? sums[4 * own + s] : mine;
        return mine;
    }

    INLINE void step(long long step, Real (&x)[OWN][GATES], bool (&runs)[OWN], int buffer) {
        Real sum[GATES][ROWS] = {};
        product(buffer, sum);
        const long long time = steps.time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            Real p[GATES], kept[GATES], new_inner = Real(0);
#pragma unroll
            for (int g = 0; g < GATES; ++g) p[g] = own_of(sum[g], own);
            if (!runs[own]) continue;
            advance(x[own], p, b_h, h[own], c[own], kept, new_inner);
            reinterpret_cast<Real*>(operand(buffer ^ 1, 4 * own + slice))[unit] = h[own];
            const long long row = steps.first(time) + row_of(own);
            const long long after = steps.after(time, row_of(own)) * HIDDEN + unit;
            h_all[after] = h[own];
            if (STATES > 1) c_all[after] = c[own];
            if (PACKED) y[places[row] * HIDDEN + unit] = h[own];
            if (INNER) inner[row * HIDDEN + unit] = new_inner;
#pragma unroll
            for (int g = 0; g < GATES; ++g) gates[(row * GATES + g) * HIDDEN + unit] = kept[g];
        }
        load(x, runs, step + 2);
        __syncthreads();
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1)
forward(const Real* w_h, Real* gates, Real* inner, const Real* b_h, Real* h, Real* c, Real* y,
        const long long* offsets, const long long* places, long long count, long long rows,
        int reverse) {
    SHARED_MEMORY(Four, shared);
    const Steps steps = {offsets, count, rows, reverse != 0};
    const int thread = threadIdx.x, unit = thread / 4;
    const long long top = (long long)blockIdx.x * ROWS;
    Forward of = {steps, gates, inner, h, c, y, places, shared, thread, thread % 4, unit, top,
                  steps.of_rows_from(top)};
    of.b_h = INNER && b_h && unit < HIDDEN ? b_h[unit] : Real(0);
    Real even[OWN][GATES], odd[OWN][GATES];  // two steps ahead
    bool even_runs[OWN], odd_runs[OWN];
    of.load(even, even_runs, 0);
    of.load(odd, odd_runs, 1);
    of.begin(w_h);
    for (long long step = 0; step < of.count; step += 2) {
        of.step(step, even, even_runs, 0);
        if (step + 1 < of.count) of.step(step + 1, odd, odd_runs, 1);
    }
}
