// What every CUDA source begins with: put before its text, so no include paths are needed.
// NVRTC compiles it for a GPU; tests compile it for a CPU, with CUDA_ON_CPU defined.
//
// Real is float or double, by -DReal=... . Indices are long long. Sums have one order, whatever
// else runs, and all threads of a block reach every barrier: nothing returns before one.

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

#ifndef CUDA_ON_CPU
// The dynamic shared memory of a block, as an array of T.
#define SHARED_MEMORY(T, name)                                  \
    extern __shared__ __align__(16) unsigned char _dynamic_shared[]; \
    T* const name = reinterpret_cast<T*>(_dynamic_shared)
#endif

// All i below count, shared among all threads of a grid of one dimension.
#define EACH(i, count)                                                                   \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (count); \
         i += gridDim.x * (long long)blockDim.x)

// All i below count, shared among the threads of a block of one dimension.
#define EACH_IN_BLOCK(i, count) for (long long i = threadIdx.x; i < (count); i += blockDim.x)

// All i below count, shared among all warps of a grid of one dimension.
#define EACH_OF_A_WARP(i, count)                                                                \
    for (long long i = (blockIdx.x * (long long)blockDim.x + threadIdx.x) / 32; i < (count); \
         i += gridDim.x * (long long)blockDim.x / 32)

#define WHOLE_WARP 0xffffffffu

struct Plus {
    template <class T>
    static __device__ __forceinline__ T join(T a, T b) { return a + b; }
    template <class T>
    static __device__ __forceinline__ T start() { return T(0); }
};

struct Largest {  // passes NaN over
    template <class T>
    static __device__ __forceinline__ T join(T a, T b) { return b > a || a != a ? b : a; }
    template <class T>
    static __device__ __forceinline__ T start() { return -T(INFINITY); }
};

// Join the values of a warp; every lane gets the result.
template <class Join, class T>
__device__ __forceinline__ T warp_join(T value) {
    for (int apart = 16; apart > 0; apart /= 2)
        value = Join::join(value, __shfl_xor_sync(WHOLE_WARP, value, apart));
    return value;
}

// Join the values of a block of whole warps; every thread gets the result. The order is that of
// the threads in a warp, then that of the warps, so it depends on blockDim alone.
template <class Join, class T>
__device__ __forceinline__ T block_join(T value) {
    __shared__ T parts[32];
    value = warp_join<Join>(value);
    __syncthreads();  // whoever still reads what was joined before
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
    __syncthreads();
    value = threadIdx.x % 32 < blockDim.x / 32 ? parts[threadIdx.x % 32] : Join::template start<T>();
    return warp_join<Join>(value);
}

template <class T>
__device__ __forceinline__ T warp_sum(T value) { return warp_join<Plus>(value); }
template <class T>
__device__ __forceinline__ T warp_max(T value) { return warp_join<Largest>(value); }
template <class T>
__device__ __forceinline__ T block_sum(T value) { return block_join<Plus>(value); }
template <class T>
__device__ __forceinline__ T block_max(T value) { return block_join<Largest>(value); }
