// What written kernels of recurrences consist of: operations on one number, rows in memory,
// random numbers by counting. In a namespace, so that none is taken for one of C++'s own: a kernel
// says USING_OPERATIONS.

#define USING_OPERATIONS                                                                        \
    using row::absolute, row::add, row::add_to, row::both, row::cos, row::div, row::eq;         \
    using row::exp, row::expm1, row::fma, row::ge, row::gt, row::le, row::log, row::log1p;      \
    using row::lt, row::maximum, row::minimum, row::mul, row::neg, row::power, row::sigmoid;    \
    using row::sign, row::sin, row::size, row::sqrt, row::step_key, row::store, row::sub;       \
    using row::tanh, row::uniform, row::where;

namespace row {

constexpr long long size = sizeof(Real);

// ----- rows: addresses are in bytes, as on the CPU; a vector there is one number here -----

#define address(array) ((char*)(array))
#define load(like, place, n) (*(const Real*)(place))
#define fill(like, number) Real(number)
#define has(flags, place, wanted) (flags && (flags[place] & (wanted)) != 0)
#define inf INFINITY
#define nan NAN

__device__ inline void store(char* place, Real value) { *(Real*)place = value; }
__device__ inline void add_to(char* place, Real value) { *(Real*)place += value; }

// ----- operations; comparisons with NaN are false -----

__device__ inline Real add(Real a, Real b) { return a + b; }
__device__ inline Real sub(Real a, Real b) { return a - b; }
__device__ inline Real mul(Real a, Real b) { return a * b; }
__device__ inline Real div(Real a, Real b) { return a / b; }
__device__ inline Real neg(Real a) { return -a; }
__device__ inline bool gt(Real a, Real b) { return a > b; }
__device__ inline bool ge(Real a, Real b) { return a >= b; }
__device__ inline bool lt(Real a, Real b) { return a < b; }
__device__ inline bool le(Real a, Real b) { return a <= b; }
__device__ inline bool eq(Real a, Real b) { return a == b; }
__device__ inline bool both(bool a, bool b) { return a && b; }
__device__ inline Real where(bool which, Real a, Real b) { return which ? a : b; }
__device__ inline Real maximum(Real a, Real b) { return a >= b || a != a ? a : b; }
__device__ inline Real minimum(Real a, Real b) { return a <= b || a != a ? a : b; }
__device__ inline Real sign(Real a) { return a > 0 ? Real(1) : a < 0 ? Real(-1) : a; }

#define IN_BOTH_TYPES(name)                                        \
    __device__ inline float name(float a) { return ::name##f(a); } \
    __device__ inline double name(double a) { return ::name(a); }
IN_BOTH_TYPES(sqrt)
IN_BOTH_TYPES(exp)
IN_BOTH_TYPES(expm1)
IN_BOTH_TYPES(log)
IN_BOTH_TYPES(log1p)
IN_BOTH_TYPES(sin)
IN_BOTH_TYPES(cos)
IN_BOTH_TYPES(tanh)
#undef IN_BOTH_TYPES
__device__ inline float absolute(float a) { return ::fabsf(a); }
__device__ inline double absolute(double a) { return ::fabs(a); }
__device__ inline float power(float a, float b) { return ::powf(a, b); }
__device__ inline double power(double a, double b) { return ::pow(a, b); }
__device__ inline float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
__device__ inline double fma(double a, double b, double c) { return ::fma(a, b, c); }
__device__ inline Real sigmoid(Real a) { return Real(1) / (Real(1) + exp(-a)); }

// ----- random numbers, of the words in _threefry.cuh -----

__device__ inline Words words_of(long long key) {
    return {(unsigned)key, (unsigned)((unsigned long long)key >> 32)};
}

__device__ inline long long step_key(long long key, long long site, long long step) {
    const Words words = threefry(words_of(key), {(unsigned)site, (unsigned)step});
    return (long long)(words.low | ((unsigned long long)words.high << 32));
}

// A number from [0, 1) for a unit of a row.
__device__ inline Real uniform(long long key, long long of, long long unit) {
    return uniform_of(threefry(words_of(key), {(unsigned)unit, (unsigned)of}));
}
#define noise(like, key, row, unit) uniform(key, row, unit)

}  // namespace row
