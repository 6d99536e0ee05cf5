// Backward over all steps, the other way round: the same blocks, the weights turned.
//
// Thread by thread, a block makes the gates' gradients of its UNITS units and multiplies them with
// its part of the recurrent weights. That gives a part of the gradient of all units of h, which
// goes to the blocks that own them, each of which adds what came from all, in the order of ranks.
// Which number is where: maps.py. All constants: planner.py.
//
// What arrives is in two buffers. Nobody overwrites what is still read: a block sends its parts of
// one step when it has those of the step before from all blocks, and each of these sends only
// after all its threads have read what came before that. The same holds for the gates' gradients
// in shared memory, which all threads of a block meet over, once a step.

constexpr int FRAGMENTS = BLOCKS * TILES;       // of weights: a warp's tiles, all of their blocks
constexpr int OWNED = UNITS / 16;               // tiles of 16 units that are a block's own
constexpr int SOURCES = CLUSTER * PARTS;        // of parts of a sum: PARTS warps share one
constexpr int CHAINS = TILES > 2 ? 1 : 2;       // so that no sum waits for itself

struct Given {
    const float* gates;   // (N, GATES HIDDEN) as forward kept them
    const float* inner;   // (N, HIDDEN) GRU: h w_h + b_h of the last gate
    const float* h;       // (N + B, HIDDEN) all states
    const float* c;
    const float* dy;      // (T B, HIDDEN), or null for zero
    float* dz;            // (N, GATES HIDDEN) gradient of x w_x + b
    float* d_inner;       // (N, HIDDEN) GRU: of inner
    float* dh;            // (.. B, HIDDEN) of the last states in front; of the first from row d_first
    float* dc;
    long long d_first;
    const long long* places;  // (N) where in dy, where PACKED
};

struct Kept {  // of a thread's two places at a step
    float gates[2][GATES], inner[2], h_before[2], c_before[2], dy[2];
    bool runs[2];
};

struct Backward {
    const Given& given;
    const Steps& steps;
    unsigned char* const shared;
    const int rank, thread, lane, warp;
    const long long top, count;  // the first row of the tile, and its steps
    unsigned long long* const full;
    bool whole = true;    // whether all messages came so far
    uint4 weights[RESIDENT > 0 ? RESIDENT : 1][2];
    float direct[2], dc[2], c_after[2];  // direct: gradient of h that passes no product

    INLINE Backward(const Given& given, const Steps& steps, unsigned char* shared, int rank, int thread)
        : given(given), steps(steps), shared(shared), rank(rank), thread(thread), lane(thread % 32),
          warp(thread / 32), top(tile_in_grid() * 8), count(steps.of_rows_from(top)),
          full(reinterpret_cast<unsigned long long*>(shared + AT_BARRIERS)) {}

    // ----- which places are this thread's -----

