/* A stand-in for libcuda.so.1 that keeps the books: it logs each call, hands out handles, refuses one that is dead or of
 * another kind, and fails where it is told to. The kernel `echo` writes its launch into memory; no other does anything.
 *
 * STUB_LOG       a file: `call NAME CODE`, `new KIND`, `end KIND`, a line each
 * STUB_FAIL_AT   the number of the call that fails, from 1
 * STUB_FAIL      names of calls that fail, with commas
 * STUB_LOST_AFTER how many launches go well; then the context is lost and all its calls fail
 * STUB_SILENT    the GPU that does not tell its memory; STUB_ABSENT a kernel that no module has
 * STUB_MEMORY    bytes of each GPU; STUB_FREE how many of them are free
 * STUB_VERSION   what cuDriverGetVersion says; STUB_GPUS how many GPUs; STUB_CC their compute capability times ten
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OK = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_PTX = 218,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    ILLEGAL_ADDRESS = 700,
    UNKNOWN = 999
};

#define MEMORY ((size_t)number("STUB_MEMORY", 1L << 30))
#define MOST 4096
#define MOST_NODES 512

typedef struct {
    unsigned grid[3], block[3], shared;
    uint64_t out, tag;
    uint32_t slot;
    uint16_t half;
} Echo;

typedef struct Handle {
    const char *kind;
    int alive;
    /* A graph's nodes, a node's launch, an event's time, the shared memory that a function was promised. */
    struct Handle *nodes[MOST_NODES];
    int count, time;
    /* Edges of a graph that were added by themselves. */
    int linked;
    unsigned shared;
    int echoes;
    /* The context it was made in: it is of use in no other. */
    const struct Handle *home;
    Echo echo;
    /* What each node of an instantiated graph launches now. */
    Echo echoes_of[MOST_NODES];
} Handle;

typedef struct {
    char *start;
    size_t bytes;
    const Handle *home;
} Allocation;

static Allocation allocations[MOST];
static int allocated, calls, launches, clock_now;
/* One a GPU; `count` is how often it is retained. */
static Handle contexts[8];
static Handle *current;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

static void note(const char *what, const char *name, const char *rest) {
    const char *path = getenv("STUB_LOG");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s %s%s\n", what, name, rest);
        fclose(file);
    }
}

static int named(const char *list, const char *name) {
    size_t length = strlen(name);
    for (const char *at = list; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, name, length) && (at[length] == ',' || !at[length]))
            return 1;
    return 0;
}

static int done(const char *name, int code) {
    char text[16];
    snprintf(text, sizeof text, " %d", code);
    note("call", name, text);
    return code;
}

/* Whether this call is told to fail. */
static int told(const char *name) {
    calls++;
    return calls == number("STUB_FAIL_AT", 0) || named(getenv("STUB_FAIL"), name);
}

/* Each call begins so, and the ones that need the context by the second; each ends by END, which logs it. */
#define END(code) return done(__func__, code)
#define REFUSE_IF(wrong, code)                                                                                            \
    do {                                                                                                                  \
        if (wrong)                                                                                                        \
            END(code);                                                                                                    \
    } while (0)
#define BEGIN REFUSE_IF(told(__func__), UNKNOWN)
#define BEGIN_HERE                                                                                                        \
    BEGIN;                                                                                                                \
    REFUSE_IF(launches >= number("STUB_LOST_AFTER", 1 << 30), ILLEGAL_ADDRESS);                                           \
    REFUSE_IF(!current || !current->alive, INVALID_CONTEXT)
#define NEED(handle, name) REFUSE_IF(!is(handle, name), INVALID_HANDLE)

static int is(const Handle *handle, const char *kind) {
    return handle && handle->alive && !strcmp(handle->kind, kind) && (!handle->home || handle->home == current);
}

static Handle *make(const char *kind) {
    Handle *handle = calloc(1, sizeof *handle);
    handle->kind = kind;
    handle->alive = 1;
    handle->home = current;
    note("new", kind, "");
    return handle;
}

static void end(Handle *handle) {
    handle->alive = 0;
    note("end", handle->kind, "");
}

