/*
 * Another native module, as a user of the package writes one: it knows the package by include/dinov3_flow.h alone, and
 * a GPU by the functions of its driver.
 *
 * It computes with tensors of the package (probe), keeps them (take, letGo), and makes tensors, right and wrong ones
 * (make). It counts the calls of its deleters over all threads of the process, for each group of tensors (counts).
 */
#include <dinov3_flow.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define MOST_AXES 8

/* ---- the driver -------------------------------------------------------------------------------------------------- */

static struct {
  int (*init)(unsigned);
  int (*retain)(void**, int);
  int (*set_current)(void*);
  int (*allocate)(uintptr_t*, size_t);
  int (*release)(uintptr_t);
  int (*to_host)(void*, uintptr_t, size_t, void*);
  int (*to_device)(uintptr_t, const void*, size_t, void*);
  int (*synchronize)(void*);
} driver;

/* Makes the primary context of a GPU current on this thread. */
static bool use_gpu(int index) {
  void* context = NULL;
  if (driver.init == NULL) {
    const char* const path = getenv("DINOV3_FLOW_CUDA_DRIVER");
    void* const library = dlopen(path != NULL ? path : "libcuda.so.1", RTLD_NOW);
    if (library == NULL) return false;
    *(void**)&driver.retain = dlsym(library, "cuDevicePrimaryCtxRetain");
    *(void**)&driver.set_current = dlsym(library, "cuCtxSetCurrent");
    *(void**)&driver.allocate = dlsym(library, "cuMemAlloc_v2");
    *(void**)&driver.release = dlsym(library, "cuMemFree_v2");
    *(void**)&driver.to_host = dlsym(library, "cuMemcpyDtoHAsync_v2");
    *(void**)&driver.to_device = dlsym(library, "cuMemcpyHtoDAsync_v2");
    *(void**)&driver.synchronize = dlsym(library, "cuStreamSynchronize");
    *(void**)&driver.init = dlsym(library, "cuInit");
  }
  return driver.init(0) == 0 && driver.retain(&context, index) == 0 && driver.set_current(context) == 0;
}

static bool copy_to_host(void* to, const void* from, size_t bytes) {
  return driver.to_host(to, (uintptr_t)from, bytes, NULL) == 0 && driver.synchronize(NULL) == 0;
}

static bool copy_to_device(void* to, const void* from, size_t bytes) {
  return driver.to_device((uintptr_t)to, from, bytes, NULL) == 0 && driver.synchronize(NULL) == 0;
}

/* ---- values of JavaScript ---------------------------------------------------------------------------------------- */

static napi_value fail(napi_env env, const char* message) {
  napi_throw_error(env, NULL, message);
  return NULL;
}

static napi_value number(napi_env env, double value) {
  napi_value result = NULL;
  napi_create_double(env, value, &result);
  return result;
}

static napi_value address(napi_env env, const void* pointer) {
  napi_value result = NULL;
  napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)pointer, &result);
  return result;
}

static napi_value numbers(napi_env env, const int64_t* values, int32_t count) {
  napi_value result = NULL;
  napi_create_array(env, &result);
  for (int32_t i = 0; i < count; i++) napi_set_element(env, result, (uint32_t)i, number(env, (double)values[i]));
  return result;
}

/* A property of an object; null if it has none. */
static napi_value property(napi_env env, napi_value object, const char* name) {
  bool there = false;
  napi_value value = NULL;
  napi_has_named_property(env, object, name, &there);
  if (there) napi_get_named_property(env, object, name, &value);
  return value;
}

static int64_t integer(napi_env env, napi_value object, const char* name, int64_t otherwise) {
  int64_t value = otherwise;
  const napi_value found = property(env, object, name);
  if (found != NULL) napi_get_value_int64(env, found, &value);
  return value;
}

static void* bytes_of(napi_env env, napi_value array, size_t* length) {
  void* data = NULL;
  napi_get_typedarray_info(env, array, NULL, length, &data, NULL, NULL);
  return data;
}

