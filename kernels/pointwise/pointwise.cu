// Functions of every element, one pass each. x and out may be the same array.
//
// exp, tanh and the division are CUDA's accurate ones: within 2 units in the last place, NaN kept,
// infinities right. The slopes have NumPy's bits, so nothing in them may become a fused operation.

__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }
__device__ inline double times(double a, double b) { return __dmul_rn(a, b); }

#define OF_ONE(name, expression)                                                  \
    extern "C" __global__ void name(const Real *xs, Real *out, long long count) { \
        EACH(i, count) {                                                          \
            const Real x = xs[i];                                                 \
            out[i] = expression;                                                  \
        }                                                                         \
    }

#define OF_TWO(name, expression)                                                                  \
    extern "C" __global__ void name(const Real *gs, const Real *ys, Real *out, long long count) { \
        EACH(i, count) {                                                                          \
            const Real g = gs[i], y = ys[i];                                                      \
            out[i] = expression;                                                                  \
        }                                                                                         \
    }

OF_ONE(exp_all, exp(x))
OF_ONE(tanh_all, tanh(x))
OF_ONE(sigmoid_all, Real(1) / (Real(1) + exp(-x)))  // where exp overflows the quotient is 0
OF_ONE(rectify_all, x <= Real(0) ? Real(0) : x)
OF_TWO(tanh_slope_all, times(g, Real(1) - times(y, y)))
OF_TWO(sigmoid_slope_all, times(times(g, y), Real(1) - y))
OF_TWO(rectify_slope_all, y <= Real(0) ? Real(0) : g)