/* Copies from and to page-locked memory happen as late as a GPU may make them: with the next thing on the stream that is no
 * such copy, or when somebody waits. */
typedef struct {
    char *to;
    const char *from;
    size_t bytes;
} Copy;

static Copy pending[MOST];
static int waiting;

static void drain(void) {
    for (int i = 0; i < waiting; i++)
        memcpy(pending[i].to, pending[i].from, pending[i].bytes);
    waiting = 0;
}

static Allocation locked[MOST];
static int locks;

static Allocation *find_locked(const void *at) {
    for (int i = 0; i < locks; i++)
        if (locked[i].start && (const char *)at >= locked[i].start && (const char *)at < locked[i].start + locked[i].bytes)
            return &locked[i];
    return NULL;
}

static void copy(void *to, const void *from, size_t bytes, const void *host) {
    if (waiting == MOST || !find_locked(host))
        drain();
    pending[waiting++] = (Copy){to, from, bytes};
    if (!find_locked(host))
        drain();
}

static Allocation *find(uint64_t at, size_t bytes) {
    for (int i = 0; i < allocated; i++) {
        uint64_t start = (uint64_t)(uintptr_t)allocations[i].start;
        if (allocations[i].start && allocations[i].home == current && at >= start && at + bytes <= start + allocations[i].bytes)
            return &allocations[i];
    }
    return NULL;
}

int cuGetErrorName(int code, const char **out) {
    BEGIN;
    *out = code == UNKNOWN           ? "CUDA_ERROR_UNKNOWN"
           : code == INVALID_PTX     ? "CUDA_ERROR_INVALID_PTX"
           : code == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                     : NULL;
    END(*out ? OK : INVALID_VALUE);
}

int cuGetErrorString(int code, const char **out) {
    BEGIN;
    *out = code == UNKNOWN ? "told to fail" : code == INVALID_PTX ? "a PTX JIT compilation failed" : NULL;
    END(*out ? OK : INVALID_VALUE);
}

int cuDriverGetVersion(int *version) {
    BEGIN;
    *version = (int)number("STUB_VERSION", 12000);
    END(OK);
}

int cuInit(unsigned flags) {
    BEGIN;
    REFUSE_IF(flags, INVALID_VALUE);
    END(number("STUB_GPUS", 1) ? OK : NO_DEVICE);
}

int cuDeviceGetCount(int *count) {
    BEGIN;
    *count = (int)number("STUB_GPUS", 1);
    END(OK);
}

int cuDeviceGet(int *device, int ordinal) {
    BEGIN;
    *device = 40 + ordinal;
    END(ordinal < number("STUB_GPUS", 1) ? OK : INVALID_DEVICE);
}

int cuDeviceGetName(char *name, int bytes, int device) {
    BEGIN;
    snprintf(name, (size_t)bytes, "Stub GPU %d", device - 40);
    END(OK);
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    BEGIN;
    REFUSE_IF(device - 40 == number("STUB_SILENT", -1), UNKNOWN);
    *bytes = MEMORY;
    END(OK);
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    BEGIN;
    (void)device;
    int capability = (int)number("STUB_CC", 90);
    switch (attribute) {
    case 75: *value = capability / 10; END(OK);
    case 76: *value = capability % 10; END(OK);
    case 16: *value = 66; END(OK);
    case 97: *value = 232448; END(OK);
    default: END(INVALID_VALUE);
    }
}

int cuDevicePrimaryCtxRetain(Handle **out, int device) {
    BEGIN;
    *out = &contexts[device - 40];
    (*out)->kind = "context";
    (*out)->alive = 1;
    (*out)->count++;
    note("new", "context", "");
    END(OK);
}

int cuDevicePrimaryCtxRelease_v2(int device) {
    BEGIN;
    Handle *context = &contexts[device - 40];
    REFUSE_IF(!context->count, INVALID_CONTEXT);
    context->alive = --context->count > 0;
    note("end", "context", "");
    END(OK);
}

int cuCtxSetCurrent(Handle *handle) {
    BEGIN;
    NEED(handle, "context");
    current = handle;
    END(OK);
}