static void release(struct DLManagedTensorVersioned* tensor) {
  if (tensor->deleter != NULL) tensor->deleter(tensor);
}

/* ---- tensors of the package -------------------------------------------------------------------------------------- */

/* (capsule, weights: Float32Array): a linear probe, the weighted sum of the features of each patch. */
static napi_value probe(napi_env env, napi_callback_info info) {
  size_t count = 2, channels = 0;
  napi_value arguments[2], buffer = NULL, result = NULL;
  void* out = NULL;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  const float* const weights = bytes_of(env, arguments[1], &channels);
  struct DLManagedTensorVersioned* const managed = dinov3_flow_take(env, arguments[0]);
  if (managed == NULL) return NULL;
  const DLTensor* const features = &managed->dl_tensor;
  const bool on_gpu = features->device.device_type == kDLCUDA;
  const char* wrong = NULL;
  if (features->dtype.code != kDLFloat || features->dtype.bits != 32 || features->dtype.lanes != 1)
    wrong = "not of float32";
  if (features->ndim != 3 || features->shape[2] != (int64_t)channels || features->strides[2] != 1)
    wrong = "of another shape";
  if (on_gpu && !use_gpu(features->device.device_id)) wrong = "on a GPU that cannot be used";
  float* const patch = malloc(channels * sizeof(float));
  const int64_t rows = wrong == NULL ? features->shape[0] : 0, columns = wrong == NULL ? features->shape[1] : 0;
  napi_create_arraybuffer(env, (size_t)(rows * columns) * sizeof(float), &out, &buffer);
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = 0; column < columns; column++) {
      const float* from = (const float*)((const char*)features->data + features->byte_offset) +
                          row * features->strides[0] + column * features->strides[1];
      float sum = 0;
      if (on_gpu && !copy_to_host(patch, from, channels * sizeof(float))) wrong = "not readable";
      if (on_gpu) from = patch;
      for (size_t c = 0; c < channels; c++) sum += weights[c] * from[c];
      ((float*)out)[row * columns + column] = sum;
    }
  free(patch);
  release(managed);
  if (wrong != NULL) return fail(env, wrong);
  napi_create_typedarray(env, napi_float32_array, (size_t)(rows * columns), buffer, 0, &result);
  return result;
}

/* (capsule): takes the tensor and says what it is. Its `handle` is for letGo and valueAt. */
static napi_value take(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value capsule = NULL, result = NULL;
  napi_get_cb_info(env, info, &count, &capsule, NULL, NULL);
  struct DLManagedTensorVersioned* const managed = dinov3_flow_take(env, capsule);
  if (managed == NULL) return NULL;
  const DLTensor* const tensor = &managed->dl_tensor;
  napi_create_object(env, &result);
  const struct {
    const char* name;
    napi_value value;
  } properties[] = {{"handle", address(env, managed)},
                    {"version", number(env, managed->version.major)},
                    {"flags", number(env, (double)managed->flags)},
                    {"pointer", address(env, (const char*)tensor->data + tensor->byte_offset)},
                    {"deviceType", number(env, tensor->device.device_type)},
                    {"deviceId", number(env, tensor->device.device_id)},
                    {"code", number(env, tensor->dtype.code)},
                    {"bits", number(env, tensor->dtype.bits)},
                    {"lanes", number(env, tensor->dtype.lanes)},
                    {"shape", numbers(env, tensor->shape, tensor->ndim)},
                    {"strides", numbers(env, tensor->strides, tensor->ndim)}};
  for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
    napi_set_named_property(env, result, properties[i].name, properties[i].value);
  return result;
}

static struct DLManagedTensorVersioned* taken(napi_env env, napi_value handle) {
  uint64_t value = 0;
  bool lossless = false;
  napi_get_value_bigint_uint64(env, handle, &value, &lossless);
  return (struct DLManagedTensorVersioned*)(uintptr_t)value;
}

static void* release_elsewhere(void* tensor) {
  release(tensor);
  return NULL;
}

