// libcuda, libcublas and libnvrtc as far as dfdx and the runtime use them, on the CPU: so everything
// from the Rust code down to the text of the kernels runs and is tested on a machine without a GPU.
//
// - nvrtc compiles the text it is given with the host's C++ compiler (shim.hpp supplies what CUDA C++
//   has beyond C++). Modules that dfdx would have compiled by nvcc are compiled from its sources.
// - Kernels run block by block; the threads of a block are fibers that run to their next barrier. A
//   thread that reads what another one should have written before a missing barrier gets something
//   else when the order is changed (ksdsl_emulator_order).
// - Fresh memory is full of NaNs, ends at a page that cannot be touched, and is unmapped when freed.
// - Copies between host and device, launches and products are counted.
//
// It says nothing about speed, about memory models weaker than "one after the other", or about the
// numbers of the GPU's own exp and fma beyond rounding.

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> Guard;

const int INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700;

[[noreturn]] void fail(const std::string &message) {
    fprintf(stderr, "CUDA emulator: %s\n", message.c_str());
    abort();
}

// ---- memory ----

struct Allocation {
    char *base;
    size_t mapped, bytes;
};
std::map<uintptr_t, Allocation> allocations;
// 0: host to device, 1: device to host, 2: launches, 3: products, 4: bytes in use, 5: bytes host to device.
uint64_t counts[6];

int allocate(uint64_t *at, size_t bytes) {
    Guard guard(lock);
    const size_t page = 4096;
    size_t used = (bytes + 15) / 16 * 16, pages = std::max<size_t>((used + page - 1) / page, 1) * page;
    void *base = mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return OUT_OF_MEMORY;
    mprotect((char *)base + pages, page, PROT_NONE);
    char *start = (char *)base + pages - used;
    memset(base, 0xff, pages);
    allocations[(uintptr_t)start] = {(char *)base, pages + page, bytes};
    counts[4] += bytes;
    *at = (uint64_t)start;
    return 0;
}

int release(uint64_t at) {
    Guard guard(lock);
    auto found = allocations.find(at);
    if (found == allocations.end()) return at == 0 ? 0 : INVALID_VALUE;
    // The bytes after the end, up to the guarded page, must be as they were.
    size_t used = (found->second.bytes + 15) / 16 * 16;
    for (size_t i = found->second.bytes; i < used; i++)
        if (((unsigned char *)at)[i] != 0xff) fail("out-of-bounds write of a kernel");
    counts[4] -= found->second.bytes;
    munmap(found->second.base, found->second.mapped);
    allocations.erase(found);
    return 0;
}

// Whether [at, at + bytes) lies in one allocation.
bool inside(uint64_t at, size_t bytes) {
    auto next = allocations.upper_bound(at);
    if (next == allocations.begin()) return false;
    --next;
    return at + bytes <= next->first + next->second.bytes;
}

// ---- fibers ----

struct Index {
    unsigned x, y, z;
};
struct State {
    Index thread, block, block_dim, grid_dim;
    void (*wait_for_block)();
    uint64_t (*shuffle_xor)(uint64_t, int);
};

enum Waiting { READY, AT_BLOCK, AT_WARP, DONE };
const size_t STACK = 128 << 10;

#if defined(__x86_64__)
extern "C" void emulator_switch(void **save, void *load);
asm(R"(
.text
.globl emulator_switch
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
#endif

struct Fiber {
#if defined(__x86_64__)
    void *stack_pointer = nullptr;
#else
    ucontext_t context;
#endif
    char *stack = nullptr;
    Waiting waiting = DONE;
    Index thread;
    uint64_t slot = 0;
};

std::vector<Fiber> fibers;
Fiber main_fiber;
State state;
size_t current;
std::function<void()> body;

void switch_to(Fiber &from, Fiber &to) {
#if defined(__x86_64__)
    emulator_switch(&from.stack_pointer, to.stack_pointer);
#else
    swapcontext(&from.context, &to.context);
#endif
}

void enter() {
    body();
    fibers[current].waiting = DONE;
    switch_to(fibers[current], main_fiber);
    fail("a finished thread continued");
}

void start(Fiber &fiber) {
    if (!fiber.stack) fiber.stack = (char *)malloc(STACK);
    fiber.waiting = READY;
#if defined(__x86_64__)
    // Six registers, the address to return to, and one word so that the stack is aligned.
    void **top = (void **)((uintptr_t)(fiber.stack + STACK) & ~(uintptr_t)15);
    top[-1] = nullptr;
    top[-2] = (void *)enter;
    for (int i = 3; i <= 8; i++) top[-i] = nullptr;
    fiber.stack_pointer = top - 8;
#else
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, enter, 0);
#endif
}

