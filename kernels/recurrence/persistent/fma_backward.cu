// Backward over all steps in full precision: the blocks and threads of fma_forward.cu. Of the
// weights a unit's four threads have its row, gates by gates, a slice of 16 i + 4 slice + 0..3 each.

constexpr int OWN = (ROWS + 3) / 4;

struct alignas(4 * sizeof(Real)) Four { Real at[4]; };

struct Kept {  // of a thread's places at a step
    Real gates[OWN][GATES], inner[OWN], h_before[OWN], c_before[OWN], dy[OWN];
    bool runs[OWN];
};

struct Backward {
    const Steps& steps;
    const Real* const gates;   // (N, GATES HIDDEN) as forward kept them
    const Real* const inner;   // (N, HIDDEN) GRU: h w_h + b_h of the last gate
    const Real* const h_all;   // (N + B, HIDDEN) all states
    const Real* const c_all;
    const Real* const dy;      // (T B, HIDDEN), or null for zero
    Real* const dz;            // (N, GATES HIDDEN) gradient of x w_x + b
    Real* const d_inner;       // (N, HIDDEN) GRU: of inner
    Real* const d_h;           // (.. B, HIDDEN) of the last states in front; of the first from d_first
    Real* const d_c;
    const long long d_first;
    const long long* const places;  // (N) where in dy, where PACKED
    Four* const shared;
    const int thread, slice, unit;
    const long long top, count;  // the first row of the block, and its steps
    Four weights[RESIDENT > 0 ? RESIDENT : 1];
    Real direct[OWN], dc[OWN], c_after[OWN];

    INLINE long long row_of(int own) const { return top + 4 * own + slice; }
    INLINE bool real(int own) const {
        return unit < HIDDEN && 4 * own + slice < ROWS && row_of(own) < steps.rows;
    }
    INLINE long long time_of(long long step) const { return steps.time_of(count - 1 - step); }
    INLINE Four* operand(int buffer, int row) const { return shared + (buffer * ROWS + row) * QUADS * 4; }
    INLINE Four& spilled(int n) const {
        return shared[2 * ROWS * QUADS * 4 + (n - RESIDENT) * THREADS + thread];
    }

    INLINE void begin(const Real* w_h) {
#pragma unroll
        for (int n = 0; n < QUADS; ++n) {
            Four four;
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int column = n * 16 + slice * 4 + i;
                const bool there = column < GATES * HIDDEN && unit < HIDDEN;
                four.at[i] = there ? w_h[(long long)unit * GATES * HIDDEN + column] : Real(0);
            }
            if (n < RESIDENT) weights[n] = four;
            else spilled(n) = four;
        }
        for (int i = thread; i < 2 * ROWS * QUADS * 16; i += THREADS)
            reinterpret_cast<Real*>(shared)[i] = Real(0);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            const long long place = row_of(own) * HIDDEN + unit;
            direct[own] = real(own) ? d_h[place] : Real(0);
            dc[own] = STATES > 1 && real(own) ? d_c[place] : Real(0);
            c_after[own] = STATES > 1 && real(own) ? c_all[steps.ended(0) * HIDDEN + place] : Real(0);
        }
        __syncthreads();
    }

    INLINE void load(Kept& kept, long long step) const {
        const long long time = time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            const bool there = step < count && real(own) && row_of(own) < steps.rows_at(time);
            const long long row = there ? steps.first(time) + row_of(own) : 0;
            const long long before = there ? steps.before(time, row_of(own)) * HIDDEN + unit : 0;
            kept.runs[own] = there;
#pragma unroll
            for (int g = 0; g < GATES; ++g)
                kept.gates[own][g] = there ? gates[(row * GATES + g) * HIDDEN + unit] : Real(0);
            kept.inner[own] = INNER && there ? inner[row * HIDDEN + unit] : Real(0);
            kept.h_before[own] = INNER && there ? h_all[before] : Real(0);
            kept.c_before[own] = STATES > 1 && there ? c_all[before] : Real(0);
            const long long place = PACKED && there ? places[row] : row;
            kept.dy[own] = there && dy ? dy[place * HIDDEN + unit] : Real(0);
        }
    }

    INLINE void differentiate(long long step, const Kept& kept, int buffer) {
        const long long time = time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            if (!kept.runs[own]) continue;  // what is staged stays zero until the row's last step
            Real slopes[GATES], through = Real(0);
            const Real dh = direct[own] + kept.dy[own];
            retreat(kept.gates[own], kept.inner[own], kept.h_before[own], kept.c_before[own],
                    c_after[own], dh, direct[own], dc[own], slopes, through);
            c_after[own] = kept.c_before[own];
            const long long row = steps.first(time) + row_of(own);
            Real* staged = reinterpret_cast<Real*>(operand(buffer, 4 * own + slice));
#pragma unroll
            for (int g = 0; g < GATES; ++g) {
                staged[g * HIDDEN + unit] = INNER && g == GATES - 1 ? through : slopes[g];
                dz[(row * GATES + g) * HIDDEN + unit] = slopes[g];
            }
            if (INNER) d_inner[row * HIDDEN + unit] = through;
        }
    }

    INLINE void product(int buffer) {
        Real sum[ROWS] = {};
#pragma unroll
        for (int n = 0; n < QUADS; ++n) {
            const Four weight = n < RESIDENT ? weights[n] : spilled(n);
#pragma unroll
            for (int row = 0; row < ROWS; ++row) {
                const Four slopes = operand(buffer, row)[4 * n + slice];
#pragma unroll
                for (int j = 0; j < 4; ++j) sum[row] = fma(weight.at[j], slopes.at[j], sum[row]);
            }
        }
#pragma unroll
        for (int row = 0; row < ROWS; ++row) {
            sum[row] += __shfl_xor_sync(WHOLE_WARP, sum[row], 1);
            sum[row] += __shfl_xor_sync(WHOLE_WARP, sum[row], 2);
            if (row % 4 == slice) direct[row / 4] += sum[row];
        }
    }

    INLINE void step(long long step, Kept& kept, int buffer) {
        differentiate(step, kept, buffer);
        load(kept, step + 2);
        __syncthreads();
        product(buffer);
    }
};

extern "C" __global__ void __launch_bounds__(THREADS, 1)
backward(const Real* w_h, const Real* gates, const Real* inner, const Real* h, const Real* c,
         const Real* dy, Real* dz, Real* d_inner, Real* dh, Real* dc, long long d_first,
         const long long* offsets, const long long* places, long long count, long long rows,
         int reverse) {
    SHARED_MEMORY(Four, shared);
    const Steps steps = {offsets, count, rows, reverse != 0};
    const int thread = threadIdx.x, unit = thread / 4;
    const long long top = (long long)blockIdx.x * ROWS;
    Backward of = {steps, gates, inner, h, c, dy, dz, d_inner, dh, dc, d_first, places,
                   shared, thread, thread % 4, unit, top, steps.of_rows_from(top)};
    Kept even, odd;  // two steps ahead
    of.load(even, 0);
    of.load(odd, 1);
    of.begin(w_h);
    for (long long step = 0; step < of.count; step += 2) {
        of.step(step, even, 0);
        if (step + 1 < of.count) of.step(step + 1, odd, 1);
    }
#pragma unroll
    for (int own = 0; own < OWN; ++own) {
        if (!of.real(own)) continue;
        const long long place = (d_first + of.row_of(own)) * HIDDEN + unit;
        dh[place] = of.direct[own];
        if (STATES > 1) dc[place] = of.dc[own];
    }
}
