// Threefry-2x32 with 20 rounds, as reference.py has it, in words of 32 bits that wrap by themselves.

struct Words {
    unsigned a, b;
};

__device__ inline unsigned rotated(unsigned word, int places) {
    return (word << places) | (word >> (32 - places));
}

__device__ inline Words threefry(Words key, Words counter) {
    const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const unsigned keys[3] = {key.a, key.b, key.a ^ key.b ^ 0x1BD11BDAu};
    unsigned a = counter.a + key.a, b = counter.b + key.b;
#pragma unroll
    for (int r = 0; r < 20; r++) {
        a += b;
        b = rotated(b, rotations[r % 8]) ^ a;
        if (r % 4 == 3) {
            const unsigned turn = r / 4 + 1;
            a += keys[turn % 3];
            b += keys[(turn + 1) % 3] + turn;
        }
    }
    return {a, b};
}

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
            const Words words = threefry(key, {(unsigned)unit, row});
            out[place * width + unit] = Real(words.a >> 8) * Real(5.9604644775390625e-8);  // 2^-24
        }
    }
}
