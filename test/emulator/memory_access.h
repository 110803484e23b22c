#pragma once

// Loads and stores with a cache hint. They are inlined, so that the sanitizers see the kernel's own line.

#define EMU_INLINE __attribute__((always_inline)) inline

template <class T>
EMU_INLINE T __ldg(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldca(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldcg(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldcs(const T* p) {
  return *p;
}
template <class T>
EMU_INLINE T __ldcv(const T* p) {
  return *static_cast<const volatile T*>(p);
}
template <class T>
EMU_INLINE void __stwb(T* p, T value) {
  *p = value;
}
template <class T>
EMU_INLINE void __stcg(T* p, T value) {
  *p = value;
}
template <class T>
EMU_INLINE void __stcs(T* p, T value) {
  *p = value;
}
template <class T>
EMU_INLINE void __stwt(T* p, T value) {
  *p = value;
}