void wait(Waiting waiting) {
    size_t self = current;
    fibers[self].waiting = waiting;
    switch_to(fibers[self], main_fiber);
}

void wait_for_block() { wait(AT_BLOCK); }

uint64_t shuffle_xor(uint64_t value, int mask) {
    size_t self = current, partner = self / 32 * 32 + ((self % 32) ^ mask);
    fibers[self].slot = value;
    wait(AT_WARP);
    uint64_t other = fibers[partner].slot;
    wait(AT_WARP);
    return other;
}

enum Order { FORWARD, REVERSE, MIXED };

Order chosen_order = FORWARD;

// Place i of n in the order; `round` changes the mixture.
size_t place(Order order, size_t i, size_t n, size_t round) {
    if (order == FORWARD) return i;
    if (order == REVERSE) return n - 1 - i;
    // Odd steps through a power of two that is at least n, beyond n skipped by the caller.
    size_t size = 1;
    while (size < n) size *= 2;
    return (i * (2 * (round % 7) + 5) + 3 * round + 1) & (size - 1);
}

// Lets the threads of a block run until all are done.
void run_block(size_t threads, Order order) {
    size_t size = 1;
    while (size < threads) size *= 2;
    for (size_t round = 0;; round++) {
        size_t places = order == MIXED ? size : threads;
        for (size_t i = 0; i < places; i++) {
            size_t at = place(order, i, threads, round);
            if (at >= threads || fibers[at].waiting != READY) continue;
            current = at;
            state.thread = fibers[at].thread;
            switch_to(main_fiber, fibers[at]);
        }
        bool alive = false, released = false;
        for (size_t warp = 0; warp < threads; warp += 32) {
            size_t end = std::min(warp + 32, threads), at_warp = 0, live = 0;
            for (size_t i = warp; i < end; i++) {
                live += fibers[i].waiting != DONE;
                at_warp += fibers[i].waiting == AT_WARP;
            }
            alive |= live > 0;
            if (at_warp == 0) continue;
            if (live != 32 || at_warp != 32) {
                if (at_warp == live) fail("a shuffle in a warp with finished threads");
                continue;
            }
            for (size_t i = warp; i < end; i++) fibers[i].waiting = READY;
            released = true;
        }
        if (!alive) return;
        if (released) continue;
        for (size_t i = 0; i < threads; i++) {
            if (fibers[i].waiting == AT_WARP) fail("some threads wait for a shuffle, others for a barrier");
            if (fibers[i].waiting == AT_BLOCK) fibers[i].waiting = READY;
        }
    }
}

// ---- modules ----

struct Module {
    void *library; // null: one that nvcc would have compiled
};
struct Function {
    void (*launch)(void **);
    State **state;
    std::string name;
};

std::string cache_folder() {
    const char *given = getenv("EMULATOR_CACHE");
    std::string folder = given ? given : EMULATOR_CACHE;
    mkdir(folder.c_str(), 0777);
    return folder;
}

std::string read_file(const std::string &path) {
    std::string text;
    if (FILE *file = fopen(path.c_str(), "r")) {
        char buffer[65536];
        for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;) text.append(buffer, n);
        fclose(file);
    }
    return text;
}

void write_file(const std::string &path, const std::string &text) {
    FILE *file = fopen(path.c_str(), "w");
    if (!file || fwrite(text.data(), 1, text.size(), file) != text.size()) fail("cannot write " + path);
    fclose(file);
}

uint64_t hash(const std::string &text) {
    uint64_t h = 0xcbf29ce484222325u;
    for (unsigned char c : text) h = (h ^ c) * 0x100000001b3u;
    return h;
}

std::string compiler() {
    const char *given = getenv("CXX");
    return given ? given : "c++";
}