    INLINE bool owner() const { return warp < UNITS / 8; }
    INLINE int own_unit() const { return warp * 8 + lane / 8 * 2 + lane % 2; }
    INLINE int unit() const { return rank * UNITS + own_unit(); }
    INLINE int column_of(int pair) const { return lane / 2 % 4 * 2 + pair; }
    INLINE long long row_of(int pair) const { return top + column_of(pair); }
    INLINE bool real(int pair) const {
        return owner() && unit() < HIDDEN && row_of(pair) < steps.rows;
    }
    INLINE long long time_of(long long step) const { return steps.time_of(count - 1 - step); }
    INLINE Element* operand(int buffer, int column, int k) const {
        unsigned char* row = shared + (buffer * 8 + column) * STRIDE;
        return reinterpret_cast<Element*>(row) + k;
    }
    INLINE uint4* spilled(int fragment) const {  // weights that registers had no room for
        return reinterpret_cast<uint4*>(shared + AT_WEIGHTS) +
               (warp * (FRAGMENTS - RESIDENT) + fragment - RESIDENT) * 64 + lane;
    }
    // The part from a source for a tile of this block, in the order of a tile's registers.
    INLINE uint4* arriving(int buffer, int from, int tile) const {
        return reinterpret_cast<uint4*>(shared + AT_ARRIVING) +
               ((buffer * SOURCES + from) * OWNED + tile) * 32;
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
        for (int i = thread; i < 16 * (DEPTH - GATES * UNITS); i += THREADS)  // never written again
            *operand(0, i % 16, GATES * UNITS + i / 16) = 0;
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            const long long place = row_of(pair) * HIDDEN + unit();
            direct[pair] = real(pair) ? given.dh[place] : 0.0f;
            dc[pair] = STATES > 1 && real(pair) ? given.dc[place] : 0.0f;
            c_after[pair] = STATES > 1 && real(pair) ? given.c[steps.ended(0) * HIDDEN + place] : 0.0f;
        }
#if CLUSTER > 1
        if (thread == 0) {
            barrier_make(full);
            barrier_make(full + 1);
            barriers_made();
            barrier_arm(full, ARRIVING);
            if (count > 1) barrier_arm(full + 1, ARRIVING);
        }
        cluster_meet();
#else
        block_meet();
#endif
    }

    INLINE void load(Kept& kept, long long step) const {
        const long long time = time_of(step);
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            kept.runs[pair] = step < count && row_of(pair) < steps.rows_at(time);
            const bool there = kept.runs[pair] && real(pair);
            const long long row = there ? steps.first(time) + row_of(pair) : 0;
            const long long before = there ? steps.before(time, row_of(pair)) * HIDDEN + unit() : 0;
#pragma unroll
            for (int g = 0; g < GATES; ++g)
                kept.gates[pair][g] = there ? given.gates[(row * GATES + g) * HIDDEN + unit()] : 0.0f;
            kept.inner[pair] = INNER && there ? given.inner[row * HIDDEN + unit()] : 0.0f;
            kept.h_before[pair] = INNER && there ? given.h[before] : 0.0f;
            kept.c_before[pair] = STATES > 1 && there ? given.c[before] : 0.0f;
            const long long place = PACKED && there ? given.places[row] : row;
            kept.dy[pair] = there && given.dy ? given.dy[place * HIDDEN + unit()] : 0.0f;
        }
    }

    // ----- a step -----

    // Wait for the parts of the step before ``step``, and add them up.
    INLINE void gather(long long step) {
        const int buffer = (step - 1) % 2;
#if CLUSTER > 1
        if (whole) whole = barrier_wait(full + buffer, (step - 1) / 2 % 2);
        if (whole && thread == 0 && step + 1 < count) barrier_arm(full + buffer, ARRIVING);
        __syncwarp();  // lanes may have waited differently long
#endif
        if (!owner()) return;
        float sum[2] = {0.0f, 0.0f};
#pragma unroll
        for (int from = 0; from < SOURCES; ++from) {
            const float2 part = reinterpret_cast<const float2*>(arriving(buffer, from, 0))[warp * 32 + lane];
            sum[0] += part.x;
            sum[1] += part.y;
        }
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            direct[pair] += sum[pair];
            if (!whole) direct[pair] = __int_as_float(0x7fc00000);  // not to be mistaken for results
        }
    }

    INLINE void differentiate(long long step, const Kept& kept, int buffer) {
        const long long time = time_of(step);
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            float dz[GATES], d_inner = 0.0f;
            float passed = direct[pair], new_dc = dc[pair];
            retreat(kept.gates[pair], kept.inner[pair], kept.h_before[pair], kept.c_before[pair],
                    c_after[pair], direct[pair] + kept.dy[pair], passed, new_dc, dz, d_inner);
            const bool runs = kept.runs[pair];
            direct[pair] = runs ? passed : direct[pair];
            dc[pair] = runs ? new_dc : dc[pair];
            c_after[pair] = runs ? kept.c_before[pair] : c_after[pair];
            const long long row = steps.first(time) + row_of(pair);
#pragma unroll
            for (int g = 0; g < GATES; ++g) {
                const float through = INNER && g == GATES - 1 ? d_inner : dz[g];
                *operand(buffer, column_of(pair), g * UNITS + own_unit()) = rounded(runs ? through : 0.0f);
                if (runs && real(pair)) given.dz[(row * GATES + g) * HIDDEN + unit()] = dz[g];
            }
            if (INNER && runs && real(pair)) given.d_inner[row * HIDDEN + unit()] = d_inner;
        }
    }

    // Multiply the block's gradients with its part of the weights, and send each part to its owner.
    INLINE void scatter(int buffer) {
        float sum[TILES][CHAINS][4] = {};
        const Element* column = operand(buffer, lane / 4, 0);
        const uint4* gradients = reinterpret_cast<const uint4*>(column) + warp % PARTS * BLOCKS * 4 + lane % 4;
#pragma unroll
        for (int block = 0; block < BLOCKS; ++block) {
            const uint4 b = gradients[block * 4];
#pragma unroll
            for (int i = 0; i < TILES; ++i) {
                const int n = block * TILES + i;
                const uint4 a0 = n < RESIDENT ? weights[n][0] : spilled(n)[0];
                const uint4 a1 = n < RESIDENT ? weights[n][1] : spilled(n)[32];
                multiply(sum[i][0], a0.x, a0.y, a0.z, a0.w, b.x, b.y);
                multiply(sum[i][CHAINS - 1], a1.x, a1.y, a1.z, a1.w, b.z, b.w);
            }
        }
#pragma unroll
        for (int i = 0; i < TILES; ++i) {
            const int number = warp / PARTS * TILES + i;
            if (number >= CLUSTER * OWNED) continue;
            if (CHAINS > 1)
#pragma unroll
                for (int r = 0; r < 4; ++r) sum[i][0][r] += sum[i][CHAINS - 1][r];
            // Each rank begins with its own tiles, so that not all send to one block at once.
            const int tile = (number + rank * OWNED) % (CLUSTER * OWNED);
            uint4* place = arriving(buffer, rank * PARTS + warp % PARTS, tile % OWNED) + lane;
            const uint4 words = make_uint4(__float_as_uint(sum[i][0][0]), __float_as_uint(sum[i][0][1]),
                                           __float_as_uint(sum[i][0][2]), __float_as_uint(sum[i][0][3]));
#if CLUSTER > 1
            const int at = reinterpret_cast<unsigned char*>(place) - shared;
            send(shared_of(tile / OWNED, shared), at, words, AT_BARRIERS + 8 * buffer);
#else
            *place = words;
#endif
        }
    }

    INLINE void step(long long step, Kept& kept, int buffer) {
        if (step > 0) gather(step);
        if (owner()) {
            differentiate(step, kept, buffer);
            load(kept, step + 2);
        }
        block_meet();
        scatter(buffer);
#if CLUSTER == 1
        block_meet();
#endif
    }

    INLINE void end() {
        if (count > 0) gather(count);
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
            if (!real(pair)) continue;
            const long long place = (given.d_first + row_of(pair)) * HIDDEN + unit();
            given.dh[place] = direct[pair];
            if (STATES > 1) given.dc[place] = dc[pair];
        }
    }
};

extern "C" __global__ void CLUSTERED __launch_bounds__(BOUND, 1)
backward(const unsigned* packed, const float* gates, const float* inner, const float* h, const float* c,
         const float* dy, float* dz, float* d_inner, float* dh, float* dc, long long d_first,
         const long long* offsets, const long long* places, int* fault, long long count,
         long long rows, int reverse) {
    const Given given = {gates, inner, h, c, dy, dz, d_inner, dh, dc, d_first, places};
    const Steps steps = {offsets, count, rows, reverse != 0};
    Backward of(given, steps, shared_of_block(), rank_in_cluster(), thread_in_block());
    Kept even, odd;  // two steps ahead
    of.load(even, 0);
    of.load(odd, 1);
    of.begin(reinterpret_cast<const uint4*>(packed));
    for (long long step = 0; step < of.count; step += 2) {
        of.step(step, even, 0);
        if (step + 1 < of.count) of.step(step + 1, odd, 1);
    }
    of.end();
#if CLUSTER > 1
    if (!of.whole) atomicCAS(fault, 0, 1 + of.rank);
    cluster_meet();  // a block that has gone could not be written to
#endif
}
