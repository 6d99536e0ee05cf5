// CUDA C++ as g++ sees it: what device code may use, for a thread that runs on the CPU.
// cuda_on_cpu.cpp runs the threads. Only names that NVRTC has too are here, and of those none
// that the library forbids itself: no atomics on floating-point numbers, no __activemask.
#pragma once

struct uint3 { unsigned x, y, z; };
struct dim3 : uint3 {};
typedef __SIZE_TYPE__ size_t;

extern "C" {
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
extern unsigned char* cuda_on_cpu_shared;
void cuda_on_cpu_fail(const char* file, int line, const char* text);
// Waits for all lanes in mask; returns the bits that lane "from" brings, or what "kind" makes.
unsigned long long cuda_on_cpu_warp(int kind, unsigned mask, unsigned long long bits, int from,
                                    const char* file, int line);
int cuda_on_cpu_block(int kind, int value, const char* file, int line);
}

#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("cuda_shared")))
#define SHARED_MEMORY(T, name) T* const name = reinterpret_cast<T*>(cuda_on_cpu_shared)
#define warpSize 32

// ----- threads that meet -----

#define CUDA_ON_CPU_HERE const char* file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(CUDA_ON_CPU_HERE) { cuda_on_cpu_block(0, 0, file, line); }
inline int __syncthreads_count(int x, CUDA_ON_CPU_HERE) { return cuda_on_cpu_block(1, x != 0, file, line); }
inline int __syncthreads_or(int x, CUDA_ON_CPU_HERE) { return cuda_on_cpu_block(2, x != 0, file, line); }
inline int __syncthreads_and(int x, CUDA_ON_CPU_HERE) { return cuda_on_cpu_block(3, x != 0, file, line); }
inline void __syncwarp(unsigned mask = ~0u, CUDA_ON_CPU_HERE) { cuda_on_cpu_warp(1, mask, 0, 0, file, line); }
inline unsigned __ballot_sync(unsigned mask, int x, CUDA_ON_CPU_HERE) {
    return cuda_on_cpu_warp(2, mask, x != 0, 0, file, line);
}
inline int __any_sync(unsigned mask, int x, CUDA_ON_CPU_HERE) { return __ballot_sync(mask, x, file, line) != 0; }
inline int __all_sync(unsigned mask, int x, CUDA_ON_CPU_HERE) { return __ballot_sync(mask, x, file, line) == mask; }
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __trap() { cuda_on_cpu_fail("", 0, "the kernel called __trap()"); }

template <class T>
inline T cuda_on_cpu_exchange(unsigned mask, T value, int from, const char* file, int line) {
    static_assert(sizeof(T) <= 8 && __is_trivially_copyable(T), "a shuffle moves up to 8 bytes");
    unsigned long long bits = 0;
    __builtin_memcpy(&bits, &value, sizeof(T));
    bits = cuda_on_cpu_warp(0, mask, bits, from, file, line);
    __builtin_memcpy(&value, &bits, sizeof(T));
    return value;
}
inline int cuda_on_cpu_lane() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) & 31;
}
template <class T>
inline T __shfl_sync(unsigned mask, T value, int from, int width = 32, CUDA_ON_CPU_HERE) {
    int lane = cuda_on_cpu_lane();
    return cuda_on_cpu_exchange(mask, value, (lane & -width) | (from & (width - 1)), file, line);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, CUDA_ON_CPU_HERE) {
    int lane = cuda_on_cpu_lane(), from = lane - (int)by;
    return cuda_on_cpu_exchange(mask, value, from < (lane & -width) ? lane : from, file, line);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, CUDA_ON_CPU_HERE) {
    int lane = cuda_on_cpu_lane(), from = lane + (int)by;
    return cuda_on_cpu_exchange(mask, value, from > (lane | (width - 1)) ? lane : from, file, line);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32, CUDA_ON_CPU_HERE) {
    int lane = cuda_on_cpu_lane(), from = lane ^ by;
    return cuda_on_cpu_exchange(mask, value, from > (lane | (width - 1)) ? lane : from, file, line);
}

// ----- atomics: threads take turns, so they are plain -----

#define CUDA_ON_CPU_ATOMICS(T)                                                                \
    inline T atomicAdd(T* p, T v) { T old = *p; *p = old + v; return old; }                   \
    inline T atomicExch(T* p, T v) { T old = *p; *p = v; return old; }                        \
    inline T atomicMax(T* p, T v) { T old = *p; if (v > old) *p = v; return old; }            \
    inline T atomicMin(T* p, T v) { T old = *p; if (v < old) *p = v; return old; }            \
    inline T atomicAnd(T* p, T v) { T old = *p; *p = old & v; return old; }                   \
    inline T atomicOr(T* p, T v) { T old = *p; *p = old | v; return old; }                    \
    inline T atomicCAS(T* p, T c, T v) { T old = *p; if (old == c) *p = v; return old; }
