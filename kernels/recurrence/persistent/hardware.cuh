// What the persistent kernels ask of the hardware, in one place: matrix tiles, rounding, barriers
// and messages between the blocks of a cluster. On a CPU, tests put their own functions here.
#ifndef CUDA_ON_CPU

#define INLINE __device__ __forceinline__
#define BOUND THREADS
#if CLUSTER > 1
#define CLUSTERED __cluster_dims__(CLUSTER, 1, 1)
#else
#define CLUSTERED
#endif

INLINE int thread_in_block() { return threadIdx.x; }
INLINE int rank_in_cluster() {
    int rank = 0;
#if CLUSTER > 1
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
#endif
    return rank;
}
INLINE long long tile_in_grid() { return blockIdx.x / CLUSTER; }
INLINE unsigned char* shared_of_block() {
    SHARED_MEMORY(unsigned char, shared);
    return shared;
}

// A place in shared memory as instructions name it.
INLINE unsigned place_of(const void* pointer) {
    return (unsigned)__cvta_generic_to_shared(pointer);
}

INLINE float fast_exp(float x) { return __expf(x); }
INLINE float fast_quotient(float a, float b) { return __fdividef(a, b); }

// ----- matrix tiles -----

#if ELEMENT_BYTES == 2
typedef unsigned short Element;

INLINE Element rounded(float x) {
    Element bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

// sum (16 x 8) += a (16 x 16) b (16 x 8)
INLINE void multiply(float (&sum)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                     unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
#else
typedef unsigned Element;

INLINE Element rounded(float x) {
    Element bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}

// sum (16 x 8) += a (16 x 8) b (8 x 8)
INLINE void multiply(float (&sum)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3,
                     unsigned b0, unsigned b1) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}
#endif

// ----- threads that meet -----

INLINE void block_meet() { __syncthreads(); }

// Some warps of a block, ``threads`` in all, at the barrier of a number from 1 to 15.
INLINE void warps_meet(int number, int threads) {
    asm volatile("bar.sync %0, %1;" : : "r"(number), "r"(threads) : "memory");
}

#if CLUSTER > 1

INLINE void cluster_meet() {
    asm volatile("barrier.cluster.arrive.release;" : : : "memory");
    asm volatile("barrier.cluster.wait.acquire;" : : : "memory");
}

// ----- messages -----
// A barrier's phase ends when the bytes that it was armed for have arrived.

INLINE void barrier_make(unsigned long long* barrier) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" : : "r"(place_of(barrier)) : "memory");
}

INLINE void barriers_made() { asm volatile("fence.mbarrier_init.release.cluster;" : : : "memory"); }

INLINE void barrier_arm(unsigned long long* barrier, unsigned bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
                 : : "r"(place_of(barrier)), "r"(bytes) : "memory");
}

INLINE bool barrier_passed(unsigned long long* barrier, unsigned parity) {
    unsigned passed;
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(passed) : "r"(place_of(barrier)), "r"(parity) : "memory");
    return passed != 0;
}

// Wait for the end of a phase, but not for ever; says whether it came.
INLINE bool barrier_wait(unsigned long long* barrier, unsigned parity) {
    if (barrier_passed(barrier, parity)) return true;
    unsigned long long begin, now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
    do {
        if (barrier_passed(barrier, parity)) return true;
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    } while (now - begin < PATIENCE);
    return false;
}

// The shared memory of another block, for ``send``.
INLINE unsigned shared_of(int rank, const unsigned char* own) {
    unsigned there;
    asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(place_of(own)), "r"(rank));
    return there;
}

// Write 16 bytes into it, ``at`` so many from its begin, and tell the barrier at ``told``.
INLINE void send(unsigned there, int at, uint4 words, int told) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 "
                 "[%0], {%1, %2, %3, %4}, [%5];"
                 : : "r"(there + at), "r"(words.x), "r"(words.y), "r"(words.z), "r"(words.w),
                     "r"(there + told)
                 : "memory");
}

#endif
#endif
