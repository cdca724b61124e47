/* Stands for NVIDIA's driver and cuBLAS where there is no GPU, so that the way to
   a kernel can be tested up to its launch: libgpuarray loads this by the names
   libcuda.so and libcublas.so, and real NVRTC compiles. Memory is the host's, a
   launch does nothing, and a product leaves its result as it is.

   STAND_IN_CAPABILITY   compute capability of the device, such as 9.0
   STAND_IN_PTX          folder into which the PTX of each kernel is written
   STAND_IN_DEVICES      number of devices, 1 by default; 0 as with a driver but no GPU */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NO_DEVICE = 100, INVALID_DEVICE = 101 };
typedef uint64_t pointer;

static int devices(void) {
  const char *text = getenv("STAND_IN_DEVICES");
  return text ? atoi(text) : 1;
}

int cuInit(unsigned flags) { return devices() ? SUCCESS : NO_DEVICE; }
int cuDriverGetVersion(int *version) { return *version = 12090, SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = devices(), SUCCESS; }
int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal < devices() ? SUCCESS : INVALID_DEVICE;
}
int cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "stand-in"), SUCCESS; }
int cuDeviceGetPCIBusId(char *id, int size, int device) { return snprintf(id, size, "0000:00:00.0"), SUCCESS; }

int cuDeviceGetAttribute(int *value, int attribute, int device) {
  const char *capability = getenv("STAND_IN_CAPABILITY");
  int major = 9, minor = 0;
  if (capability) sscanf(capability, "%d.%d", &major, &minor);
  switch (attribute) {
    case 4: *value = 64; break;          /* threads of a block, third dimension */
    case 5: *value = 2147483647; break;  /* blocks, first dimension */
    case 6: case 7: *value = 65535; break;
    case 8: *value = 49152; break;       /* bytes of shared memory of a block */
    case 10: *value = 32; break;         /* threads of a warp */
    case 16: *value = 100; break;        /* multiprocessors */
    case 41: *value = 1; break;          /* unified addressing */
    case 75: *value = major; break;
    case 76: *value = minor; break;
    default: *value = 1024;
  }
  return SUCCESS;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { return *flags = 0, *active = 0, SUCCESS; }
int cuDevicePrimaryCtxSetFlags(int device, unsigned flags) { return SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return *context = malloc(1), SUCCESS; }
int cuDevicePrimaryCtxRelease(int device) { return SUCCESS; }
int cuCtxPushCurrent_v2(void *context) { return SUCCESS; }
int cuCtxPopCurrent_v2(void **context) { return SUCCESS; }
int cuCtxGetDevice(int *device) { return *device = 0, SUCCESS; }

int cuStreamCreate(void **stream, unsigned flags) { return *stream = malloc(1), SUCCESS; }
int cuStreamDestroy_v2(void *stream) { return free(stream), SUCCESS; }
int cuStreamSynchronize(void *stream) { return SUCCESS; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }
int cuEventCreate(void **event, unsigned flags) { return *event = malloc(1), SUCCESS; }
int cuEventDestroy_v2(void *event) { return free(event), SUCCESS; }
int cuEventRecord(void *event, void *stream) { return SUCCESS; }
int cuEventSynchronize(void *event) { return SUCCESS; }

int cuMemAlloc_v2(pointer *p, size_t size) { return *p = (pointer)calloc(1, size), SUCCESS; }
int cuMemFree_v2(pointer p) { return free((void *)p), SUCCESS; }
int cuMemAllocHost_v2(void **p, size_t size) { return *p = calloc(1, size), SUCCESS; }
int cuMemFreeHost(void *p) { return free(p), SUCCESS; }
int cuMemGetInfo_v2(size_t *unused, size_t *total) { return *unused = *total = (size_t)1 << 33, SUCCESS; }
static int copy(pointer to, pointer from, size_t size) { return memmove((void *)to, (void *)from, size), SUCCESS; }
int cuMemcpyHtoD_v2(pointer to, pointer from, size_t size) { return copy(to, from, size); }
int cuMemcpyHtoDAsync_v2(pointer to, pointer from, size_t size, void *stream) { return copy(to, from, size); }
int cuMemcpyDtoHAsync_v2(pointer to, pointer from, size_t size, void *stream) { return copy(to, from, size); }
int cuMemcpyDtoDAsync_v2(pointer to, pointer from, size_t size, void *stream) { return copy(to, from, size); }
int cuMemcpyPeerAsync(pointer to, void *to_context, pointer from, void *from_context, size_t size, void *stream) {
  return copy(to, from, size);
}
int cuMemsetD8Async(pointer p, unsigned char value, size_t size, void *stream) {
  return memset((void *)p, value, size), SUCCESS;
}
int cuIpcGetMemHandle(void *handle, pointer p) { return NO_DEVICE; }
int cuIpcOpenMemHandle(pointer *p, void *handle, unsigned flags) { return NO_DEVICE; }
int cuIpcCloseMemHandle(pointer p) { return NO_DEVICE; }

int cuLinkCreate(unsigned n, void *options, void *values, void **state) { return *state = calloc(1, 8), SUCCESS; }
int cuLinkAddData(char **state, int type, void *data, size_t size, const char *name, unsigned n, void *o, void *v) {
  return *state = strndup(data, size), SUCCESS;
}
int cuLinkComplete(char **state, void **binary, size_t *size) {
  return *binary = *state, *size = strlen(*state) + 1, SUCCESS;
}
int cuLinkDestroy(void *state) { return SUCCESS; }
int cuModuleLoadData(void **module, const void *image) {
  static int n = 0;
  const char *folder = getenv("STAND_IN_PTX");
  if (folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d.ptx", folder, n++);
    FILE *file = fopen(path, "w");
    fputs(image, file);
    fclose(file);
  }
  return *module = malloc(1), SUCCESS;
}
int cuModuleLoadDataEx(void **module, const void *image, unsigned n, void *options, void *values) {
  return cuModuleLoadData(module, image);
}
int cuModuleUnload(void *module) { return free(module), SUCCESS; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return *function = malloc(1), SUCCESS; }
int cuFuncGetAttribute(int *value, int attribute, void *function) { return *value = 1024, SUCCESS; }
int cuLaunchKernel(void *f, unsigned a, unsigned b, unsigned c, unsigned d, unsigned e, unsigned g, unsigned shared,
                   void *stream, void **arguments, void **extra) {
  return SUCCESS;
}

/* NVRTC looks for its cache there. */
int cuGetExportTable(const void **table, const void *id) { return *table = NULL, NO_DEVICE; }

int cuGetErrorName(int error, const char **text) { return *text = "error of the stand-in", SUCCESS; }
int cuGetErrorString(int error, const char **text) {
  *text = error == NO_DEVICE ? "no CUDA-capable device is detected" : "invalid device ordinal";
  return SUCCESS;
}

int cublasCreate_v2(void **handle) { return *handle = malloc(1), SUCCESS; }
int cublasDestroy_v2(void *handle) { return free(handle), SUCCESS; }
int cublasSetStream_v2(void *handle, void *stream) { return SUCCESS; }
int cublasSetPointerMode_v2(void *handle, int mode) { return SUCCESS; }
int cublasGetPointerMode_v2(void *handle, int *mode) { return *mode = 0, SUCCESS; }
int cublasSetAtomicsMode(void *handle, int mode) { return SUCCESS; }
#define PRODUCT(name) int name(void) { return SUCCESS; }
PRODUCT(cublasSdot_v2)
PRODUCT(cublasDdot_v2)
PRODUCT(cublasSgemm_v2)
PRODUCT(cublasDgemm_v2)
PRODUCT(cublasSgemv_v2)
PRODUCT(cublasDgemv_v2)
PRODUCT(cublasSger_v2)
PRODUCT(cublasDger_v2)
PRODUCT(cublasSgemmBatched)
PRODUCT(cublasDgemmBatched)
