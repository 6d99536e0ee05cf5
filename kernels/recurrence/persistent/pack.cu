// Weights in the order in which threads load them. place[i] says where word i's element stands in
// the matrix (rows, columns), -1 for none; a word holds one tf32 or, of two, bf16.

extern "C" __global__ void pack(const float* weight, const int* place, Element* out, long long count) {
    EACH(i, count) {
        const int from = place[i];
        out[i] = rounded(from < 0 ? 0.0f : weight[from]);
    }
}
