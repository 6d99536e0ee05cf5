// Where the rows of a step stand, as schedule.py has them: at step t the first count(t) rows of the
// batch take part, and their rows are neighbours. In the order in which steps are done, which is
// backwards in time where ``reverse``, rows only ever end.

#ifndef INLINE
#define INLINE __device__ __forceinline__
#endif

struct Steps {
    const long long* offsets;  // (T + 1) where PACKED: the first row of each step, and the end
    long long count, rows;
    bool reverse;

    INLINE long long time_of(long long step) const { return reverse ? count - 1 - step : step; }

    INLINE long long first(long long time) const { return PACKED ? offsets[time] : time * rows; }
    INLINE long long rows_at(long long time) const {
        return PACKED ? offsets[time + 1] - offsets[time] : rows;
    }

    // The row of the states before a step; after it; and after a row's last one. States stand in
    // the order of time too, one step more.
    INLINE long long before(long long time, long long row) const {
        return first(time) + row + (reverse ? rows : 0);
    }
    INLINE long long after(long long time, long long row) const {
        if (!PACKED) return (reverse ? time : time + 1) * rows + row;
        const long long next = reverse ? time - 1 : time + 1;
        const bool goes_on = next >= 0 && next < count && row < rows_at(next);
        return goes_on ? before(next, row) : ended(row);
    }
    INLINE long long ended(long long row) const { return (reverse ? 0 : first(count)) + row; }

    // How many steps there are before all rows from one on have ended.
    INLINE long long of_rows_from(long long row) const {
        if (!PACKED) return count;
        long long some = 0, none = count;
        while (some < none) {
            const long long middle = (some + none) / 2;
            if (rows_at(time_of(middle)) > row) some = middle + 1;
            else none = middle;
        }
        return some;
    }
};
