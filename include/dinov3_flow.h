/*
 * Tensors of dinov3-flow for native modules, in C and C++.
 *
 * A capsule is a value of JavaScript that carries one DLPack tensor from one addon to another: `tensor.toDLPack()`
 * makes one, `model.fromDLPack(capsule)` takes one. An addon takes the tensor out of a capsule by `dinov3_flow_take`,
 * and puts one of its own into a capsule by `dinov3_flow_give`. Needs Node-API 8.
 *
 * Who takes a tensor calls its deleter, once. If nobody takes it, the capsule does, when it is collected or its
 * environment ends.
 *
 * Threads: capsules belong to the thread of their environment, as all values do. A deleter that dinov3-flow made may be
 * called on any thread, once your work on a GPU with the tensor is done: its memory serves others at once. A deleter of
 * yours is called by dinov3-flow on the thread of the environment that took the tensor, after the last call that uses
 * it, possibly during garbage collection or at the end of the environment: do not run JavaScript in it.
 *
 * The memory of a tensor of dinov3-flow stays until its deleter is called; that of a SharedArrayBuffer, and in runtimes
 * other than Node.js that of any array of JavaScript, at most until the environment ends. On a GPU, its values are
 * there when the promise of the call that wrote them is settled. The values of a tensor of yours must be there when it
 * is given to a call, unless `fromDLPack` was told the stream that writes them.
 *
 * The structures are those of DLPack 1.0, https://dmlc.github.io/dlpack/latest/c_api.html. To use dlpack.h as well,
 * include it first.
 */
#ifndef DINOV3_FLOW_H_
#define DINOV3_FLOW_H_

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- DLPack ------------------------------------------------------------------------------------------------------ */

#ifndef DLPACK_DLPACK_H_

#define DLPACK_MAJOR_VERSION 1
#define DLPACK_MINOR_VERSION 0

typedef struct {
  uint32_t major; /* another one has another layout behind `flags` */
  uint32_t minor;
} DLPackVersion;

/* Values of DLDevice::device_type. */
enum {
  kDLCPU = 1,
  kDLCUDA = 2,
  kDLCUDAHost = 3,    /* page-locked memory of the host */
  kDLCUDAManaged = 13 /* memory that moves between host and GPU */
};

typedef struct {
  int32_t device_type;
  int32_t device_id; /* the index of the GPU; 0 for the host's and managed memory */
} DLDevice;

/* Values of DLDataType::code. */
enum { kDLInt = 0, kDLUInt = 1, kDLFloat = 2, kDLBfloat = 4 };

typedef struct {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes; /* 1, except for vectors */
} DLDataType;

typedef struct {
  void* data; /* an address of the device */
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;       /* `ndim` numbers */
  int64_t* strides;     /* `ndim` numbers, in values; null if the values are side by side, the last axis first */
  uint64_t byte_offset; /* from `data` to the first value */
} DLTensor;

#define DLPACK_FLAG_BITMASK_READ_ONLY (1UL << 0UL)
#define DLPACK_FLAG_BITMASK_IS_COPIED (1UL << 1UL)

struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;                                      /* for the deleter */
  void (*deleter)(struct DLManagedTensorVersioned* self); /* frees `self` as well; may be null */
  uint64_t flags;
  DLTensor dl_tensor;
};

#endif /* DLPACK_DLPACK_H_ */

/* ---- capsules ---------------------------------------------------------------------------------------------------- */

/* What a capsule, a tagged napi_external, points to. */
struct dinov3_flow_capsule {
  struct DLManagedTensorVersioned* tensor; /* null once it was taken */
};

/* Marks externals with this layout. */
static const napi_type_tag dinov3_flow_capsule_tag = {0xa33c1d556a3017ff, 0x809ec46f9b09bb08};

/* The capsule that a value is, or null. Throws nothing. */
static inline struct dinov3_flow_capsule* dinov3_flow_capsule_of(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  bool is_capsule = false;
  void* data = NULL;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return NULL;
  if (napi_check_object_type_tag(env, value, &dinov3_flow_capsule_tag, &is_capsule) != napi_ok || !is_capsule)
    return NULL;
  if (napi_get_value_external(env, value, &data) != napi_ok) return NULL;
  return (struct dinov3_flow_capsule*)data;
}

/*
 * Takes the tensor out of a capsule. From now on it is yours: call its deleter, if it has one, once you are done with
 * its memory.
 *
 * Returns null, with an error of JavaScript pending, if the value is no capsule, was taken before, or holds a tensor of
 * another major version of DLPack. What is refused stays as it was.
 */
static inline struct DLManagedTensorVersioned* dinov3_flow_take(napi_env env, napi_value value) {
  struct dinov3_flow_capsule* capsule = dinov3_flow_capsule_of(env, value);
  struct DLManagedTensorVersioned* tensor = capsule == NULL ? NULL : capsule->tensor;
  const char* refusal = NULL;
  if (capsule == NULL) {
    refusal = "capsule: is none of toDLPack() or of include/dinov3_flow.h";
  } else if (tensor == NULL) {
    refusal = "capsule: its tensor was taken before";
  } else if (tensor->version.major != DLPACK_MAJOR_VERSION) {
    refusal = "capsule: its tensor is of another major version of DLPack";
  }
  if (refusal != NULL) {
    napi_throw_error(env, "ERR_ARGUMENT", refusal);
    return NULL;
  }
  capsule->tensor = NULL;
  return tensor;
}

static inline void dinov3_flow_free_capsule(napi_env env, void* data, void* hint) {
  struct DLManagedTensorVersioned* tensor = ((struct dinov3_flow_capsule*)data)->tensor;
  (void)env;
  (void)hint;
  free(data);
  if (tensor != NULL && tensor->deleter != NULL) tensor->deleter(tensor);
}

/*
 * A capsule of a tensor of yours. From now on its deleter is called by whoever takes it, or by the capsule.
 *
 * Returns null, with an error of JavaScript pending, if there is no memory for it. Then the tensor is still yours.
 */
static inline napi_value dinov3_flow_give(napi_env env, struct DLManagedTensorVersioned* tensor) {
  struct dinov3_flow_capsule* capsule = (struct dinov3_flow_capsule*)malloc(sizeof *capsule);
  napi_value value = NULL;
  if (capsule == NULL) {
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", "capsule: there is no memory for it");
    return NULL;
  }
  capsule->tensor = NULL;
  if (napi_create_external(env, capsule, dinov3_flow_free_capsule, NULL, &value) != napi_ok) {
    free(capsule);
    napi_throw_error(env, "ERR_OUT_OF_MEMORY", "capsule: there is no memory for it");
    return NULL;
  }
  if (napi_type_tag_object(env, value, &dinov3_flow_capsule_tag) != napi_ok) {
    napi_throw_error(env, "ERR_NATIVE", "capsule: this runtime cannot mark it");
    return NULL;
  }
  capsule->tensor = tensor;
  return value;
}

#ifdef __cplusplus
}
#endif

#endif /* DINOV3_FLOW_H_ */
