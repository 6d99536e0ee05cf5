// Attention: additive scores and their gradients, single queries, and the softmax of masked rows.
//
// The lanes of a warp stand side by side in the units h, so they read neighbouring numbers, and
// what depends on t and s alone, a mask or a gradient, is the same for all of them: no lane waits
// for another's branch. tanh is computed anew wherever it is needed; nothing of the size T S H
// is held. Every sum has an order that depends on its own length alone.

constexpr int TOGETHER = 4;  // queries whose scores with one key a warp computes at once

// scores[b, t, s] for TOGETHER t a warp: key and vector are read once for these.
// seen (B, 1 or T, S): `every` is 0 where its row is for all queries, 1 where each has its own.
extern "C" __global__ void additive_scores(const Real *query, const Real *key, const Real *vector,
                                           const unsigned char *seen, Real *scores, long long B,
                                           long long T, long long S, long long H,
                                           long long every) {
    const long long groups = (T + TOGETHER - 1) / TOGETHER;
    const int lane = threadIdx.x % 32;
    EACH_OF_A_WARP(place, B * groups * S) {
        const long long s = place % S, group = place / S, b = group / groups;
        const long long t0 = group % groups * TOGETHER;
        const Real *k = key + (b * S + s) * H;
        bool wanted[TOGETHER];
        Real sums[TOGETHER];
        for (int i = 0; i < TOGETHER; i++) {
            const long long mask = (b * (every ? T : 1) + (t0 + i) * every) * S + s;
            wanted[i] = t0 + i < T && (seen == nullptr || seen[mask]);
            sums[i] = 0;
        }
        for (long long h = lane; h < H; h += 32) {
            for (int i = 0; i < TOGETHER; i++)
                if (wanted[i]) sums[i] += vector[h] * tanh(query[(b * T + t0 + i) * H + h] + k[h]);
        }
        for (int i = 0; i < TOGETHER; i++) {
            const Real score = warp_sum(sums[i]);
            if (lane == 0 && t0 + i < T) scores[(b * T + t0 + i) * S + s] = wanted[i] ? score : 0;
        }
    }
}

// d_query (B, T, H) and d_vector (B, H). A block has 32 units of one row of the batch; its warps
// share the queries, and what they found of the vector's gradient is added up at the end.
extern "C" __global__ void additive_queries_back(const Real *g, const Real *query, const Real *key,
                                                 const Real *vector, Real *d_query, Real *d_vector,
                                                 long long T, long long S, long long H) {
    __shared__ Real parts[32][32];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const long long strips = (H + 31) / 32, b = blockIdx.x / strips;
    const long long h = blockIdx.x % strips * 32 + lane;
    Real by_vector = 0;
    if (h < H) {
        for (long long t = warp; t < T; t += warps) {
            const Real q = query[(b * T + t) * H + h];
            const Real *weights = g + (b * T + t) * S;
            Real by_query = 0;
            for (long long s = 0; s < S; s++) {
                if (weights[s] == 0) continue;
                const Real z = tanh(q + key[(b * S + s) * H + h]);
                by_vector += weights[s] * z;
                by_query += weights[s] * (1 - z * z);
            }
            d_query[(b * T + t) * H + h] = by_query * vector[h];
        }
    }
    parts[warp][lane] = by_vector;
    __syncthreads();
    if (warp == 0 && h < H) {
        Real sum = 0;
        for (int i = 0; i < warps; i++) sum += parts[i][lane];
        d_vector[b * H + h] = sum;
    }
}

// d_key (B, S, H) += what all queries say of it; a thread has one number of it.
extern "C" __global__ void additive_keys_back(const Real *g, const Real *query, const Real *key,
                                              const Real *vector, Real *d_key, long long B,
                                              long long T, long long S, long long H) {
    const long long row = (H + 31) / 32 * 32;  // so that a warp has one key alone
    EACH(i, B * S * row) {
        const long long h = i % row, place = i / row, b = place / S, s = place % S;
        if (h < H) {
            const Real k = key[place * H + h];
            Real by_key = 0;
            for (long long t = 0; t < T; t++) {
                const Real weight = g[(b * T + t) * S + s];
                if (weight == 0) continue;
                const Real z = tanh(query[(b * T + t) * H + h] + k);
                by_key += weight * (1 - z * z);
            }
            d_key[place * H + h] += by_key * vector[h];
        }
    }
}