// Compiles CUDA C++ to a library and gives its path, or an empty path and the compiler's messages.
std::string compile(const std::string &source, const std::vector<std::string> &includes, std::string &log) {
    std::string options = "-std=c++17 -w";
    for (auto &include : includes) options += " -I'" + include + "'";
    std::string shim = std::string(EMULATOR_FOLDER) + "/shim.hpp";
    char name[64];
    snprintf(name, sizeof name, "/k%016llx", (unsigned long long)hash(source + options + read_file(shim)));
    std::string stem = cache_folder() + name, library = stem + ".so";
    if (access(library.c_str(), R_OK) == 0) return library;
    // Tests of several processes may do the same at once.
    stem += "_" + std::to_string(getpid());
    write_file(stem + ".cu", source);
    auto run = [&](const std::string &command) {
        bool good = system((command + " 2> '" + stem + ".log'").c_str()) == 0;
        log = read_file(stem + ".log");
        return good;
    };
    if (!run(compiler() + " -E -P -x c++ " + options + " -include '" + shim + "' '" + stem + ".cu' -o '" + stem + ".ii'"))
        return "";
    std::string text = read_file(stem + ".ii"), calls;
    const std::string mark = "EMULATOR_KERNEL void ";
    for (size_t at = 0; (at = text.find(mark, at)) != std::string::npos;) {
        at += mark.size();
        size_t end = text.find_first_of("( \n", at);
        std::string kernel = text.substr(at, end - at);
        calls += "extern \"C\" void emulator_launch_" + kernel + "(void **args) { emulator_call(" + kernel + ", args); }\n";
    }
    write_file(stem + ".cpp", text + "\n" + calls);
    std::string native = "-O2 -fno-strict-aliasing";
#if defined(__x86_64__)
    native += " -march=native";
#endif
    if (!run(compiler() + " " + native + " -std=c++17 -w -shared -fPIC -DEMULATOR_KERNEL= '" + stem + ".cpp' -o '" + stem +
             ".so'"))
        return "";
    rename((stem + ".so").c_str(), library.c_str());
    for (const char *end : {".cu", ".ii", ".cpp", ".log"}) unlink((stem + end).c_str());
    return library;
}

void *load(const std::string &path) {
    void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) fail(dlerror());
    return library;
}

// dfdx's kernels by file, as they are requested.
std::vector<std::string> dfdx_files() {
    std::vector<std::string> files;
    std::string command = "find '" + std::string(DFDX_SOURCES) + "' -name '*.cu' | sort";
    FILE *pipe = popen(command.c_str(), "r");
    char line[4096];
    while (pipe && fgets(line, sizeof line, pipe)) files.push_back(std::string(line, strcspn(line, "\n")));
    if (pipe) pclose(pipe);
    return files;
}

void *dfdx_library(const std::string &kernel) {
    static std::map<std::string, void *> loaded;
    for (auto &file : dfdx_files()) {
        std::string source = read_file(file);
        if (source.find(kernel) == std::string::npos) continue;
        if (!loaded.count(file)) {
            std::string log, path = compile(source, {EMULATOR_FOLDER, std::string(DFDX_SOURCES) + "/tensor_ops/utilities"}, log);
            if (path.empty()) fail(file + "\n" + log);
            loaded[file] = load(path);
        }
        if (dlsym(loaded[file], ("emulator_launch_" + kernel).c_str())) return loaded[file];
    }
    // Those of the headers are in every module.
    for (auto &[file, library] : loaded)
        if (dlsym(library, ("emulator_launch_" + kernel).c_str())) return library;
    return nullptr;
}

// ---- products of matrices ----

// A factor as the matrix units read it: 10 bits behind the point for TF32, 7 for bfloat16.
float rounded(float value, int bits) {
    uint32_t word;
    memcpy(&word, &value, 4);
    uint32_t rest = 23 - bits, half = 1u << (rest - 1);
    if ((word & 0x7f800000) != 0x7f800000) word = (word + half - 1 + ((word >> rest) & 1)) & ~((1u << rest) - 1);
    memcpy(&value, &word, 4);
    return value;
}
double rounded(double value, int) { return value; }

