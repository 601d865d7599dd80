// Measures steps of a policy's graph with ONNX Runtime's C API on bound memory: the lower bound of the cost of a step.
//
//   floor LIBRARY MODEL SECONDS [STATE_INPUT=STATE_OUTPUT...]
//
// Writes a line of JSON: the version, the output of the first step, and the time of each step. It supports models of policies only:
// inputs and outputs are tensors of float32, and free dimensions are 1.

#include <dlfcn.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnxruntime_c_api.h"

enum { WARM_UP = 100, MAX_TENSORS = 16, MAX_DIMENSIONS = 8 };

static const OrtApi *ort;

static void fail(const char *context, const char *reason) {
  fprintf(stderr, "%s: %s\n", context, reason);
  exit(1);
}

#define CHECK(call)                                       \
  do {                                                    \
    OrtStatus *status = (call);                           \
    if (status) fail(#call, ort->GetErrorMessage(status)); \
  } while (0)

typedef struct {
  char *name;
  OrtValue *value;
  float *data;
  size_t count;
} Tensor;

// tensor allocates a tensor of zeros.
static Tensor tensor(char *name, OrtTypeInfo *type, const OrtMemoryInfo *memory) {
  const OrtTensorTypeAndShapeInfo *info;
  CHECK(ort->CastTypeInfoToTensorInfo(type, &info));
  int64_t shape[MAX_DIMENSIONS];
  size_t dimensions;
  CHECK(ort->GetDimensionsCount(info, &dimensions));
  if (dimensions > MAX_DIMENSIONS) fail(name, "too many dimensions");
  CHECK(ort->GetDimensions(info, shape, dimensions));
  Tensor t = {.name = name, .count = 1};
  for (size_t i = 0; i < dimensions; i++) {
    if (shape[i] < 0) shape[i] = 1;
    t.count *= (size_t)shape[i];
  }
  if (posix_memalign((void **)&t.data, 64, t.count * sizeof(float))) fail(name, "no memory");
  memset(t.data, 0, t.count * sizeof(float));
  CHECK(ort->CreateTensorWithDataAsOrtValue(memory, t.data, t.count * sizeof(float), shape, dimensions,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &t.value));
  ort->ReleaseTypeInfo(type);
  return t;
}

static Tensor *find(Tensor *tensors, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (!strcmp(tensors[i].name, name)) return &tensors[i];
  fail(name, "the model has no such input or output");
  return NULL;
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

typedef struct {
  Tensor *from, *to;
} State;

static OrtSession *session;
static OrtIoBinding *binding;
static State states[MAX_TENSORS];
static int state_count;

static void step(void) {
  CHECK(ort->RunWithBinding(session, NULL, binding));
  for (int i = 0; i < state_count; i++) memcpy(states[i].to->data, states[i].from->data, states[i].to->count * sizeof(float));
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 4 + MAX_TENSORS) fail("usage", "floor LIBRARY MODEL SECONDS [STATE_INPUT=STATE_OUTPUT...]");
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library) fail("loading ONNX Runtime", dlerror());
  const OrtApiBase *(*base)(void) = (const OrtApiBase *(*)(void))dlsym(library, "OrtGetApiBase");
  if (!base) fail("loading ONNX Runtime", dlerror());
  ort = base()->GetApi(ORT_API_VERSION);
  if (!ort) fail("loading ONNX Runtime", "the library is older than its header");

  // The settings of compute/onnx: one thread, no spinning.
  OrtEnv *env;
  OrtSessionOptions *options;
  OrtAllocator *allocator;
  OrtMemoryInfo *memory;
  CHECK(ort->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "floor", &env));
  CHECK(ort->CreateSessionOptions(&options));
  CHECK(ort->SetIntraOpNumThreads(options, 1));
  CHECK(ort->SetInterOpNumThreads(options, 1));
  CHECK(ort->SetSessionExecutionMode(options, ORT_SEQUENTIAL));
  CHECK(ort->AddSessionConfigEntry(options, "session.intra_op.allow_spinning", "0"));
  CHECK(ort->AddSessionConfigEntry(options, "session.inter_op.allow_spinning", "0"));
  CHECK(ort->CreateSession(env, argv[2], options, &session));
  CHECK(ort->CreateIoBinding(session, &binding));
  CHECK(ort->GetAllocatorWithDefaultOptions(&allocator));
  CHECK(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));

  Tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
  size_t input_count, output_count;
  CHECK(ort->SessionGetInputCount(session, &input_count));
  CHECK(ort->SessionGetOutputCount(session, &output_count));
  if (input_count > MAX_TENSORS || output_count > MAX_TENSORS) fail(argv[2], "too many inputs or outputs");
  char *name;
  OrtTypeInfo *type;
  for (size_t i = 0; i < input_count; i++) {
    CHECK(ort->SessionGetInputName(session, i, allocator, &name));
    CHECK(ort->SessionGetInputTypeInfo(session, i, &type));
    inputs[i] = tensor(name, type, memory);
    CHECK(ort->BindInput(binding, name, inputs[i].value));
    for (size_t j = 0; j < inputs[i].count; j++) inputs[i].data[j] = (float)sin((double)j);
  }
  for (size_t i = 0; i < output_count; i++) {
    CHECK(ort->SessionGetOutputName(session, i, allocator, &name));
    CHECK(ort->SessionGetOutputTypeInfo(session, i, &type));
    outputs[i] = tensor(name, type, memory);
    CHECK(ort->BindOutput(binding, name, outputs[i].value));
  }
  for (int i = 4; i < argc; i++) {
    char *output = strchr(argv[i], '=');
    if (!output) fail(argv[i], "expected STATE_INPUT=STATE_OUTPUT");
    *output++ = 0;
    State s = {.from = find(outputs, output_count, output), .to = find(inputs, input_count, argv[i])};
    if (s.from->count != s.to->count) fail(argv[i], "the state's input and output differ in size");
    memset(s.to->data, 0, s.to->count * sizeof(float));
    states[state_count++] = s;
  }

  step();
  printf("{\"version\": \"C, ONNX Runtime %s\", \"first\": [", base()->GetVersionString());
  for (size_t i = 0; i < outputs[0].count; i++) printf("%s%.9g", i ? ", " : "", outputs[0].data[i]);
  for (int i = 0; i < WARM_UP; i++) step();
  int64_t length = (int64_t)(atof(argv[3]) * 1e9);
  size_t room = (size_t)(length / 1000) + 1, count = 0;  // No step takes less than 1 us.
  int64_t *samples = malloc(room * sizeof *samples);
  if (!samples) fail("samples", "no memory");
  int64_t end = now_ns() + length;
  for (int64_t began; (began = now_ns()) < end && count < room;) {
    step();
    samples[count++] = now_ns() - began;
  }
  printf("], \"samples_ns\": [");
  for (size_t i = 0; i < count; i++) printf("%s%lld", i ? ", " : "", (long long)samples[i]);
  printf("]}\n");
  return fflush(stdout) ? 1 : 0;
}
