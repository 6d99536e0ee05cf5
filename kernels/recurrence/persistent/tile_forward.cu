// Forward over all steps: a cluster of blocks for every 8 rows of the batch, its recurrent weights
// in registers (what does not fit, in shared memory), h sent from block to block.
//
// A block owns UNITS units. A set of PARTS warps computes the gates of 8 GROUPS of them, each warp
// from its part of h; a thread then holds all gates of a unit for two rows, and of those it
// finishes the ones that are its own. Which number is where: maps.py. All constants: planner.py.
//
// h is in two buffers, one read while the other fills. Nobody overwrites what is still read: a
// block sends h of step s + 1 after it has all of step s, which every set of warps has sent its
// units of after reading step s - 1, the last in that buffer.

constexpr int TILE[] = {TILE_OF}, HALF[] = {HALF_OF};  // of gate g of group s: [g * GROUPS + s]
constexpr int OWN = PARTS == 1 ? 2 : 1;                // rows of two that a thread finishes
constexpr int FRAGMENTS = BLOCKS * TILES;
constexpr int COLUMNS = 4 * OWN;                       // rows that a warp finishes
constexpr int PIECES = GROUPS * COLUMNS * ELEMENT_BYTES / 2;  // of 16 bytes, that it sends
static_assert(32 % PIECES == 0, "a lane sends one piece, to several blocks");

struct Given {
    float* gates;         // (N, GATES HIDDEN) x w_x + b; becomes what backward keeps of gates
    float* inner;         // (N, HIDDEN) GRU: h w_h + b_h of the last gate
    const float* b_h;     // (HIDDEN), or null for zero
    float* h;             // (N + B, HIDDEN) with the first state; the others are written
    float* c;             // the same for LSTM
    float* y;             // (T B, HIDDEN) where PACKED, else it is h
    const long long* places;  // (N) where in y
};

struct Forward {
    const Given& given;
    const Steps& steps;
    unsigned char* const shared;
    const int rank, thread, lane, warp, set, part;
    const long long top, count;  // the first row of the tile, and its steps
    unsigned long long* const full;
    bool whole = true;    // whether all messages came so far
    uint4 weights[RESIDENT > 0 ? RESIDENT : 1][2];
    float h[GROUPS][OWN], c[GROUPS][OWN];

    INLINE Forward(const Given& given, const Steps& steps, unsigned char* shared, int rank, int thread)
        : given(given), steps(steps), shared(shared), rank(rank), thread(thread), lane(thread % 32),
          warp(thread / 32), set(warp / PARTS), part(warp % PARTS), top(tile_in_grid() * 8),
          count(steps.of_rows_from(top)),
          full(reinterpret_cast<unsigned long long*>(shared + AT_BARRIERS)) {}

    // ----- which places are this thread's -----

    INLINE int group_of(int s) const { return set * GROUPS + s; }
    INLINE int unit_of(int s) const { return rank * UNITS + group_of(s) * 8 + lane / 4; }
    INLINE int pair_of(int own) const { return PARTS == 1 ? own : part; }
    INLINE int column_of(int own) const { return 2 * (lane % 4) + pair_of(own); }
    INLINE long long row_of(int own) const { return top + column_of(own); }
    INLINE bool real(int s, int own) const {
        return unit_of(s) < HIDDEN && row_of(own) < steps.rows && part < 2;
    }
    INLINE Element* operand(int buffer, int column, int k) const {
        unsigned char* row = shared + (buffer * 8 + column) * STRIDE;
        return reinterpret_cast<Element*>(row) + k;
    }
    INLINE uint4* spilled(int fragment) const {  // weights that registers had no room for
        return reinterpret_cast<uint4*>(shared + AT_WEIGHTS) +
               (warp * (FRAGMENTS - RESIDENT) + fragment - RESIDENT) * 64 + lane;
    }
    INLINE float* partial(int from, int pair, int value) const {
        return reinterpret_cast<float*>(shared + AT_PARTIAL) +
               (((set * PARTS + from) * 2 + pair) * 2 * TILES + value) * 32 + lane;
    }

    // ----- before the steps -----

