// Random numbers by counting: Threefry-2x32 with 20 rounds, as noise/reference.py has it, in words
// of 32 bits that wrap by themselves.

struct Words {
    unsigned low, high;
};

__device__ inline unsigned rotated(unsigned word, int places) {
    return (word << places) | (word >> (32 - places));
}

__device__ inline Words threefry(Words key, Words counter) {
    const int rotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
    const unsigned keys[3] = {key.low, key.high, key.low ^ key.high ^ 0x1BD11BDAu};
    unsigned a = counter.low + key.low, b = counter.high + key.high;
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

// A number from [0, 1) of the upper 24 bits: exact in either type.
__device__ inline Real uniform_of(Words words) {
    return Real(words.low >> 8) * Real(5.9604644775390625e-8);  // 2^-24
}
