#pragma once

// The keywords and the vector types of the CUDA language. There is no `__shared__`: all shared memory of this engine is
// dynamic (SHARED_MEMORY) and has exactly the size that the launch asks for.

#define __device__
#define __host__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#define EMU_VECTOR(type, element, alignment)                                              \
  struct alignas(alignment) type##2 {                                                     \
    element x, y;                                                                         \
  };                                                                                      \
  struct type##3 {                                                                        \
    element x, y, z;                                                                      \
  };                                                                                      \
  struct alignas(2 * alignment <= 16 ? 2 * alignment : 16) type##4 {                      \
    element x, y, z, w;                                                                   \
  };                                                                                      \
  constexpr type##2 make_##type##2(element x, element y) { return {x, y}; }               \
  constexpr type##3 make_##type##3(element x, element y, element z) { return {x, y, z}; } \
  constexpr type##4 make_##type##4(element x, element y, element z, element w) { return {x, y, z, w}; }

EMU_VECTOR(char, signed char, 2)
EMU_VECTOR(uchar, unsigned char, 2)
EMU_VECTOR(short, short, 4)
EMU_VECTOR(ushort, unsigned short, 4)
EMU_VECTOR(int, int, 8)
EMU_VECTOR(uint, unsigned, 8)
EMU_VECTOR(longlong, long long, 16)
EMU_VECTOR(ulonglong, unsigned long long, 16)
EMU_VECTOR(float, float, 8)
EMU_VECTOR(double, double, 16)
#undef EMU_VECTOR

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};