/* (handle, 'here' | 'elsewhere'): calls the deleter, on this thread or on one of this module. */
static napi_value let_go(napi_env env, napi_callback_info info) {
  size_t count = 2, length = 0;
  napi_value arguments[2];
  char where[16] = "";
  pthread_t thread;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  struct DLManagedTensorVersioned* const tensor = taken(env, arguments[0]);
  napi_get_value_string_utf8(env, arguments[1], where, sizeof where, &length);
  if (strcmp(where, "elsewhere") != 0) {
    release(tensor);
  } else if (pthread_create(&thread, NULL, release_elsewhere, tensor) == 0) {
    pthread_join(thread, NULL);
  }
  return NULL;
}

/* (handle, byte): the byte of that index behind the first value of a tensor of the host. */
static napi_value byte_at(napi_env env, napi_callback_info info) {
  size_t count = 2;
  int64_t index = 0;
  napi_value arguments[2];
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  const DLTensor* const tensor = &taken(env, arguments[0])->dl_tensor;
  napi_get_value_int64(env, arguments[1], &index);
  return number(env, ((const unsigned char*)tensor->data)[(int64_t)tensor->byte_offset + index]);
}

/* ---- tensors of this module -------------------------------------------------------------------------------------- */

/* How many tensors of a group were made and deleted, how many not on the thread that made them, and how many twice. */
struct counts {
  atomic_long made, deleted, elsewhere, twice;
};

#define GROUPS 1024
static struct counts groups[GROUPS];

struct made_tensor {
  struct DLManagedTensorVersioned managed;
  int64_t shape[MOST_AXES + 1], strides[MOST_AXES + 1];
  pthread_t thread;
  void* memory;
  bool on_gpu, live;
  struct counts* counts;
  struct made_tensor* next;
};

/* Deleted ones are used again and never freed, so that a second call of a deleter is seen. */
static struct made_tensor* unused;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct made_tensor* new_tensor(void) {
  pthread_mutex_lock(&lock);
  struct made_tensor* tensor = unused;
  if (tensor != NULL) unused = tensor->next;
  pthread_mutex_unlock(&lock);
  if (tensor == NULL) tensor = malloc(sizeof *tensor);
  memset(tensor, 0, sizeof *tensor);
  tensor->live = true;
  tensor->thread = pthread_self();
  return tensor;
}

static void delete_tensor(struct DLManagedTensorVersioned* self) {
  struct made_tensor* const tensor = self->manager_ctx;
  if (!pthread_equal(tensor->thread, pthread_self())) tensor->counts->elsewhere++;
  pthread_mutex_lock(&lock);
  if (!tensor->live) {
    tensor->counts->twice++;
  } else {
    if (tensor->on_gpu && use_gpu(0)) driver.release((uintptr_t)tensor->memory);
    if (!tensor->on_gpu) free(tensor->memory);
    tensor->live = false;
    tensor->next = unused;
    unused = tensor;
    tensor->counts->deleted++;
  }
  pthread_mutex_unlock(&lock);
}

static int32_t read_numbers(napi_env env, napi_value array, int64_t* into) {
  uint32_t length = 0;
  napi_get_array_length(env, array, &length);
  for (uint32_t i = 0; i < length && i <= MOST_AXES; i++) {
    napi_value value = NULL;
    napi_get_element(env, array, i, &value);
    napi_get_value_int64(env, value, &into[i]);
  }
  return (int32_t)length;
}

/*
 * ({ bytes, shape, strides?, code?, bits?, lanes?, deviceType?, deviceId?, flags?, major?, byteOffset?, onGpu?,
 * noData?, group? }): a capsule of a tensor over a copy of the bytes, `byteOffset` into its memory. `onGpu` places it
 * in the memory of GPU 0, `noData` leaves the address of its data out.
 */