int cuStreamCreate(Handle **out, unsigned flags) {
    BEGIN_HERE;
    REFUSE_IF(flags != 1, INVALID_VALUE);
    *out = make("stream");
    END(OK);
}

int cuStreamDestroy_v2(Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    end(stream);
    END(OK);
}

int cuStreamSynchronize(Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    drain();
    END(OK);
}

int cuMemGetInfo_v2(size_t *available, size_t *total) {
    BEGIN_HERE;
    *available = (size_t)number("STUB_FREE", (long)MEMORY - 4096);
    *total = MEMORY;
    END(OK);
}

int cuMemAlloc_v2(uint64_t *out, size_t bytes) {
    BEGIN_HERE;
    int place = 0;
    while (place < allocated && allocations[place].start)
        place++;
    REFUSE_IF(!bytes || place == MOST, INVALID_VALUE);
    REFUSE_IF(bytes > MEMORY, OUT_OF_MEMORY);
    /* Kernels write nothing, so what they were to write is zero. */
    char *start = memset(aligned_alloc(256, (bytes + 255) / 256 * 256), 0, bytes);
    allocations[place] = (Allocation){start, bytes, current};
    allocated += place == allocated;
    *out = (uint64_t)(uintptr_t)start;
    note("new", "memory", "");
    END(OK);
}

int cuMemFree_v2(uint64_t at) {
    BEGIN_HERE;
    Allocation *found = find(at, 0);
    REFUSE_IF(!found || (uint64_t)(uintptr_t)found->start != at, INVALID_VALUE);
    /* It waits for what is queued. */
    drain();
    free(found->start);
    found->start = NULL;
    note("end", "memory", "");
    END(OK);
}

int cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
    BEGIN_HERE;
    REFUSE_IF(!bytes || flags || locks == MOST, INVALID_VALUE);
    *out = malloc(bytes);
    locked[locks++] = (Allocation){*out, bytes, current};
    note("new", "locked", "");
    END(OK);
}

int cuMemFreeHost(void *start) {
    BEGIN_HERE;
    Allocation *found = find_locked(start);
    REFUSE_IF(!found || found->start != start || found->home != current, INVALID_VALUE);
    drain();
    free(found->start);
    found->start = NULL;
    note("end", "locked", "");
    END(OK);
}

int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    REFUSE_IF(!find(to, bytes), INVALID_VALUE);
    copy((void *)(uintptr_t)to, from, bytes, from);
    END(OK);
}

int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    REFUSE_IF(!find(from, bytes), INVALID_VALUE);
    copy(to, (void *)(uintptr_t)from, bytes, to);
    END(OK);
}

/* What overlaps is not defined. */
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    REFUSE_IF(!find(from, bytes) || !find(to, bytes), INVALID_VALUE);
    REFUSE_IF((to > from ? to - from : from - to) < bytes, INVALID_VALUE);
    drain();
    memcpy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes);
    END(OK);
}

int cuMemsetD8Async(uint64_t to, unsigned char byte, size_t bytes, Handle *stream) {
    BEGIN_HERE;
    NEED(stream, "stream");
    REFUSE_IF(!bytes || !find(to, bytes), INVALID_VALUE);
    drain();
    memset((void *)(uintptr_t)to, byte, bytes);
    END(OK);
}

/* Takes an ELF file or PTX; PTX with `broken` in it does not compile, and says so in the log that was asked for. */
int cuModuleLoadDataEx(Handle **out, const char *code, unsigned count, int *options, void **values) {
    BEGIN_HERE;
    int elf = !memcmp(code, "\177ELF", 4);
    note("load", elf ? "cubin" : "ptx", "");
    if (!elf && strstr(code, "broken")) {
        if (count == 2 && options[0] == 5 && options[1] == 6)
            snprintf(values[0], (size_t)values[1], "ptxas: line 3: broken\n");
        END(INVALID_PTX);
    }
    *out = make("module");
    END(OK);
}

int cuModuleUnload(Handle *module) {
    BEGIN_HERE;
    NEED(module, "module");
    end(module);
    END(OK);
}