CUDA_ON_CPU_ATOMICS(int)
CUDA_ON_CPU_ATOMICS(unsigned)
CUDA_ON_CPU_ATOMICS(unsigned long long)
float atomicAdd(float*, float) = delete;  // sums have one order
double atomicAdd(double*, double) = delete;

// ----- numbers -----

template <class T>
inline T __ldg(const T* p) { return *p; }

#define CUDA_ON_CPU_UNARY(name)                                    \
    inline float name##f(float x) { return __builtin_##name##f(x); } \
    inline float name(float x) { return __builtin_##name##f(x); }    \
    inline double name(double x) { return __builtin_##name(x); }
CUDA_ON_CPU_UNARY(exp) CUDA_ON_CPU_UNARY(exp2) CUDA_ON_CPU_UNARY(expm1) CUDA_ON_CPU_UNARY(log)
CUDA_ON_CPU_UNARY(log2) CUDA_ON_CPU_UNARY(log10) CUDA_ON_CPU_UNARY(log1p) CUDA_ON_CPU_UNARY(sqrt)
CUDA_ON_CPU_UNARY(sin) CUDA_ON_CPU_UNARY(cos) CUDA_ON_CPU_UNARY(tan) CUDA_ON_CPU_UNARY(sinh)
CUDA_ON_CPU_UNARY(cosh) CUDA_ON_CPU_UNARY(tanh) CUDA_ON_CPU_UNARY(asin) CUDA_ON_CPU_UNARY(acos)
CUDA_ON_CPU_UNARY(atan) CUDA_ON_CPU_UNARY(erf) CUDA_ON_CPU_UNARY(erfc) CUDA_ON_CPU_UNARY(fabs)
CUDA_ON_CPU_UNARY(floor) CUDA_ON_CPU_UNARY(ceil) CUDA_ON_CPU_UNARY(trunc) CUDA_ON_CPU_UNARY(rint)
CUDA_ON_CPU_UNARY(round) CUDA_ON_CPU_UNARY(cbrt)

#define CUDA_ON_CPU_BINARY(name)                                                   \
    inline float name##f(float x, float y) { return __builtin_##name##f(x, y); }     \
    inline float name(float x, float y) { return __builtin_##name##f(x, y); }        \
    inline double name(double x, double y) { return __builtin_##name(x, y); }
CUDA_ON_CPU_BINARY(pow) CUDA_ON_CPU_BINARY(fmin) CUDA_ON_CPU_BINARY(fmax) CUDA_ON_CPU_BINARY(fmod)
CUDA_ON_CPU_BINARY(atan2) CUDA_ON_CPU_BINARY(copysign) CUDA_ON_CPU_BINARY(hypot)
inline float ldexpf(float x, int e) { return __builtin_ldexpf(x, e); }
inline float ldexp(float x, int e) { return __builtin_ldexpf(x, e); }
inline double ldexp(double x, int e) { return __builtin_ldexp(x, e); }
inline float fmaf(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline double fma(double x, double y, double z) { return __builtin_fma(x, y, z); }
inline float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
inline float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
inline float __expf(float x) { return __builtin_expf(x); }
inline float __logf(float x) { return __builtin_logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline bool isnan(float x) { return x != x; }
inline bool isnan(double x) { return x != x; }
inline bool isinf(float x) { return __builtin_isinf(x); }
inline bool isinf(double x) { return __builtin_isinf(x); }
inline bool isfinite(float x) { return __builtin_isfinite(x); }
inline bool isfinite(double x) { return __builtin_isfinite(x); }
inline bool signbit(float x) { return __builtin_signbit(x); }
inline bool signbit(double x) { return __builtin_signbit(x); }
// What is rounded once, whatever stands beside it; g++ is told to contract nothing.
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __ddiv_rn(double x, double y) { return x / y; }
inline double __dsqrt_rn(double x) { return __builtin_sqrt(x); }
inline double __fma_rn(double x, double y, double z) { return __builtin_fma(x, y, z); }
inline int __float2int_rn(float x) { return (int)__builtin_rintf(x); }
inline int __double2int_rn(double x) { return (int)__builtin_rint(x); }

#define CUDA_ON_CPU_ORDERED(T)                               \
    inline T min(T a, T b) { return b < a ? b : a; }         \
    inline T max(T a, T b) { return a < b ? b : a; }
CUDA_ON_CPU_ORDERED(int) CUDA_ON_CPU_ORDERED(unsigned) CUDA_ON_CPU_ORDERED(long)
CUDA_ON_CPU_ORDERED(unsigned long) CUDA_ON_CPU_ORDERED(long long)
CUDA_ON_CPU_ORDERED(unsigned long long)
inline float min(float a, float b) { return __builtin_fminf(a, b); }
inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
inline double min(double a, double b) { return __builtin_fmin(a, b); }
inline double max(double a, double b) { return __builtin_fmax(a, b); }
inline int abs(int x) { return x < 0 ? -x : x; }
inline long long abs(long long x) { return x < 0 ? -x : x; }
inline float abs(float x) { return __builtin_fabsf(x); }
inline double abs(double x) { return __builtin_fabs(x); }

#define CUDA_ON_CPU_BITS(name, From, To) \
    inline To name(From x) { To y; __builtin_memcpy(&y, &x, sizeof(y)); return y; }
CUDA_ON_CPU_BITS(__float_as_int, float, int) CUDA_ON_CPU_BITS(__int_as_float, int, float)
CUDA_ON_CPU_BITS(__float_as_uint, float, unsigned) CUDA_ON_CPU_BITS(__uint_as_float, unsigned, float)
CUDA_ON_CPU_BITS(__double_as_longlong, double, long long)
CUDA_ON_CPU_BITS(__longlong_as_double, long long, double)
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return ((unsigned long long)a * b) >> 32; }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return ((unsigned __int128)a * b) >> 64;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned by) {
    by &= 31;
    return by ? high << by | low >> (32 - by) : high;
}

#define CUDA_ON_CPU_VECTOR(T, name, size)                                      \
    struct __attribute__((aligned(2 * size))) name##2 { T x, y; };               \
    struct __attribute__((aligned(size < 8 ? 4 * size : 16))) name##4 { T x, y, z, w; }; \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                   \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
CUDA_ON_CPU_VECTOR(float, float, 4)
CUDA_ON_CPU_VECTOR(double, double, 8)
CUDA_ON_CPU_VECTOR(int, int, 4)
CUDA_ON_CPU_VECTOR(unsigned, uint, 4)

// ----- kernels, as Python calls them -----

// What a parameter is: a pointer is P, then its element; all by the characters of NumPy.
template <class T> struct cuda_on_cpu_kind { static constexpr char text[] = "X"; };
#define CUDA_ON_CPU_KIND(T, letter)                                                          \
    template <> struct cuda_on_cpu_kind<T> { static constexpr char text[] = letter; };         \
    template <> struct cuda_on_cpu_kind<T*> { static constexpr char text[] = "P" letter; };    \
    template <> struct cuda_on_cpu_kind<const T*> { static constexpr char text[] = "P" letter; };
CUDA_ON_CPU_KIND(bool, "?") CUDA_ON_CPU_KIND(signed char, "b") CUDA_ON_CPU_KIND(unsigned char, "B")
CUDA_ON_CPU_KIND(short, "h") CUDA_ON_CPU_KIND(unsigned short, "H") CUDA_ON_CPU_KIND(int, "i")
CUDA_ON_CPU_KIND(unsigned, "I") CUDA_ON_CPU_KIND(long long, "q")
CUDA_ON_CPU_KIND(unsigned long long, "Q") CUDA_ON_CPU_KIND(float, "f") CUDA_ON_CPU_KIND(double, "d")

template <class T> struct cuda_on_cpu_plain { typedef T type; };
template <class T> struct cuda_on_cpu_plain<const T> { typedef T type; };

template <int... I> struct cuda_on_cpu_indices {};
template <int N, int... I> struct cuda_on_cpu_count : cuda_on_cpu_count<N - 1, N - 1, I...> {};
template <int... I> struct cuda_on_cpu_count<0, I...> { typedef cuda_on_cpu_indices<I...> type; };

template <class... A, int... I>
inline void cuda_on_cpu_unpack(void (*kernel)(A...), void** args, cuda_on_cpu_indices<I...>) {
    kernel(*static_cast<A*>(args[I])...);
}
template <class... A>
inline void cuda_on_cpu_call(void (*kernel)(A...), void** args) {
    cuda_on_cpu_unpack(kernel, args, typename cuda_on_cpu_count<sizeof...(A)>::type());
}
template <class... A>
inline const char* const* cuda_on_cpu_parameters(void (*)(A...)) {
    static const char* const kinds[] = {
        cuda_on_cpu_kind<typename cuda_on_cpu_plain<A>::type>::text..., nullptr};
    return kinds;
}

extern "C" __attribute__((visibility("hidden"), weak)) unsigned char __start_cuda_shared[];
extern "C" __attribute__((visibility("hidden"), weak)) unsigned char __stop_cuda_shared[];