    INLINE void begin(const uint4* packed) {
        const uint4* own = packed + (long long)(rank * (THREADS / 32) + warp) * FRAGMENTS * 64 + lane;
#pragma unroll
        for (int n = 0; n < FRAGMENTS; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                if (n < RESIDENT) weights[n][i] = own[n * 64 + i * 32];
                else spilled(n)[i * 32] = own[n * 64 + i * 32];
            }
        const long long first = steps.time_of(0);
        for (int i = thread; i < 8 * DEPTH; i += THREADS) {
            const int column = i / DEPTH, k = i % DEPTH;
            const bool there = k < HIDDEN && top + column < steps.rows;
            const long long from = steps.before(first, top + column) * HIDDEN + k;
            *operand(0, column, k) = rounded(there ? given.h[from] : 0.0f);
            *operand(1, column, k) = 0;
        }
#pragma unroll
        for (int s = 0; s < GROUPS; ++s)
#pragma unroll
            for (int own = 0; own < OWN; ++own) {
                const bool there = real(s, own);
                const long long from = steps.before(first, row_of(own)) * HIDDEN + unit_of(s);
                h[s][own] = there ? given.h[from] : 0.0f;
                c[s][own] = STATES > 1 && there ? given.c[from] : 0.0f;
            }
#if CLUSTER > 1
        if (thread == 0) {
            barrier_make(full);
            barrier_make(full + 1);
            barriers_made();
            if (count > 1) barrier_arm(full + 1, ARRIVING);
            if (count > 2) barrier_arm(full, ARRIVING);
        }
        cluster_meet();
#else
        block_meet();
#endif
    }

    INLINE void load(float (&x)[GROUPS][OWN][GATES], bool (&runs)[OWN], long long step) const {
        const long long time = steps.time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            runs[own] = step < count && row_of(own) < steps.rows_at(time);
            const long long row = runs[own] ? steps.first(time) + row_of(own) : 0;
#pragma unroll
            for (int s = 0; s < GROUPS; ++s)
#pragma unroll
                for (int g = 0; g < GATES; ++g)
                    x[s][own][g] = runs[own] && real(s, own)
                                       ? given.gates[(row * GATES + g) * HIDDEN + unit_of(s)]
                                       : 0.0f;
        }
    }

    // ----- a step -----

    INLINE void product(int buffer, float (&sum)[TILES][4]) const {
        float other[TILES][4] = {};  // two chains, so that one need not wait for itself
        const Element* own = operand(buffer, lane / 4, 0);
        const uint4* state = reinterpret_cast<const uint4*>(own) + part * BLOCKS * 4 + lane % 4;
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) {
            const uint4 b = state[block * 4];
#pragma unroll
            for (int tile = 0; tile < TILES; ++tile) {
                const int n = block * TILES + tile;
                const uint4 a0 = n < RESIDENT ? weights[n][0] : spilled(n)[0];
                const uint4 a1 = n < RESIDENT ? weights[n][1] : spilled(n)[32];
                multiply(sum[tile], a0.x, a0.y, a0.z, a0.w, b.x, b.y);
                multiply(other[tile], a1.x, a1.y, a1.z, a1.w, b.z, b.w);
            }
        }
#pragma unroll
        for (int tile = 0; tile < TILES; ++tile)
