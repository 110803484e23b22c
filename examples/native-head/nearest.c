/*
 * An addon with a second head: each patch of a picture gets the label of that patch of another picture whose labels are
 * known and whose features are most like its own. The features are those that dinov3-flow computed for the flow. None
 * is copied: the head computes where they lie, on the host by a loop, on a GPU by the kernel of nearest.cu on a stream
 * of its own, and leaves its result there.
 *
 * It knows dinov3-flow by its header, and a GPU by the functions of its driver. So it is built without CUDA.
 */
#include <dinov3_flow.h>
#include <dlfcn.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "nearest.h"

/* ---- the GPU ----------------------------------------------------------------------------------------------------- */

/* One environment of JavaScript, and so one thread, has this state. */
static struct {
  int (*set_context)(void* context);
  int (*allocate)(uintptr_t* address, size_t bytes);
  int (*launch)(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                unsigned block_z, unsigned shared_bytes, void* stream, void** parameters, void** extra);
  int (*call_on_host)(void* stream, void (*function)(void*), void* data);
  int (*synchronize)(void* stream);
  void *context, *function, *stream; /* the stream is null until the GPU is open */
  int device;
} gpu;

/* Opens a GPU with the kernel of a text of PTX. Returns null, or what failed. */
static const char* open_gpu(int device, const char* ptx) {
  /* The driver that dinov3-flow uses. */
  const char* const path = getenv("DINOV3_FLOW_CUDA_DRIVER");
  const bool named = path != NULL && *path != '\0';
  void *const driver = dlopen(named ? path : "libcuda.so.1", RTLD_NOW), *module = NULL, *stream = NULL;
  int (*init)(unsigned), (*retain)(void**, int), (*load)(void**, const void*), (*find)(void**, void*, const char*),
      (*create)(void**, unsigned);
  if (driver == NULL) return dlerror();
  const struct {
    const char* name;
    void* function;
  } functions[] = {{"cuInit", &init},
                   {"cuDevicePrimaryCtxRetain", &retain},
                   {"cuModuleLoadData", &load},
                   {"cuModuleGetFunction", &find},
                   {"cuStreamCreate", &create},
                   {"cuCtxSetCurrent", &gpu.set_context},
                   {"cuMemAlloc_v2", &gpu.allocate},
                   {"cuLaunchKernel", &gpu.launch},
                   {"cuLaunchHostFunc", &gpu.call_on_host},
                   {"cuStreamSynchronize", &gpu.synchronize}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void* const found = dlsym(driver, functions[i].name);
    if (found == NULL) return "the GPU's driver is too old";
    memcpy(functions[i].function, &found, sizeof found);
  }
  /* dinov3-flow computes in the primary context, too, so its memory can be read there. */
  if (init(0) != 0 || retain(&gpu.context, device) != 0 || gpu.set_context(gpu.context) != 0)
    return "the GPU cannot be used";
  if (load(&module, ptx) != 0 || find(&gpu.function, module, "nearest") != 0)
    return "the driver does not take the kernel";
  /* 1, CU_STREAM_NON_BLOCKING: it does not wait for the default stream. */
  if (create(&stream, 1) != 0) return "no stream could be created";
  gpu.device = device;
  gpu.stream = stream;
  return NULL;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* Labels of a frame, gridHeight x gridWidth, as a tensor. */
struct labels {
  struct DLManagedTensorVersioned tensor;
  int64_t shape[2];
  size_t bytes;
  struct labels* next;
};

/*
 * Results on the GPU that nobody uses any more. The next one takes the memory of one of its size: that is in order,
 * because the kernel that writes it comes later on the same stream, which dinov3-flow lets wait for its own reads.
 */
static struct labels* unused;

static void keep_labels(struct DLManagedTensorVersioned* tensor) {
  struct labels* const labels = tensor->manager_ctx;
  labels->next = unused;
  unused = labels;
}

static void free_labels(struct DLManagedTensorVersioned* tensor) { free(tensor->manager_ctx); }

/* On the host the labels lie behind the structure. Returns null if there is no memory. */
static struct labels* new_labels(const DLTensor* features) {
  const bool on_gpu = features->device.device_type == kDLCUDA;
  const size_t bytes = (size_t)(features->shape[0] * features->shape[1]);
  struct labels** free_one = &unused;
  while (*free_one != NULL && (*free_one)->bytes != bytes) free_one = &(*free_one)->next;
  struct labels* labels = NULL;
  if (on_gpu && *free_one != NULL) {
    labels = *free_one;
    *free_one = labels->next;
  } else {
    labels = calloc(1, sizeof *labels + (on_gpu ? 0 : bytes));
    uintptr_t address = (uintptr_t)(labels + 1);
    if (labels == NULL) return NULL;
    if (on_gpu && gpu.allocate(&address, bytes) != 0) {
      free(labels);
      return NULL;
    }
    labels->bytes = bytes;
    labels->tensor.version.major = DLPACK_MAJOR_VERSION;
    labels->tensor.version.minor = DLPACK_MINOR_VERSION;
    labels->tensor.manager_ctx = labels;
    labels->tensor.deleter = on_gpu ? keep_labels : free_labels;
    labels->tensor.dl_tensor.data = (void*)address;
    labels->tensor.dl_tensor.device = features->device;
    labels->tensor.dl_tensor.dtype = (DLDataType){.code = kDLUInt, .bits = 8, .lanes = 1};
    labels->tensor.dl_tensor.ndim = 2;
    labels->tensor.dl_tensor.shape = labels->shape;
  }
  memcpy(labels->shape, features->shape, sizeof labels->shape);
  return labels;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

/* A sum of eight sums, which do not wait for each other: so the compiler makes vectors of them. */
static float dot_product(const float* restrict a, const float* restrict b, int32_t dim) {
  float sums[8] = {0}, sum = 0;
  int32_t c = 0;
  for (; c + 8 <= dim; c += 8)
    for (int k = 0; k < 8; k++) sums[k] += a[c + k] * b[c + k];
  for (; c < dim; c++) sum += a[c] * b[c];
  for (int k = 0; k < 8; k++) sum += sums[k];
  return sum;
}

/* As the kernel does, patch after patch. Returns whether there was memory. */
static bool compute_on_host(const struct nearest_parameters* p) {
  float* const scales = malloc((size_t)p->known_patches * sizeof *scales); /* 1 / length of each known patch */
  if (scales == NULL) return false;
  for (int32_t i = 0; i < p->known_patches; i++) {
    const float* const known = p->known + (int64_t)i * p->step;
    scales[i] = 1 / sqrtf(dot_product(known, known, p->dim));
  }
  for (int32_t patch = 0; patch < p->patches; patch++) {
    const float* const own = p->features + (int64_t)patch * p->step;
    float best = -INFINITY;
    int32_t nearest_patch = 0;
    for (int32_t i = 0; i < p->known_patches; i++) {
      const float similarity = dot_product(own, p->known + (int64_t)i * p->step, p->dim) * scales[i];
      if (similarity > best) {
        best = similarity;
        nearest_patch = i;
      }
    }
    p->labels[patch] = p->known_labels[nearest_patch];
  }
  free(scales);
  return true;
}

/* The tensors that a kernel reads, until it is done. */
enum { FEATURES, KNOWN, KNOWN_LABELS, INPUTS };
struct inputs {
  struct DLManagedTensorVersioned* tensors[INPUTS]; /* null: not taken yet */
};

static void let_go(struct inputs* inputs) {
  for (int i = 0; i < INPUTS; i++) {
    struct DLManagedTensorVersioned* const tensor = inputs->tensors[i];
    if (tensor != NULL && tensor->deleter != NULL) tensor->deleter(tensor);
  }
  free(inputs);
}

/*
 * The driver calls `kernel_done` on a thread where no function of CUDA may be called, and a deleter may call one. So
 * the inputs go to the thread of JavaScript, which deletes them when its event loop turns, or the environment ends.
 */
static napi_threadsafe_function when_done;

static void kernel_done(void* inputs) { napi_call_threadsafe_function(when_done, inputs, napi_tsfn_nonblocking); }

static void let_go_on_js_thread(napi_env env, napi_value function, void* context, void* inputs) {
  (void)env, (void)function, (void)context;
  let_go(inputs);
}

/* Queues the kernel, and after it the release of its inputs. Waits for nothing. */
static bool queue_on_gpu(struct nearest_parameters* parameters, struct inputs* inputs) {
  void* all[] = {parameters};
  const unsigned blocks = ((unsigned)parameters->patches + 7) / 8;
  if (gpu.launch(gpu.function, blocks, 1, 1, 256, 1, 1, 0, gpu.stream, all, NULL) != 0) return false;
  if (gpu.call_on_host(gpu.stream, kernel_done, inputs) == 0) return true;
  gpu.synchronize(gpu.stream);
  return false;
}

static bool is_of(const DLTensor* t, int32_t axes, uint8_t code, uint8_t bits) {
  bool is = t->ndim == axes && t->dtype.code == code && t->dtype.bits == bits && t->dtype.lanes == 1;
  for (int32_t i = 0; is && i < axes; i++) is = t->shape[i] > 0;
  return is;
}

/* Patches are side by side, with a gap after each at most. */
static bool are_features(const DLTensor* t) {
  return is_of(t, 3, kDLFloat, 32) && t->strides != NULL && t->strides[2] == 1 &&
         t->strides[0] == t->shape[1] * t->strides[1];
}

static bool is_at_hand(const DLTensor* t, const DLDevice* device) {
  if (device->device_type != kDLCUDA) return t->device.device_type == kDLCPU;
  return t->device.device_type == kDLCUDA && gpu.stream != NULL && t->device.device_id == gpu.device;
}

/* Returns null, or what is wrong. */
static const char* check_inputs(const DLTensor* features, const DLTensor* known, const DLTensor* labels) {
  if (!are_features(features) || !are_features(known) || features->shape[2] != known->shape[2] ||
      features->strides[1] != known->strides[1])
    return "features: must be those of one model, in float32";
  if (!is_of(labels, 2, kDLUInt, 8) || labels->shape[0] != known->shape[0] || labels->shape[1] != known->shape[1] ||
      (labels->strides != NULL && (labels->strides[1] != 1 || labels->strides[0] != labels->shape[1])))
    return "labels: must be one uint8 for each known patch";
  if (!is_at_hand(features, &features->device) || !is_at_hand(known, &features->device) ||
      !is_at_hand(labels, &features->device))
    return "the tensors are not all on the host, or on the GPU that was opened";
  return NULL;
}

static void* first_value(const DLTensor* t) { return (char*)t->data + t->byte_offset; }

/* nearest(features, knownFeatures, knownLabels): the labels of a picture. All four are capsules. */
static napi_value nearest(napi_env env, napi_callback_info info) {
  size_t count = INPUTS;
  napi_value arguments[INPUTS], result = NULL;
  struct inputs* const inputs = calloc(1, sizeof *inputs);
  if (inputs == NULL) return NULL;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  for (int i = 0; i < INPUTS; i++) {
    inputs->tensors[i] = dinov3_flow_take(env, arguments[i]);
    if (inputs->tensors[i] == NULL) {
      let_go(inputs); /* the error is pending */
      return NULL;
    }
  }
  const DLTensor *const features = &inputs->tensors[FEATURES]->dl_tensor,
                        *const known = &inputs->tensors[KNOWN]->dl_tensor,
                        *const known_labels = &inputs->tensors[KNOWN_LABELS]->dl_tensor;
  const bool on_gpu = features->device.device_type == kDLCUDA;
  struct labels* labels = NULL;
  const char* wrong = check_inputs(features, known, known_labels);
  if (wrong == NULL && on_gpu && gpu.set_context(gpu.context) != 0) wrong = "the GPU cannot be used";
  if (wrong == NULL && (labels = new_labels(features)) == NULL) wrong = "there is no memory for the labels";
  if (wrong == NULL) {
    struct nearest_parameters p = {.features = first_value(features),
                                   .known = first_value(known),
                                   .known_labels = first_value(known_labels),
                                   .labels = labels->tensor.dl_tensor.data,
                                   .patches = (int32_t)labels->bytes,
                                   .known_patches = (int32_t)(known->shape[0] * known->shape[1]),
                                   .dim = (int32_t)features->shape[2],
                                   .step = (int32_t)features->strides[1]};
    if (on_gpu) {
      if (!queue_on_gpu(&p, inputs)) wrong = "the kernel could not be launched";
    } else if (compute_on_host(&p)) {
      let_go(inputs);
    } else {
      wrong = "there is no memory for the lengths of the features";
    }
  }
  if (wrong == NULL) {
    result = dinov3_flow_give(env, &labels->tensor);
  } else {
    let_go(inputs);
    napi_throw_error(env, NULL, wrong);
  }
  if (result == NULL && labels != NULL) labels->tensor.deleter(&labels->tensor);
  return result;
}

/* openGpu(index, ptx): the handle of the stream on which the labels are computed on that GPU, as a bigint. */
static napi_value open_gpu_of_js(napi_env env, napi_callback_info info) {
  size_t count = 2, length = 0;
  int32_t index = 0;
  napi_value arguments[2], result = NULL;
  napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
  napi_get_value_int32(env, arguments[0], &index);
  napi_get_value_string_utf8(env, arguments[1], NULL, 0, &length);
  char* const ptx = calloc(1, length + 1);
  if (ptx == NULL) return NULL;
  napi_get_value_string_utf8(env, arguments[1], ptx, length + 1, &length);
  const char* const wrong = gpu.stream == NULL    ? open_gpu(index, ptx)
                            : index != gpu.device ? "another GPU was opened before"
                                                  : NULL;
  free(ptx);
  if (wrong != NULL) napi_throw_error(env, NULL, wrong);
  if (wrong == NULL) napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)gpu.stream, &result);
  return result;
}

/* At the end: then the driver calls `kernel_done` no more. */
static void finish(void* nothing) {
  (void)nothing;
  if (gpu.stream != NULL && gpu.set_context(gpu.context) == 0) gpu.synchronize(gpu.stream);
}

NAPI_MODULE_INIT() {
  static atomic_flag loaded = ATOMIC_FLAG_INIT;
  napi_value name, function;
  if (atomic_flag_test_and_set(&loaded)) {
    napi_throw_error(env, NULL, "nearest.node: was loaded by another thread before, and serves one");
    return NULL;
  }
  napi_create_string_utf8(env, "nearest", NAPI_AUTO_LENGTH, &name);
  if (napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, NULL, let_go_on_js_thread, &when_done) !=
      napi_ok)
    return NULL;
  napi_unref_threadsafe_function(env, when_done); /* it does not keep the process alive */
  napi_add_env_cleanup_hook(env, finish, NULL);   /* runs before the function ends: the last added is the first */
  napi_create_function(env, NULL, 0, nearest, NULL, &function);
  napi_set_named_property(env, exports, "nearest", function);
  napi_create_function(env, NULL, 0, open_gpu_of_js, NULL, &function);
  napi_set_named_property(env, exports, "openGpu", function);
  return exports;
}
