// Runs the threads of a CUDA kernel on one thread of the CPU: block by block, and in a block one
// thread after the other, each until it waits or returns.
//
// A thread runs on a fiber, a stack of its own, which it leaves only by waiting: those that meet no
// barrier all run on the same one. The warp that runs next is the first, the last, or a random one
// of those that can, and so are its threads; what a missing barrier breaks differs between them.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

struct Sizes { unsigned x, y, z; };

extern "C" {  // as cuda_on_cpu.h declares them
Sizes threadIdx, blockIdx, blockDim, gridDim;
unsigned char* cuda_on_cpu_shared;
}

namespace {

constexpr int MOST = 1024;             // threads of a block
constexpr size_t STACK = 256 << 10;    // of a fiber, only touched as far as it is used
constexpr size_t GUARD = 64 << 10;     // below it: no access

enum State { FRESH, READY, AT_WARP, AT_BLOCK, DONE };

struct Fiber {
    ucontext_t begin;
    void* stack_pointer;
    unsigned char* stack;
    bool begun;
};

struct Thread {
    State state;
    Fiber* fiber;
    int kind, from, line;
    unsigned mask;
    const char* file;
    unsigned long long bits;
};

Thread threads[MOST];
Fiber fibers[MOST];
Fiber host;
const void* host_stack;
size_t host_size;
Fiber* idle[MOST];
int idle_count, fiber_count;
int count, current;  // threads in the block; the one that runs

int queue[32], queue_length, queue_next;  // the threads of a warp that run in this turn
void (*body)(void**);
void** arguments;
char error[600];

int order;  // 0 ascending, 1 descending, 2 random
uint64_t random_state;
unsigned random_below(unsigned n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % n;
}

// ----- fibers -----

// Leave one stack for another: what a function has to keep is pushed, then the pointers swapped.
#if defined(__x86_64__)
extern "C" void cuda_on_cpu_swap(void** from, void* to);
asm(".text\n.globl cuda_on_cpu_swap\n.type cuda_on_cpu_swap, @function\ncuda_on_cpu_swap:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    ".size cuda_on_cpu_swap, . - cuda_on_cpu_swap\n"
    ".section .note.GNU-stack,\"\",@progbits\n.text\n");
#endif

void fiber_main();

void change(Fiber& from, Fiber& to) {
#if defined(__SANITIZE_ADDRESS__)
    void* fake;
    const bool home = &to == &host;
    __sanitizer_start_switch_fiber(&fake, home ? host_stack : to.stack, home ? host_size : STACK);
#endif
#if defined(__x86_64__)
    if (!to.begun && to.stack) {
        void** top = reinterpret_cast<void**>(to.stack + STACK) - 2;
        top[0] = reinterpret_cast<void*>(fiber_main);
        top[1] = nullptr;  // whoever it would return to
        to.stack_pointer = top - 6;
        to.begun = true;
    }
    cuda_on_cpu_swap(&from.stack_pointer, to.stack_pointer);
#else
    if (!to.begun && to.stack) {
        getcontext(&to.begin);
        to.begin.uc_stack.ss_sp = to.stack;
        to.begin.uc_stack.ss_size = STACK;
        makecontext(&to.begin, fiber_main, 0);
        to.begun = true;
    }
    swapcontext(&from.begin, &to.begin);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void to_host() { change(*threads[current].fiber, host); }

void enter(int thread) {
    current = thread;
    unsigned i = thread;
    threadIdx.x = i % blockDim.x;
    threadIdx.y = i / blockDim.x % blockDim.y;
    threadIdx.z = i / (blockDim.x * blockDim.y);
}

// What a fiber does: threads that have not begun, one after the other, while the turn has some.
void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &host_stack, &host_size);
#endif
    for (;;) {
        Fiber* self = threads[current].fiber;
        body(arguments);
        threads[current].state = DONE;
        if (queue_next < queue_length && threads[queue[queue_next]].state == FRESH) {
            enter(queue[queue_next++]);
            threads[current].fiber = self;
            continue;
        }
        idle[idle_count++] = self;
        change(*self, host);
    }
}

Fiber* new_fiber() {
    if (idle_count) return idle[--idle_count];
    Fiber& made = fibers[fiber_count++];
    if (!made.stack) {
        void* memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) abort();
        mprotect(memory, GUARD, PROT_NONE);
        made.stack = static_cast<unsigned char*>(memory) + GUARD;
    }
    made.begun = false;
    return &made;
}

