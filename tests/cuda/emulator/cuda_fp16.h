// Half precision is not emulated: a type with the operations that dfdx's sources name, on floats.
#pragma once
struct __half {
    float value;
    __half() = default;
    template <class T> __half(T v) : value((float)v) {}
    operator float() const { return value; }
    __half &operator+=(float other) { value += other; return *this; }
    __half &operator-=(float other) { value -= other; return *this; }
    __half &operator/=(float other) { value /= other; return *this; }
    __half &operator*=(float other) { value *= other; return *this; }
};
inline __half operator+(__half a, __half b) { return a.value + b.value; }
inline __half operator-(__half a, __half b) { return a.value - b.value; }
inline __half operator*(__half a, __half b) { return a.value * b.value; }
inline __half operator/(__half a, __half b) { return a.value / b.value; }
inline __half operator-(__half a) { return -a.value; }
inline bool operator<(__half a, __half b) { return a.value < b.value; }
inline bool operator>(__half a, __half b) { return a.value > b.value; }
inline bool operator<=(__half a, __half b) { return a.value <= b.value; }
inline bool operator>=(__half a, __half b) { return a.value >= b.value; }
inline bool operator==(__half a, __half b) { return a.value == b.value; }
inline bool operator!=(__half a, __half b) { return a.value != b.value; }
inline float __half2float(__half a) { return a.value; }
inline __half __float2half(float a) { return a; }
inline bool __hisnan(__half a) { return a.value != a.value; }
inline __half hcos(__half a) { return cosf(a.value); }
inline __half hsin(__half a) { return sinf(a.value); }
inline __half hsqrt(__half a) { return sqrtf(a.value); }
inline __half hlog(__half a) { return logf(a.value); }
inline __half hexp(__half a) { return expf(a.value); }
inline __half __habs(__half a) { return fabsf(a.value); }
inline __half __hmax(__half a, __half b) { return fmaxf(a.value, b.value); }
inline __half __hmin(__half a, __half b) { return fminf(a.value, b.value); }
inline __half __hmax_nan(__half a, __half b) { return fmaxf(a.value, b.value); }
inline __half __hmin_nan(__half a, __half b) { return fminf(a.value, b.value); }
inline unsigned short __half_as_ushort(__half a) { return (unsigned short)a.value; }
inline __half __ushort_as_half(unsigned short a) { return a; }