static napi_value make(napi_env env, napi_callback_info info) {
  size_t count = 1, length = 0;
  napi_value description = NULL;
  napi_get_cb_info(env, info, &count, &description, NULL, NULL);
  const void* const bytes = bytes_of(env, property(env, description, "bytes"), &length);
  struct made_tensor* const tensor = new_tensor();
  DLTensor* const described = &tensor->managed.dl_tensor;
  const int64_t offset = integer(env, description, "byteOffset", 0);
  const napi_value strides = property(env, description, "strides");
  described->device.device_type = (int32_t)integer(env, description, "deviceType", kDLCPU);
  described->device.device_id = (int32_t)integer(env, description, "deviceId", 0);
  tensor->on_gpu = property(env, description, "onGpu") != NULL;
  if (tensor->on_gpu) {
    uintptr_t memory = 0;
    if (!use_gpu(0) || driver.allocate(&memory, (size_t)offset + length) != 0) return fail(env, "no memory of a GPU");
    tensor->memory = (void*)memory;
    if (!copy_to_device((char*)tensor->memory + offset, bytes, length)) return fail(env, "no copy to the GPU");
  } else {
    tensor->memory = malloc((size_t)offset + length);
    memcpy((char*)tensor->memory + offset, bytes, length);
  }
  described->data = property(env, description, "noData") != NULL ? NULL : tensor->memory;
  described->byte_offset = (uint64_t)offset;
  described->dtype.code = (uint8_t)integer(env, description, "code", kDLFloat);
  described->dtype.bits = (uint8_t)integer(env, description, "bits", 32);
  described->dtype.lanes = (uint16_t)integer(env, description, "lanes", 1);
  described->ndim = read_numbers(env, property(env, description, "shape"), tensor->shape);
  described->shape = tensor->shape;
  if (strides != NULL) {
    read_numbers(env, strides, tensor->strides);
    described->strides = tensor->strides;
  }
  tensor->managed.version.major = (uint32_t)integer(env, description, "major", DLPACK_MAJOR_VERSION);
  tensor->managed.version.minor = DLPACK_MINOR_VERSION;
  tensor->managed.flags = (uint64_t)integer(env, description, "flags", 0);
  tensor->managed.manager_ctx = tensor;
  tensor->managed.deleter = delete_tensor;
  tensor->counts = &groups[integer(env, description, "group", 0) % GROUPS];
  tensor->counts->made++;
  const napi_value capsule = dinov3_flow_give(env, &tensor->managed);
  if (capsule == NULL) delete_tensor(&tensor->managed);
  return capsule;
}

/* (pointer): frees memory of the GPU, as a module does that forgets who uses it. The deleter's own call then fails,
 * unnoticed. */
static napi_value free_under(napi_env env, napi_callback_info info) {
  size_t count = 1;
  uint64_t pointer = 0;
  bool lossless = false;
  napi_value argument = NULL;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_bigint_uint64(env, argument, &pointer, &lossless);
  if (use_gpu(0)) driver.release((uintptr_t)pointer);
  return NULL;
}

/* (group): its counts since the module was loaded into the process. */
static napi_value counts_of(napi_env env, napi_callback_info info) {
  size_t count = 1;
  uint32_t group = 0;
  napi_value argument = NULL, result = NULL;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_uint32(env, argument, &group);
  const struct counts* const counts = &groups[group % GROUPS];
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "made", number(env, (double)counts->made));
  napi_set_named_property(env, result, "deleted", number(env, (double)counts->deleted));
  napi_set_named_property(env, result, "elsewhere", number(env, (double)counts->elsewhere));
  napi_set_named_property(env, result, "twice", number(env, (double)counts->twice));
  return result;
}

/* (): an external that is no capsule. */
static napi_value other_external(napi_env env, napi_callback_info info) {
  static int nothing;
  napi_value result = NULL;
  (void)info;
  napi_create_external(env, &nothing, NULL, NULL, &result);
  return result;
}

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } functions[] = {{"probe", probe},
                   {"take", take},
                   {"letGo", let_go},
                   {"byteAt", byte_at},
                   {"make", make},
                   {"counts", counts_of},
                   {"otherExternal", other_external},
                   {"freeUnder", free_under}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value value = NULL;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &value);
    napi_set_named_property(env, exports, functions[i].name, value);
  }
  return exports;
}
