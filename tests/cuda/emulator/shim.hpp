// What CUDA C++ has and C++ has not, so that the sources of kernels compile for the CPU. A kernel's
// threads run one after the other as fibers of one thread of the host; see emulator.cpp.
#pragma once
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <tuple>
#include <utility>

struct EmulatorIndex {
    unsigned x, y, z;
};

// Shared with emulator.cpp, field by field.
struct EmulatorState {
    EmulatorIndex thread, block, block_dim, grid_dim;
    void (*wait_for_block)();
    uint64_t (*shuffle_xor)(uint64_t value, int mask);
};
extern "C" EmulatorState *emulator_state;
EmulatorState *emulator_state = nullptr;

#define threadIdx (emulator_state->thread)
#define blockIdx (emulator_state->block)
#define blockDim (emulator_state->block_dim)
#define gridDim (emulator_state->grid_dim)
#define __syncthreads() (emulator_state->wait_for_block())

// The emulator looks for this mark to find the kernels.
#define __global__ EMULATOR_KERNEL
#define __device__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
// One block at a time is run, by one thread of the host.
#define __shared__ static
#define __CUDA_ARCH__ 900
// For what has no counterpart in C++: assembly.
#define EMULATOR

template <class T> T __shfl_xor_sync(unsigned, T value, int mask) {
    static_assert(sizeof(T) <= 8, "a value of at most 64 bits");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    bits = emulator_state->shuffle_xor(bits, mask);
    memcpy(&value, &bits, sizeof(T));
    return value;
}

inline float __int_as_float(int bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline int __float_as_int(float value) {
    int bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float __uint_as_float(unsigned bits) { return __int_as_float((int)bits); }
inline unsigned __float_as_uint(float value) { return (unsigned)__float_as_int(value); }
inline long long __double_as_longlong(double value) {
    long long bits;
    memcpy(&bits, &value, 8);
    return bits;
}
inline double __longlong_as_double(long long bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

template <class A, class B> auto max(A a, B b) -> decltype(a + b) { return a > b ? a : b; }
template <class A, class B> auto min(A a, B b) -> decltype(a + b) { return a < b ? a : b; }

// Fibers do not interrupt each other.
template <class T, class V> T atomicAdd(T *at, V given) {
    T value = (T)given;
    T old = *at;
    *at = (T)(old + value);
    return old;
}
template <class T, class V> T atomicMax(T *at, V given) {
    T value = (T)given;
    T old = *at;
    *at = old > value ? old : value;
    return old;
}
template <class T, class V> T atomicMin(T *at, V given) {
    T value = (T)given;
    T old = *at;
    *at = old < value ? old : value;
    return old;
}
template <class T, class A, class V> T atomicCAS(T *at, A assumed, V value) {
    T old = *at;
    if (old == (T)assumed) *at = (T)value;
    return old;
}

// cvt.rn.bf16x2.f32.
inline unsigned emulator_bf16(float value) {
    unsigned bits = __float_as_uint(value);
    if (value != value || value - value != 0) return bits >> 16; // NaN or infinite
    return (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
}
inline unsigned emulator_pair(float low, float high) { return emulator_bf16(low) | emulator_bf16(high) << 16; }

// mma.sync.m16n8k8 of TF32, or m16n8k16 of bfloat16 if `brief`, with the lanes' fragments as in the PTX ISA.
inline void emulator_tensor_product(float (&sums)[4], const unsigned (&a)[4], const unsigned (&b)[2], bool brief) {
    static unsigned left[32][32][4], right[32][32][2];
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    unsigned warp = thread / 32, lane = thread % 32;
    memcpy(left[warp][lane], a, sizeof a);
    memcpy(right[warp][lane], b, sizeof b);
    __shfl_xor_sync(0xffffffffu, 0, 1); // all lanes have written
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = lane / 4, column = lane % 4 * 2 + i % 2;
        double sum = 0;
        for (unsigned k = 0; k < (brief ? 16 : 8); k++) {
            unsigned half = brief ? k / 8 : k / 4, other = brief ? k % 8 / 2 : k % 4;
            unsigned x = left[warp][row * 4 + other][half * 2 + i / 2], y = right[warp][column * 4 + other][half];
            if (brief)
                x = k % 2 ? x & 0xffff0000u : x << 16, y = k % 2 ? y & 0xffff0000u : y << 16;
            else
                x &= 0xffffe000u, y &= 0xffffe000u; // TF32 has no more bits
            sum += (double)__uint_as_float(x) * (double)__uint_as_float(y);
        }
        sums[i] = (float)(sums[i] + sum);
    }
    __shfl_xor_sync(0xffffffffu, 0, 1); // all lanes have read
}

// Calls a kernel with the arguments that cuLaunchKernel was given.
template <class... A, size_t... I> void emulator_call(void (*kernel)(A...), void **args, std::index_sequence<I...>) {
    kernel(*(A *)args[I]...);
}
template <class... A> void emulator_call(void (*kernel)(A...), void **args) {
    emulator_call(kernel, args, std::index_sequence_for<A...>{});
}
