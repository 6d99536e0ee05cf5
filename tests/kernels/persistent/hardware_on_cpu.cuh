// hardware.cuh for the CPU: a cluster is one block, of which every THREADS threads are a block of
// the cluster with a part of the shared memory of their own; tests launch it so. The maps of matrix
// instructions are those of the PTX manual, "Matrix fragments", written here anew.
//
// Messages arrive in any order: at once, or from a queue while all threads wait. DELIVERY tells how
// many of 4 arrive at once; LOSE is the number of one that never does.

#define CLUSTERED
#define BOUND CLUSTER * THREADS
#define INLINE inline
#ifndef PATIENCE_HERE
#define PATIENCE_HERE 100000
#endif
#ifndef DELIVERY
#define DELIVERY 2
#endif

// ----- where a thread stands -----

inline int rank_in_cluster() { return threadIdx.x / THREADS; }
inline int thread_in_block() { return threadIdx.x % THREADS; }
inline long long tile_in_grid() { return blockIdx.x; }
inline unsigned char* shared_of(int rank) { return cuda_on_cpu_shared + rank * SHARED_BYTES; }
inline unsigned char* shared_of_block() { return shared_of(rank_in_cluster()); }

inline float fast_exp(float x) { return expf(x); }
inline float fast_quotient(float a, float b) { return a / b; }

// ----- matrix instructions: C (16 x 8) += A (16 x K) B (K x 8), spread over a warp -----

