// The cells, one place (a row of the batch, a unit) at a time: forward, and what backward does.
//
// x        the gates' part from the input, bias included      p   their part from the state
// kept     what forward leaves of the gates for backward      inner   for GRU: p[2] + b_h
// dz       gradient of x; that of p is the same but for GRU's last gate, where it is d_inner

#ifndef INLINE
#define INLINE __device__ __forceinline__
#endif

#ifdef FAST_MATH
INLINE Real sigmoid_of(Real x) { return fast_quotient(Real(1), Real(1) + fast_exp(-x)); }
INLINE Real tanh_of(Real x) {
    // Near 0 the quotient would lose what the difference of two near numbers loses.
    Real square = x * x;
    Real near = x * (Real(1) - square * (Real(1) / 3 - square * (Real(2) / 15)));
    Real far = Real(1) - fast_quotient(Real(2), Real(1) + fast_exp(Real(2) * x));
    return square < Real(0.01) ? near : far;
}
#else
INLINE Real sigmoid_of(Real x) { return Real(1) / (Real(1) + exp(-x)); }
INLINE Real tanh_of(Real x) { return tanh(x); }
#endif

#if defined(CELL_LSTM)  // gates i f g o

INLINE void advance(const Real (&x)[GATES], const Real (&p)[GATES], Real, Real& h, Real& c,
                    Real (&kept)[GATES], Real&) {
    kept[0] = sigmoid_of(x[0] + p[0]);
    kept[1] = sigmoid_of(x[1] + p[1]);
    kept[2] = tanh_of(x[2] + p[2]);
    kept[3] = sigmoid_of(x[3] + p[3]);
    c = kept[1] * c + kept[0] * kept[2];
    h = kept[3] * tanh_of(c);
}

INLINE void retreat(const Real (&kept)[GATES], Real, Real, Real c_before, Real c_after, Real dh,
                    Real& direct, Real& dc, Real (&dz)[GATES], Real&) {
    Real i = kept[0], f = kept[1], g = kept[2], o = kept[3];
    Real bent = tanh_of(c_after);
    dc += dh * o * (Real(1) - bent * bent);
    dz[0] = dc * g * i * (Real(1) - i);
    dz[1] = dc * c_before * f * (Real(1) - f);
    dz[2] = dc * i * (Real(1) - g * g);
    dz[3] = dh * bent * o * (Real(1) - o);
    dc *= f;
    direct = Real(0);
}

#elif defined(CELL_GRU)  // gates r z n, reset after

INLINE void advance(const Real (&x)[GATES], const Real (&p)[GATES], Real b_h, Real& h, Real&,
                    Real (&kept)[GATES], Real& inner) {
    kept[0] = sigmoid_of(x[0] + p[0]);
    kept[1] = sigmoid_of(x[1] + p[1]);
    inner = p[2] + b_h;
    kept[2] = tanh_of(x[2] + kept[0] * inner);
    h = (Real(1) - kept[1]) * kept[2] + kept[1] * h;
}

INLINE void retreat(const Real (&kept)[GATES], Real inner, Real h_before, Real, Real, Real dh,
                    Real& direct, Real&, Real (&dz)[GATES], Real& d_inner) {
    Real r = kept[0], z = kept[1], n = kept[2];
    dz[2] = dh * (Real(1) - z) * (Real(1) - n * n);
    dz[1] = dh * (h_before - n) * z * (Real(1) - z);
    dz[0] = dz[2] * inner * r * (Real(1) - r);
    d_inner = dz[2] * r;
    direct = dh * z;
}

#else  // one gate: tanh or relu of the sum

INLINE void advance(const Real (&x)[GATES], const Real (&p)[GATES], Real, Real& h, Real&,
                    Real (&kept)[GATES], Real&) {
#ifdef CELL_RELU
    Real sum = x[0] + p[0];
    h = sum < Real(0) ? Real(0) : sum;  // NaN stays
#else
    h = tanh_of(x[0] + p[0]);
#endif
    kept[0] = h;
}

INLINE void retreat(const Real (&kept)[GATES], Real, Real, Real, Real, Real dh, Real& direct, Real&,
                    Real (&dz)[GATES], Real&) {
#ifdef CELL_RELU
    dz[0] = kept[0] > Real(0) ? dh : Real(0);
#else
    dz[0] = dh * (Real(1) - kept[0] * kept[0]);
#endif
    direct = Real(0);
}

#endif