// Begin anew: threads that wait for ever have left things on their stacks.
void abandon_fibers() {
    for (int i = 0; i < fiber_count; ++i) {
#if defined(__SANITIZE_ADDRESS__)
        __asan_unpoison_memory_region(fibers[i].stack, STACK);
#endif
        fibers[i].begun = false;
    }
    idle_count = fiber_count = 0;
}

void run_queue() {
    for (queue_next = 0; queue_next < queue_length && !error[0];) {
        int thread = queue[queue_next++];
        enter(thread);
        if (threads[thread].state == FRESH) threads[thread].fiber = new_fiber();
        change(host, *threads[thread].fiber);
    }
}

// ----- meeting -----

const char* place(const Thread& t) {
    static char text[2][200];
    static int turn;
    char* out = text[turn ^= 1];
    const char* name = strrchr(t.file ? t.file : "", '/');
    name = name ? name + 1 : t.file;
    if (t.state == DONE) return "has returned";
    if (t.state == AT_WARP) snprintf(out, 200, "waits for lanes %08x of its warp at %s:%d", t.mask, name, t.line);
    else snprintf(out, 200, "waits for the block at %s:%d", name, t.line);
    return out;
}

void fail_of(int one, int other) {
    snprintf(error, sizeof(error),
             "threads part ways in block (%u, %u, %u): thread %d %s, and thread %d %s.",
             blockIdx.x, blockIdx.y, blockIdx.z, one, place(threads[one]), other, place(threads[other]));
}

// Let the lanes of one mask go on, if all have come.
bool release_mask(int first, int last, unsigned mask, int who) {
    const int kind = threads[who].kind;
    unsigned votes = 0;
    for (int lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        const int i = first + lane;
        if (i >= last) {
            snprintf(error, sizeof(error), "thread %d %s, but the block has only %d threads.", who,
                     place(threads[who]), count);
            return false;
        }
        const Thread& t = threads[i];
        if (t.state == FRESH || t.state == READY) return false;
        if (t.state != AT_WARP || t.mask != mask) return false;  // an error if nothing else can run
        if (t.kind != kind) { fail_of(who, i); return false; }
        if (t.bits & 1) votes |= 1u << lane;
    }
    unsigned long long brought[32];
    for (int lane = 0; lane < 32 && first + lane < last; ++lane) brought[lane] = threads[first + lane].bits;
    for (int lane = 0; lane < 32; ++lane) {
        if (!(mask >> lane & 1)) continue;
        Thread& t = threads[first + lane];
        if (kind == 0) {
            if (!(mask >> t.from & 1)) {
                snprintf(error, sizeof(error), "thread %d reads lane %d, which takes no part, where it %s.",
                         first + lane, t.from, place(t));
                return false;
            }
            t.bits = brought[t.from];
        } else {
            t.bits = votes;
        }
    }
    for (int lane = 0; lane < 32; ++lane)
        if (mask >> lane & 1) threads[first + lane].state = READY;
    return true;
}

void release_warp(int warp) {
    const int first = warp * 32, last = first + 32 < count ? first + 32 : count;
    for (int i = first; i < last && !error[0]; ++i) {
        if (threads[i].state != AT_WARP) continue;
        if (!(threads[i].mask >> (i - first) & 1)) {
            snprintf(error, sizeof(error), "thread %d %s, which do not hold its own.", i, place(threads[i]));
            return;
        }
        release_mask(first, last, threads[i].mask, i);
    }
}

// Let the block go on. Nothing else can run: whoever is not there never comes.
void release_block() {
    int first = -1, value = 0;
    for (int i = 0; i < count; ++i)
        if (threads[i].state != DONE) { first = i; break; }
    const Thread& like = threads[first];
    for (int i = 0; i < count; ++i) {
        const Thread& t = threads[i];
        if (t.state != like.state || t.kind != like.kind || t.line != like.line) {
            fail_of(first, i);
            return;
        }
        value += (int)t.bits;
    }
    if (like.state != AT_BLOCK) {  // all at the same place, each for lanes that never come
        fail_of(first, (first + 1) % count);
        return;
    }
    if (like.kind == 2) value = value > 0;
    if (like.kind == 3) value = value == count;
    for (int i = 0; i < count; ++i) {
        threads[i].bits = value;
        threads[i].state = READY;
    }
}

// ----- a block -----

bool can_run(int i) { return threads[i].state == FRESH || threads[i].state == READY; }

int next_warp() {
    int warps = (count + 31) / 32, found[MOST / 32], n = 0;
    for (int w = 0; w < warps; ++w) {
        const int last = w * 32 + 32 < count ? w * 32 + 32 : count;
        for (int i = w * 32; i < last; ++i)
            if (can_run(i)) { found[n++] = w; break; }
    }
    if (!n) return -1;
    return order == 0 ? found[0] : order == 1 ? found[n - 1] : found[random_below(n)];
}