#if ELEMENT_BYTES == 2
typedef unsigned short Element;
inline Element rounded(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
inline float first_of(unsigned word) { return __uint_as_float(word << 16); }
inline float second_of(unsigned word) { return __uint_as_float(word & 0xffff0000u); }
#else
typedef unsigned Element;
inline Element rounded(float x) {
    unsigned bits = __float_as_uint(x);
    return x != x ? 0x7fffffff : (bits + 0x1000) & ~0x1fffu;
}
#endif

inline float number(unsigned word) { return __uint_as_float(word); }

inline void multiply(float (&sum)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                     unsigned b0, unsigned b1) {
    const int lane = threadIdx.x % 32, group = lane >> 2, within = lane & 3;
    float all[4] = {sum[0], sum[1], sum[2], sum[3]};
    for (int other = 0; other < 4; ++other) {  // lanes that hold other k of the same rows
        // A: registers 0 and 2 are of row lane / 4, 1 and 3 of that and 8; 2 and 3 are of the
        // upper half of k. B: column lane / 4; register 1 is of the upper half.
        const unsigned row[4] = {
            __shfl_sync(~0u, a0, group * 4 + other), __shfl_sync(~0u, a1, group * 4 + other),
            __shfl_sync(~0u, a2, group * 4 + other), __shfl_sync(~0u, a3, group * 4 + other)};
        for (int column = 0; column < 2; ++column) {  // C: columns 2 (lane % 4) and the next
            const int from = (within * 2 + column) * 4 + other;
            const unsigned low = __shfl_sync(~0u, b0, from), high = __shfl_sync(~0u, b1, from);
            for (int half = 0; half < 2; ++half) {
                float& c = all[half * 2 + column];
#if ELEMENT_BYTES == 2
                c += first_of(row[half]) * first_of(low) + second_of(row[half]) * second_of(low);
                c += first_of(row[2 + half]) * first_of(high) + second_of(row[2 + half]) * second_of(high);
#else
                c += number(row[half]) * number(low) + number(row[2 + half]) * number(high);
#endif
            }
        }
    }
    for (int i = 0; i < 4; ++i) sum[i] = all[i];
}

// ----- waiting: all threads that cannot go on meet in one place -----

struct Message {
    uint4 words;
    unsigned char* place;
    unsigned long long* barrier;
};
__shared__ Message messages[1 << 14];
__shared__ unsigned waiting_messages;  // shared memory begins full of ones: one is to be added
__shared__ unsigned chance;
__shared__ unsigned sent_messages;

inline unsigned random_number() {
    chance = chance * 1664525u + 1013904223u;
    return chance >> 8;
}

inline void arrive(int number);

__shared__ unsigned come[16][17];  // threads of a rank that have come to a barrier; one is to be added
__shared__ unsigned idled[1024], last_idle, come_then;

// All threads do this equally often, so that all know who had come to the cluster's barrier when
// they were let go.
inline void idle() {
    __syncthreads();
    if (++idled[threadIdx.x] == last_idle + 1) {
        ++last_idle;
        come_then = come[0][16];
    }
    if (threadIdx.x == 0) {
        const unsigned count = waiting_messages + 1;
        for (unsigned n = count ? random_number() % (count / 2 + 1) + 1 : 0; n > 0; --n)
            arrive(random_number() % (waiting_messages + 1));
    }
}

inline void wait_until_all(bool (*passed)(unsigned, unsigned, unsigned long long*), unsigned a, unsigned b,
                           unsigned long long* c) {
    while (!__all_sync(~0u, passed(a, b, c))) idle();
}

inline bool all_came(unsigned at, unsigned wanted, unsigned long long*) {
    return come[at / 17][at % 17] + 1 >= wanted;
}

inline void meet_at(int rank, int number, unsigned threads) {
    __syncwarp();
    const unsigned before = ++come[rank][number];  // one less than have come
    wait_until_all(all_came, rank * 17 + number, (before / threads + 1) * threads, nullptr);
}

inline void warps_meet(int number, int threads) { meet_at(rank_in_cluster(), number, threads); }
inline void block_meet() { meet_at(rank_in_cluster(), 0, THREADS); }
inline void cluster_meet() {
    const unsigned threads = THREADS * CLUSTER, before = ++come[0][16];
    do idle();
    while (come_then + 1 < (before / threads + 1) * threads);
}

// ----- barriers that count bytes: phases that have passed, arrivals and bytes that are due -----

struct Barrier {
    int bytes;
    short arrivals;
    unsigned short phase;
};
inline Barrier& barrier_at(unsigned long long* place) { return *reinterpret_cast<Barrier*>(place); }

inline void barrier_check(Barrier& barrier) {
    if (barrier.arrivals || barrier.bytes) return;
    ++barrier.phase;
    barrier.arrivals = 1;
}

inline void barrier_make(unsigned long long* place) { barrier_at(place) = {0, 1, 0}; }
inline void barriers_made() {}
inline void barrier_arm(unsigned long long* place, unsigned bytes) {
    Barrier& barrier = barrier_at(place);
    if (barrier.arrivals != 1) cuda_on_cpu_fail("", 0, "a barrier is armed twice in a phase");
    barrier.bytes += bytes;
    --barrier.arrivals;
    barrier_check(barrier);
}

inline bool barrier_wait(unsigned long long* place, unsigned parity) {
    for (int patience = 0; patience < PATIENCE_HERE; ++patience) {
        if (__all_sync(~0u, (barrier_at(place).phase & 1) != parity)) return true;
        idle();
    }
    return false;
}

inline void arrive(int number) {
    Message& message = messages[number];
    *reinterpret_cast<uint4*>(message.place) = message.words;
    Barrier& barrier = barrier_at(message.barrier);
    barrier.bytes -= 16;
    barrier_check(barrier);
    message = messages[waiting_messages--];  // the last one takes its place
}

inline int shared_of(int rank, const unsigned char*) { return rank; }

inline void send(int rank, int at, uint4 words, int told) {
#ifdef LOSE
    if (++sent_messages == LOSE) return;
#endif
    const int number = ++waiting_messages;
    messages[number] = {words, shared_of(rank) + at, reinterpret_cast<unsigned long long*>(shared_of(rank) + told)};
    if (number + 1 == sizeof messages / sizeof *messages) cuda_on_cpu_fail("", 0, "the queue is full");
    if (random_number() % 4 < DELIVERY) arrive(number);
}