// Columns first, as cuBLAS counts.
template <class T>
int gemm(int op_a, int op_b, int m, int n, int k, T alpha, const T *a, int lda, const T *b, int ldb, T beta, T *c,
         int ldc, int bits) {
    if (m < 0 || n < 0 || k < 0 || lda < std::max(1, op_a ? k : m) || ldb < std::max(1, op_b ? n : k) ||
        ldc < std::max(1, m))
        return 7; // CUBLAS_STATUS_INVALID_VALUE
    auto last = [](int ld, int rows, int columns) { return (size_t)ld * (columns - 1) + rows; };
    bool empty = m == 0 || n == 0;
    if (!empty && k > 0 &&
        (!inside((uint64_t)a, last(lda, op_a ? k : m, op_a ? m : k) * sizeof(T)) ||
         !inside((uint64_t)b, last(ldb, op_b ? n : k, op_b ? k : n) * sizeof(T))))
        return 14; // CUBLAS_STATUS_INTERNAL_ERROR: a factor is not within a buffer
    if (!empty && !inside((uint64_t)c, last(ldc, m, n) * sizeof(T))) return 14;
    // The first factor with its rows together, rounded once.
    std::vector<T> left((size_t)m * k);
    for (int p = 0; p < k; p++)
        for (int i = 0; i < m; i++) {
            T value = op_a ? a[(size_t)i * lda + p] : a[(size_t)p * lda + i];
            left[(size_t)p * m + i] = bits ? (T)rounded(value, bits) : value;
        }
    std::vector<T> sums(m);
    for (int j = 0; j < n; j++) {
        std::fill(sums.begin(), sums.end(), T(0));
        for (int p = 0; p < k; p++) {
            T factor = op_b ? b[(size_t)p * ldb + j] : b[(size_t)j * ldb + p];
            if (bits) factor = (T)rounded(factor, bits);
            const T *from = &left[(size_t)p * m];
            for (int i = 0; i < m; i++) sums[i] += from[i] * factor;
        }
        for (int i = 0; i < m; i++) {
            T &to = c[(size_t)j * ldc + i];
            to = beta == T(0) ? alpha * sums[i] : alpha * sums[i] + beta * to;
        }
    }
    return 0;
}

struct Program {
    std::string source, log, ptx;
};

} // namespace

extern "C" {

// The counts above, for tests.
void ksdsl_emulator_counts(uint64_t *to) {
    Guard guard(lock);
    memcpy(to, counts, sizeof counts);
}

// 0: threads and blocks from first to last, 1: from last to first, 2: threads mixed.
void ksdsl_emulator_order(int order) {
    Guard guard(lock);
    chosen_order = (Order)order;
}

int cuInit(unsigned) { return getenv("EMULATOR_NO_DRIVER") ? 100 : 0; }
int cuDeviceGetCount(int *count) {
    *count = getenv("EMULATOR_NO_GPU") ? 0 : 1;
    return 0;
}
int cuDeviceGet(int *device, int ordinal) {
    *device = ordinal;
    return ordinal == 0 ? 0 : INVALID_DEVICE;
}
int cuDeviceGetName(char *name, int len, int) {
    snprintf(name, len, "emulator");
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == 75 ? 8 : attribute == 115 ? 1 : 0;
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
    *bytes = (size_t)1 << 34;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
    *context = &state;
    return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void *) { return 0; }
int cuCtxGetCurrent(void **context) {
    *context = &state;
    return 0;
}
int cuDeviceGetDefaultMemPool(void **pool, int) {
    *pool = &allocations;
    return 0;
}
int cuMemPoolSetAttribute(void *, int attribute, void *value) {
    return attribute == 4 && *(uint64_t *)value == UINT64_MAX ? 0 : INVALID_VALUE;
}
int cuMemGetInfo_v2(size_t *available, size_t *total) {
    *available = *total = (size_t)1 << 34;
    return 0;
}
int cuStreamCreate(void **stream, unsigned) {
    *stream = malloc(1);
    return 0;
}
int cuStreamDestroy_v2(void *stream) {
    free(stream);
    return 0;
}
int cuStreamSynchronize(void *) { return 0; }
int cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
int cuEventCreate(void **event, unsigned) {
    *event = malloc(1);
    return 0;
}
int cuEventRecord(void *, void *) { return 0; }
int cuEventDestroy_v2(void *event) {
    free(event);
    return 0;
}
int cuEventElapsedTime(float *ms, void *, void *) {
    *ms = 0;
    return 0;
}
int cuGetErrorName(int, const char **name) {
    *name = "CUDA_ERROR";
    return 0;
}
int cuGetErrorString(int, const char **text) {
    *text = "emulator error";
    return 0;
}

int cuMemAllocAsync(uint64_t *at, size_t bytes, void *) { return allocate(at, bytes); }
int cuMemAlloc_v2(uint64_t *at, size_t bytes) { return bytes ? allocate(at, bytes) : INVALID_VALUE; }
int cuMemFreeAsync(uint64_t at, void *) { return release(at); }
int cuMemFree_v2(uint64_t at) { return release(at); }

int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, void *) {
    Guard guard(lock);
    if (!inside(at, bytes)) return ILLEGAL_ADDRESS;
    memset((void *)at, value, bytes);
    return 0;
}
int cuMemsetD8_v2(uint64_t at, unsigned char value, size_t bytes) { return cuMemsetD8Async(at, value, bytes, nullptr); }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *) {
    Guard guard(lock);
    if (!inside(to, bytes)) return ILLEGAL_ADDRESS;
    counts[0]++;
    counts[5] += bytes;
    memcpy((void *)to, from, bytes);
    return 0;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) { return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr); }
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *) {
    Guard guard(lock);
    if (!inside(from, bytes)) return ILLEGAL_ADDRESS;
    counts[1]++;
    memcpy(to, (void *)from, bytes);
    return 0;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) { return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr); }
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *) {
    Guard guard(lock);
    if (!inside(to, bytes) || !inside(from, bytes)) return ILLEGAL_ADDRESS;
    memcpy((void *)to, (void *)from, bytes);
    return 0;
}
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) { return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr); }