// A query a block: fits by warps, their softmax by all threads, the context a column a thread.
// weights (N, S) hold the fits in between, so that there may be any number of keys. Unseen keys
// add zeros to sums, wherever they stand: more of them behind change no bit.
extern "C" __global__ void attend(const Real *query, const Real *key, const Real *vector,
                                  const Real *value, const unsigned char *seen, const long long *of,
                                  Real *context, Real *weights, long long S, long long H,
                                  long long V) {
    const long long n = blockIdx.x, b = of[n];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, warps = blockDim.x / 32;
    const unsigned char *there = seen == nullptr ? nullptr : seen + b * S;
    const Real *q = query + n * H;
    Real *own = weights + n * S;
    for (long long s = warp; s < S; s += warps) {
        const Real *k = key + (b * S + s) * H;
        const bool wanted = there == nullptr || there[s];
        Real fit = 0;
        for (long long h = lane; wanted && h < H; h += 32)
            fit += vector == nullptr ? q[h] * k[h] : vector[h] * tanh(q[h] + k[h]);
        fit = warp_sum(fit);
        if (lane == 0) own[s] = wanted ? fit : -Real(INFINITY);
    }
    __syncthreads();
    Real top = -Real(INFINITY);
    EACH_IN_BLOCK(s, S) top = own[s] > top ? own[s] : top;
    top = block_max(top);
    if (isinf(top)) top = 0;
    Real sum = 0;
    EACH_IN_BLOCK(s, S) {
        const bool wanted = there == nullptr || there[s];
        own[s] = wanted ? exp(own[s] - top) : Real(0);
        sum += own[s];
    }
    sum = block_sum(sum);
    EACH_IN_BLOCK(s, S) own[s] = sum == 0 ? Real(0) : own[s] / sum;
    __syncthreads();
    EACH_IN_BLOCK(v, V) {
        Real found = 0;
        for (long long s = 0; s < S; s++)
            if (own[s] != 0) found += own[s] * value[(b * S + s) * V + v];
        context[n * V + v] = found;
    }
}

// Rows of x (rows, S) as weights, a warp each. The mask of row r is row
// r / period * inner + r % inner of seen: masks that are the same for some axis in the middle.
// Without a mask every key is seen.
extern "C" __global__ void masked_softmax(const Real *x, const unsigned char *seen, Real *out,
                                          long long rows, long long S, long long period,
                                          long long inner) {
    const int lane = threadIdx.x % 32;
    EACH_OF_A_WARP(r, rows) {
        const unsigned char *there = seen + (r / period * inner + r % inner) * S;
        const Real *scores = x + r * S;
        Real top = -Real(INFINITY), sum = 0;
        for (long long s = lane; s < S; s += 32)
            if ((seen == nullptr || there[s]) && scores[s] > top) top = scores[s];
        top = warp_max(top);
        if (isinf(top)) top = 0;
        for (long long s = lane; s < S; s += 32) {
            const bool wanted = seen == nullptr || there[s];
            const Real power = wanted ? exp(scores[s] - top) : Real(0);
            sum += power;
            out[r * S + s] = power;
        }
        sum = warp_sum(sum);
        for (long long s = lane; s < S; s += 32) out[r * S + s] /= sum == 0 ? Real(1) : sum;
    }
}

// The gradient of rows of scores, of that of their weights y: y (g - sum of g y).
extern "C" __global__ void softmax_slope(const Real *g, const Real *y, Real *out, long long rows,
                                         long long S) {
    const int lane = threadIdx.x % 32;
    EACH_OF_A_WARP(r, rows) {
        Real sum = 0;
        for (long long s = lane; s < S; s += 32) sum += g[r * S + s] * y[r * S + s];
        sum = warp_sum(sum);
        for (long long s = lane; s < S; s += 32)
            out[r * S + s] = y[r * S + s] * (g[r * S + s] - sum);
    }
}
