// Numbers by counting, of words as _threefry.cuh has them.

// out (T, B, width): a number for each step, row and unit. A thread makes PARTS of one row, so
// that the key of the step, a Threefry of its own, is made once for these.
constexpr int PARTS = 4;

extern "C" __global__ void uniform(unsigned key_low, unsigned key_high, unsigned site,
                                   const unsigned *steps, const unsigned *rows, Real *out,
                                   long long places, long long batch, long long width) {
    const long long stride = (width + PARTS - 1) / PARTS;  // between the units of one thread
    EACH(i, places * stride) {
        const long long place = i / stride;
        const Words key = threefry({key_low, key_high}, {site, steps[place / batch]});
        const unsigned row = rows[place % batch];
        for (long long unit = i % stride; unit < width; unit += stride) {
            out[place * width + unit] = uniform_of(threefry(key, {(unsigned)unit, row}));
        }
    }
}