int cuModuleGetFunction(Handle **out, Handle *module, const char *name) {
    BEGIN_HERE;
    NEED(module, "module");
    REFUSE_IF(!strncmp(name, "absent", 6) || named(getenv("STUB_ABSENT"), name), NOT_FOUND);
    *out = calloc(1, sizeof **out);
    **out = (Handle){.kind = "function", .alive = 1, .home = current, .shared = 48 << 10, .echoes = !strcmp(name, "echo")};
    END(OK);
}

int cuFuncSetAttribute(Handle *function, int attribute, int value) {
    BEGIN_HERE;
    NEED(function, "function");
    REFUSE_IF(attribute != 8 || value > 232448, INVALID_VALUE);
    function->shared = (unsigned)value;
    END(OK);
}

static void read_parameters(Echo *echo, void **parameters) {
    memcpy(&echo->out, parameters[0], sizeof echo->out);
    memcpy(&echo->slot, parameters[1], sizeof echo->slot);
    memcpy(&echo->tag, parameters[2], sizeof echo->tag);
    memcpy(&echo->half, parameters[3], sizeof echo->half);
}

/* What each launch does: 11 words at `out`, from word 11 * slot on. */
static int run(const Echo *echo) {
    uint64_t at = echo->out + echo->slot * 44u;
    uint32_t words[11] = {echo->grid[0],  echo->grid[1],  echo->grid[2], echo->block[0],       echo->block[1],
                          echo->block[2], echo->shared,   echo->slot,    (uint32_t)echo->tag, (uint32_t)(echo->tag >> 32),
                          echo->half};
    if (!find(at, sizeof words))
        return INVALID_VALUE;
    memcpy((void *)(uintptr_t)at, words, sizeof words);
    return OK;
}

int cuLaunchKernel(Handle *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Handle *stream, void **parameters, void **extra) {
    BEGIN_HERE;
    NEED(function, "function");
    NEED(stream, "stream");
    REFUSE_IF(extra || shared > function->shared, INVALID_VALUE);
    drain();
    launches++;
    if (!function->echoes)
        END(OK);
    Echo echo = {.grid = {gx, gy, gz}, .block = {bx, by, bz}, .shared = shared};
    read_parameters(&echo, parameters);
    END(run(&echo));
}

/* With the flag 2 it has no time. */
int cuEventCreate(Handle **out, unsigned flags) {
    BEGIN_HERE;
    REFUSE_IF(flags && flags != 2, INVALID_VALUE);
    *out = make("event");
    (*out)->shared = flags;
    END(OK);
}

int cuEventDestroy_v2(Handle *event) {
    BEGIN_HERE;
    NEED(event, "event");
    end(event);
    END(OK);
}

int cuEventRecord(Handle *event, Handle *stream) {
    BEGIN_HERE;
    NEED(event, "event");
    NEED(stream, "stream");
    event->time = ++clock_now;
    event->count = 0;
    END(OK);
}

int cuEventSynchronize(Handle *event) {
    BEGIN_HERE;
    NEED(event, "event");
    drain();
    event->count = 1;
    END(OK);
}

/* An event that nobody waited for is not ready. */
int cuEventElapsedTime(float *milliseconds, Handle *start, Handle *stop) {
    BEGIN_HERE;
    NEED(start, "event");
    NEED(stop, "event");
    REFUSE_IF(!start->time || !stop->time || start->shared || stop->shared, INVALID_HANDLE);
    REFUSE_IF(!start->count || !stop->count, NOT_READY);
    *milliseconds = (float)(stop->time - start->time) / 2;
    END(OK);
}

int cuGraphCreate(Handle **out, unsigned flags) {
    BEGIN_HERE;
    REFUSE_IF(flags, INVALID_VALUE);
    *out = make("graph");
    END(OK);
}

int cuGraphDestroy(Handle *graph) {
    BEGIN_HERE;
    NEED(graph, "graph");
    end(graph);
    END(OK);
}

typedef struct {
    Handle *function;
    unsigned grid[3], block[3], shared;
    void **parameters, **extra;
    void *kernel, *context;
} NodeParameters;

/* Cards of sm_90 and drivers since CUDA 12.3 know edges that let a kernel begin early. */
static int overlaps(void) {
    return number("STUB_CC", 90) >= 90 && number("STUB_VERSION", 12000) >= 12030;
}