int cuModuleLoadData(Module **module, const void *image) {
    Guard guard(lock);
    const char *text = (const char *)image;
    const char *path = strstr(text, "// library ");
    *module = new Module{path ? load(path + strlen("// library ")) : nullptr};
    return 0;
}
int cuModuleLoad(Module **, const char *) { return NOT_FOUND; }
int cuModuleUnload(Module *module) {
    delete module;
    return 0;
}
int cuModuleGetFunction(Function **function, Module *module, const char *name) {
    Guard guard(lock);
    void *library = module->library ? module->library : dfdx_library(name);
    void *launch = library ? dlsym(library, ("emulator_launch_" + std::string(name)).c_str()) : nullptr;
    if (!launch) {
        // dfdx asks for all names of a module; those of half precision may be absent.
        if (module->library) return NOT_FOUND;
        fprintf(stderr, "CUDA emulator: no kernel %s\n", name);
        return NOT_FOUND;
    }
    *function = new Function{(void (*)(void **))launch, (State **)dlsym(library, "emulator_state"), name};
    return 0;
}

int cuLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned, void *, void **args, void **) {
    Guard guard(lock);
    size_t threads = (size_t)bx * by * bz;
    // The limits of every GPU.
    if (!gx || !gy || !gz || !threads || threads > 1024 || bz > 64 || gx > 0x7fffffffu || gy > 65535 || gz > 65535)
        return INVALID_VALUE;
    counts[2]++;
    *function->state = &state;
    state = {{}, {}, {bx, by, bz}, {gx, gy, gz}, wait_for_block, shuffle_xor};
    body = [function, args] { function->launch(args); };
    if (fibers.size() < threads) fibers.resize(1024);
    Order how = chosen_order;
    size_t blocks = (size_t)gx * gy * gz;
    for (size_t i = 0; i < blocks; i++) {
        size_t at = how == FORWARD ? i : blocks - 1 - i;
        state.block = {(unsigned)(at % gx), (unsigned)(at / gx % gy), (unsigned)(at / gx / gy)};
        for (size_t t = 0; t < threads; t++) {
            start(fibers[t]);
            fibers[t].thread = {(unsigned)(t % bx), (unsigned)(t / bx % by), (unsigned)(t / bx / by)};
        }
        run_block(threads, how);
    }
    return 0;
}

int cublasCreate_v2(void **handle) {
    *handle = malloc(1);
    return 0;
}
int cublasDestroy_v2(void *handle) {
    free(handle);
    return 0;
}
int cublasSetStream_v2(void *, void *) { return 0; }