void fill_queue(int warp) {
    const int first = warp * 32, last = first + 32 < count ? first + 32 : count;
    queue_length = 0;
    for (int i = first; i < last; ++i)
        if (can_run(i)) queue[queue_length++] = i;
    for (int i = 0; i < queue_length; ++i) {
        int other = order == 0 ? i : order == 1 ? queue_length - 1 - i : i + random_below(queue_length - i);
        if (order == 1 && other <= i) break;
        int kept = queue[i];
        queue[i] = queue[other];
        queue[other] = kept;
    }
}

__attribute__((no_sanitize("address"))) void fill_with_garbage(volatile unsigned char* begin, const unsigned char* end) {
    for (; begin < end; ++begin) *begin = 0xff;  // NaN, and -1
}

void run_block(unsigned char* fixed, const unsigned char* fixed_end, size_t shared) {
    fill_with_garbage(fixed, fixed_end);
    memset(cuda_on_cpu_shared, 0xff, shared);
    for (int i = 0; i < count; ++i) threads[i].state = FRESH;
    while (!error[0]) {
        const int warp = next_warp();
        if (warp >= 0) {
            fill_queue(warp);
            run_queue();
            if (!error[0]) release_warp(warp);
            continue;
        }
        bool all = true;
        for (int i = 0; i < count; ++i) all = all && threads[i].state == DONE;
        if (all) return;
        release_block();
    }
}

}  // namespace

extern "C" {

void cuda_on_cpu_fail(const char*, int, const char* text) {
    snprintf(error, sizeof(error), "thread %d of block (%u, %u, %u): %s.", current, blockIdx.x, blockIdx.y,
             blockIdx.z, text);
    to_host();
}

unsigned long long cuda_on_cpu_warp(int kind, unsigned mask, unsigned long long bits, int from,
                                    const char* file, int line) {
    const int self = current;
    Thread& t = threads[self];
    t.state = AT_WARP;
    t.kind = kind, t.mask = mask, t.bits = bits, t.from = from, t.file = file, t.line = line;
    to_host();
    return threads[self].bits;
}

int cuda_on_cpu_block(int kind, int value, const char* file, int line) {
    const int self = current;
    Thread& t = threads[self];
    t.state = AT_BLOCK;
    t.kind = kind, t.bits = value, t.file = file, t.line = line;
    to_host();
    return (int)threads[self].bits;
}

// Run a grid; return what went wrong, or null.
const char* cuda_on_cpu_launch(void (*kernel)(void**), void** args, const unsigned* grid,
                               const unsigned* block, size_t shared, unsigned char* fixed,
                               const unsigned char* fixed_end, int order_of_threads, uint64_t seed,
                               int flush) {
    body = kernel, arguments = args, error[0] = 0;
    order = order_of_threads, random_state = seed * 2 + 88172645463325252ull;
    for (int i = 0; i < 20; ++i) random_below(2);
    gridDim.x = grid[0], gridDim.y = grid[1], gridDim.z = grid[2];
    blockDim.x = block[0], blockDim.y = block[1], blockDim.z = block[2];
    count = block[0] * block[1] * block[2];
    void* memory = nullptr;
    if (posix_memalign(&memory, 128, shared ? shared : 1)) return "out of memory";
    cuda_on_cpu_shared = static_cast<unsigned char*>(memory);
#if defined(__SSE2__)
    const unsigned mode = _mm_getcsr();
    if (flush) _mm_setcsr(mode | 0x8040);  // numbers under 1e-38 are zeros
#endif
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    // A random order of blocks steps through them by a number that shares no factor with theirs.
    uint64_t step = 1, at = 0;
    if (order == 2) {
        at = random_below(1u << 20) % blocks;
        for (step = random_below(1u << 20) % blocks | 1;; step += 2) {
            uint64_t a = step, b = blocks;
            while (b) { uint64_t rest = a % b; a = b; b = rest; }
            if (a == 1) break;
        }
    }
    for (uint64_t n = 0; n < blocks && !error[0]; ++n, at = (at + step) % blocks) {
        const uint64_t number = order == 1 ? blocks - 1 - n : at;
        blockIdx.x = number % grid[0], blockIdx.y = number / grid[0] % grid[1];
        blockIdx.z = number / ((uint64_t)grid[0] * grid[1]);
        run_block(fixed, fixed_end, shared);
    }
#if defined(__SSE2__)
    _mm_setcsr(mode);
#endif
    free(memory);
    if (error[0]) abandon_fibers();
    return error[0] ? error : nullptr;
}

}  // extern "C"