/* Each node must depend on the one before, and on nothing else. */
int cuGraphAddKernelNode_v2(Handle **out, Handle *graph, Handle **after, size_t count, const NodeParameters *node) {
    BEGIN_HERE;
    NEED(graph, "graph");
    NEED(node->function, "function");
    size_t expected = graph->count > 0 && !overlaps();
    REFUSE_IF(node->extra || node->kernel || node->context || node->shared > node->function->shared || graph->count == MOST_NODES, INVALID_VALUE);
    REFUSE_IF(count != expected || (count && after[0] != graph->nodes[graph->count - 1]), INVALID_VALUE);
    Handle *made = calloc(1, sizeof *made);
    *made = (Handle){.kind = "node", .alive = 1, .home = current, .echoes = node->function->echoes, .echo = {.shared = node->shared}};
    memcpy(made->echo.grid, node->grid, sizeof node->grid);
    memcpy(made->echo.block, node->block, sizeof node->block);
    if (made->echoes)
        read_parameters(&made->echo, node->parameters);
    graph->nodes[graph->count++] = *out = made;
    END(OK);
}

typedef struct {
    unsigned char from_port, to_port, type, reserved[5];
} Edge;

/* From the last node but one to the last, once its kernel has let go. */
int cuGraphAddDependencies_v2(Handle *graph, Handle **from, Handle **to, const Edge *edge, size_t count) {
    BEGIN_HERE;
    NEED(graph, "graph");
    REFUSE_IF(!overlaps() || count != 1 || graph->count < 2, INVALID_VALUE);
    REFUSE_IF(*from != graph->nodes[graph->count - 2] || *to != graph->nodes[graph->count - 1], INVALID_VALUE);
    REFUSE_IF(edge->from_port != 1 || edge->to_port || edge->type != 1, INVALID_VALUE);
    graph->linked++;
    END(OK);
}

int cuGraphInstantiateWithFlags(Handle **out, Handle *graph, unsigned long long flags) {
    BEGIN_HERE;
    NEED(graph, "graph");
    REFUSE_IF(flags || (overlaps() && graph->linked + 1 != graph->count), INVALID_VALUE);
    *out = make("exec");
    memcpy((*out)->nodes, graph->nodes, sizeof graph->nodes);
    (*out)->count = graph->count;
    for (int i = 0; i < graph->count; i++)
        (*out)->echoes_of[i] = graph->nodes[i]->echo;
    END(OK);
}

/* A node of the graph that it was made from takes another launch of its kernel. */
int cuGraphExecKernelNodeSetParams_v2(Handle *exec, Handle *node, const NodeParameters *changed) {
    BEGIN_HERE;
    NEED(exec, "exec");
    NEED(node, "node");
    NEED(changed->function, "function");
    int place = 0;
    while (place < exec->count && exec->nodes[place] != node)
        place++;
    REFUSE_IF(place == exec->count || changed->function->echoes != node->echoes, INVALID_VALUE);
    REFUSE_IF(changed->extra || changed->kernel || changed->context || changed->shared > changed->function->shared, INVALID_VALUE);
    exec->echoes_of[place] = (Echo){.shared = changed->shared};
    memcpy(exec->echoes_of[place].grid, changed->grid, sizeof changed->grid);
    memcpy(exec->echoes_of[place].block, changed->block, sizeof changed->block);
    if (node->echoes)
        read_parameters(&exec->echoes_of[place], changed->parameters);
    END(OK);
}

int cuGraphExecDestroy(Handle *exec) {
    BEGIN_HERE;
    NEED(exec, "exec");
    end(exec);
    END(OK);
}

int cuGraphLaunch(Handle *exec, Handle *stream) {
    BEGIN_HERE;
    NEED(exec, "exec");
    NEED(stream, "stream");
    drain();
    for (int i = 0; i < exec->count; i++) {
        launches++;
        int code = exec->nodes[i]->echoes ? run(&exec->echoes_of[i]) : OK;
        REFUSE_IF(code, code);
    }
    END(OK);
}