int cublasGemmStridedBatchedEx(void *, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a,
                               int type_a, int lda, long long step_a, const void *b, int type_b, int ldb,
                               long long step_b, const void *beta, void *c, int type_c, int ldc, long long step_c,
                               int batch, int compute, int) {
    Guard guard(lock);
    counts[3]++;
    if (type_a != type_b || type_a != type_c) return 7;
    bool wide = type_a == 1;
    // CUBLAS_COMPUTE_64F for double; 32F, 32F_PEDANTIC, 32F_FAST_16BF, 32F_FAST_TF32 for float.
    if (wide ? compute != 70 : compute != 68 && compute != 69 && compute != 75 && compute != 77) return 15;
    int bits = compute == 75 ? 7 : compute == 77 ? 10 : 0;
    for (long long i = 0; i < batch; i++) {
        int outcome =
            wide ? gemm(op_a, op_b, m, n, k, *(double *)alpha, (double *)a + i * step_a, lda, (double *)b + i * step_b,
                        ldb, *(double *)beta, (double *)c + i * step_c, ldc, 0)
                 : gemm(op_a, op_b, m, n, k, *(float *)alpha, (float *)a + i * step_a, lda, (float *)b + i * step_b, ldb,
                        *(float *)beta, (float *)c + i * step_c, ldc, bits);
        if (outcome) return outcome;
    }
    return 0;
}
int cublasGemmEx(void *handle, int op_a, int op_b, int m, int n, int k, const void *alpha, const void *a, int type_a,
                 int lda, const void *b, int type_b, int ldb, const void *beta, void *c, int type_c, int ldc, int compute,
                 int algorithm) {
    return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, 0, b, type_b, ldb, 0, beta, c,
                                      type_c, ldc, 0, 1, compute, algorithm);
}
int cublasSgemm_v2(void *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda,
                   const float *b, int ldb, const float *beta, float *c, int ldc) {
    return cublasGemmEx(handle, op_a, op_b, m, n, k, alpha, a, 0, lda, b, 0, ldb, beta, c, 0, ldc, 68, -1);
}
int cublasDgemm_v2(void *handle, int op_a, int op_b, int m, int n, int k, const double *alpha, const double *a, int lda,
                   const double *b, int ldb, const double *beta, double *c, int ldc) {
    return cublasGemmEx(handle, op_a, op_b, m, n, k, alpha, a, 1, lda, b, 1, ldb, beta, c, 1, ldc, 70, -1);
}
int cublasSgemmStridedBatched(void *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a,
                              int lda, long long step_a, const float *b, int ldb, long long step_b, const float *beta,
                              float *c, int ldc, long long step_c, int batch) {
    return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, 0, lda, step_a, b, 0, ldb, step_b, beta, c, 0,
                                      ldc, step_c, batch, 68, -1);
}
int cublasDgemmStridedBatched(void *handle, int op_a, int op_b, int m, int n, int k, const double *alpha, const double *a,
                              int lda, long long step_a, const double *b, int ldb, long long step_b, const double *beta,
                              double *c, int ldc, long long step_c, int batch) {
    return cublasGemmStridedBatchedEx(handle, op_a, op_b, m, n, k, alpha, a, 1, lda, step_a, b, 1, ldb, step_b, beta, c, 1,
                                      ldc, step_c, batch, 70, -1);
}

int nvrtcCreateProgram(Program **program, const char *source, const char *, int, const char **, const char **) {
    *program = new Program{source, "", ""};
    return 0;
}
int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    Guard guard(lock);
    std::vector<std::string> includes = {EMULATOR_FOLDER};
    const std::string include = "--include-path=";
    for (int i = 0; i < count; i++)
        if (!strncmp(options[i], include.c_str(), include.size())) includes.push_back(options[i] + include.size());
    std::string library = compile(program->source, includes, program->log);
    if (library.empty()) return 6; // NVRTC_ERROR_COMPILATION
    program->ptx = "// library " + library;
    return 0;
}
int nvrtcDestroyProgram(Program **program) {
    delete *program;
    return 0;
}
int nvrtcGetPTXSize(Program *program, size_t *size) {
    *size = program->ptx.size() + 1;
    return 0;
}
int nvrtcGetPTX(Program *program, char *to) {
    strcpy(to, program->ptx.c_str());
    return 0;
}
int nvrtcGetProgramLogSize(Program *program, size_t *size) {
    *size = program->log.size() + 1;
    return 0;
}
int nvrtcGetProgramLog(Program *program, char *to) {
    strcpy(to, program->log.c_str());
    return 0;
}
}