#pragma unroll
            for (int i = 0; i < 4; ++i) sum[tile][i] += other[tile][i];
    }

    // Give the other warps of the set what is theirs. Value v of a pair of rows is half v % 2 of
    // tile v / 2.
    INLINE void share(const float (&sum)[TILES][4]) const {
#pragma unroll
        for (int pair = 0; pair < 2; ++pair)
            if (pair != part)
#pragma unroll
                for (int v = 0; v < 2 * TILES; ++v)
                    *partial(part, pair, v) = sum[v / 2][v % 2 * 2 + pair];
        warps_meet(1 + set, PARTS * 32);
    }

    INLINE float total(const float (&sum)[TILES][4], int pair, int v) const {
        if (PARTS == 1) return pair ? sum[v / 2][v % 2 * 2 + 1] : sum[v / 2][v % 2 * 2];
        const float mine = part ? sum[v / 2][v % 2 * 2 + 1] : sum[v / 2][v % 2 * 2];
        float all = 0.0f;
#pragma unroll
        for (int from = 0; from < PARTS; ++from) all += from == part ? mine : *partial(from, pair, v);
        return all;
    }

    // Put h where all blocks look for it at the next step.
    INLINE void publish(int buffer) const {
#if CLUSTER > 1
        Element* outgoing = reinterpret_cast<Element*>(shared + AT_OUTGOING) + warp * PIECES * 16 / ELEMENT_BYTES;
        __syncwarp();
#pragma unroll
        for (int s = 0; s < GROUPS; ++s)
#pragma unroll
            for (int own = 0; own < OWN; ++own) {
                const int slot = PARTS == 1 ? column_of(own) : lane % 4;
                outgoing[(s * COLUMNS + slot) * 8 + lane / 4] = rounded(h[s][own]);
            }
        __syncwarp();
        const int piece = lane % PIECES, slot = piece / (ELEMENT_BYTES / 2) % COLUMNS;
        const int s = piece / (ELEMENT_BYTES / 2 * COLUMNS);
        const int column = PARTS == 1 ? slot : 2 * slot + part;
        const int k = rank * UNITS + group_of(s) * 8 + piece % (ELEMENT_BYTES / 2) * 4;
        const int at = (buffer * 8 + column) * STRIDE + k * ELEMENT_BYTES;
        const uint4 words = reinterpret_cast<uint4*>(outgoing)[piece];
        if (k < DEPTH)
#pragma unroll
            for (int i = 0; i < (PIECES * CLUSTER + 31) / 32; ++i) {
                const int to = lane / PIECES + i * (32 / PIECES);
                if (to < CLUSTER) send(shared_of(to, shared), at, words, AT_BARRIERS + 8 * buffer);
            }
#else
#pragma unroll
        for (int s = 0; s < GROUPS; ++s)
#pragma unroll
            for (int own = 0; own < OWN; ++own)
                if (unit_of(s) < DEPTH) *operand(buffer, column_of(own), unit_of(s)) = rounded(h[s][own]);
#endif
    }

    INLINE void step(long long step, float (&x)[GROUPS][OWN][GATES], bool (&runs)[OWN], int buffer) {
#if CLUSTER > 1
        if (step > 0) {
            if (whole) whole = barrier_wait(full + buffer, (step - 1) / 2 % 2);
            if (whole && thread == 0 && step + 2 < count) barrier_arm(full + buffer, ARRIVING);
            __syncwarp();  // lanes may have waited differently long; matrices want them together
        }
#endif
        float sum[TILES][4] = {};
        product(buffer, sum);
        if (PARTS > 1) share(sum);
        if (part < 2) {
            float kept[GROUPS][OWN][GATES], inner[GROUPS][OWN];
            finish(x, sum, kept, inner);
            if (step + 1 < count) publish(buffer ^ 1);
            keep(step, runs, kept, inner);
            load(x, runs, step + 2);
        }
#if CLUSTER == 1
        block_meet();
#endif
    }

    INLINE void finish(const float (&x)[GROUPS][OWN][GATES], const float (&sum)[TILES][4],
                       float (&kept)[GROUPS][OWN][GATES], float (&inner)[GROUPS][OWN]) {
#pragma unroll
        for (int s = 0; s < GROUPS; ++s)
#pragma unroll
            for (int own = 0; own < OWN; ++own) {
                float p[GATES];
#pragma unroll
                for (int g = 0; g < GATES; ++g)
                    p[g] = total(sum, pair_of(own), 2 * TILE[g * GROUPS + s] + HALF[g * GROUPS + s]);
                const float b_h = INNER && given.b_h && real(s, own) ? given.b_h[unit_of(s)] : 0.0f;
                // A row that has ended goes on, and nobody looks at what it becomes.
                advance(x[s][own], p, b_h, h[s][own], c[s][own], kept[s][own], inner[s][own]);
                if (!whole) h[s][own] = __int_as_float(0x7fc00000);  // not to be mistaken for results
            }
    }

    INLINE void keep(long long step, const bool (&runs)[OWN], const float (&kept)[GROUPS][OWN][GATES],
                     const float (&inner)[GROUPS][OWN]) const {
        const long long time = steps.time_of(step);
#pragma unroll
        for (int own = 0; own < OWN; ++own) {
            if (!runs[own]) continue;
            const long long row = steps.first(time) + row_of(own);
            const long long after = steps.after(time, row_of(own)) * HIDDEN;
            const long long place = (PACKED ? given.places[row] : 0) * HIDDEN;
#pragma unroll
            for (int s = 0; s < GROUPS; ++s) {
                if (!real(s, own)) continue;
                const int unit = unit_of(s);
                given.h[after + unit] = h[s][own];
                if (STATES > 1) given.c[after + unit] = c[s][own];
                if (PACKED) given.y[place + unit] = h[s][own];
                if (INNER) given.inner[row * HIDDEN + unit] = inner[s][own];
#pragma unroll
                for (int g = 0; g < GATES; ++g)
                    given.gates[(row * GATES + g) * HIDDEN + unit] = kept[s][own][g];
            }
        }
    }
};

extern "C" __global__ void CLUSTERED __launch_bounds__(BOUND, 1)
forward(const unsigned* packed, float* gates, float* inner, const float* b_h, float* h, float* c, float* y,
        const long long* offsets, const long long* places, int* fault, long long count, long long rows,
        int reverse) {
    const Given given = {gates, inner, b_h, h, c, y, places};
    const Steps steps = {offsets, count, rows, reverse != 0};
    Forward of(given, steps, shared_of_block(), rank_in_cluster(), thread_in_block());
    float even[GROUPS][OWN][GATES], odd[GROUPS][OWN][GATES];  // two steps ahead
    bool even_runs[OWN], odd_runs[OWN];
    of.load(even, even_runs, 0);
    of.load(odd, odd_runs, 1);
    of.begin(reinterpret_cast<const uint4*>(packed));
    for (long long step = 0; step < of.count; step += 2) {
        of.step(step, even, even_runs, 0);
        if (step + 1 < of.count) of.step(step + 1, odd, odd_runs, 1);
    }
#if CLUSTER > 1
    if (!of.whole) atomicCAS(fault, 0, 1 + of.rank);
    cluster_meet();  // a block that has gone could not be written to
#endif
}
