// order (N) are the places of rows, sorted by their ids, those of one id as they stand in rows.
// The thread at the first place of an id adds up one column of all its rows, one after the other:
// the chain of additions is that of the definition.

extern "C" __global__ void add_rows(Real *total, const long long *ids, const long long *order,
                                    const Real *rows, long long count, long long width) {
    EACH(i, count * width) {
        long long place = i / width;
        const long long column = i % width, id = ids[order[place]];
        if (place == 0 || ids[order[place - 1]] != id) {
            Real sum = total[id * width + column];
            // Four at once where the fourth is of this id, as those between then are: loads wait
            // for nothing but each other's start, and some ids have a tenth of all rows.
            for (; place + 3 < count && ids[order[place + 3]] == id; place += 4) {
                const Real a = rows[order[place] * width + column];
                const Real b = rows[order[place + 1] * width + column];
                const Real c = rows[order[place + 2] * width + column];
                const Real d = rows[order[place + 3] * width + column];
                sum = (((sum + a) + b) + c) + d;
            }
            for (; place < count && ids[order[place]] == id; place++)
                sum += rows[order[place] * width + column];
            total[id * width + column] = sum;
        }
    }
}
