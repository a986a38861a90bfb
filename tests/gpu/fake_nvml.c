/* A stand-in for NVIDIA's driver library: two healthy cards unless the environment says otherwise.
 *
 * FAKE_NVML_RULES holds rules apart by blanks, each "function[@card]:code[:after]": that function gives that return
 * code, for that card only, once it has been called more than `after` times. "function:hang" never returns.
 * FAKE_NVML_VALUES holds "function[@card]=value" in the same way: what that function tells (processes: their number;
 * nvmlEventSetWait_v2: an Xid, told once; nvmlDeviceGetMemoryInfo: the bytes in use; modes and flags: 0 or 1).
 * FAKE_NVML_FILE names a file with more of both kinds, read again at each call, so that a test can change its mind.
 * FAKE_NVML_NAME is the name of card 1, FAKE_NVML_UUID its UUID; FAKE_NVML_SLICES cuts card 0 into so many MIG slices.
 * Compiled with -DOLD_DRIVER the functions that came late are missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CARDS = 2, SLICES = 7, NOT_FOUND = 6, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, TIMEOUT = 10 };

struct card { int number; int slice; };
struct memory { unsigned long long total, free, used; };
struct utilization { unsigned int gpu, memory; };

static struct card cards[CARDS] = {{0, -1}, {1, -1}};
static struct card slices[SLICES];
static unsigned long long energy = 5000000;

static int number_from(const char *name) {
    const char *text = getenv(name);
    return text ? atoi(text) : 0;
}

/* All rules and values: of the environment and of the file. */
static void read_rules(char *text, size_t size) {
    const char *rules = getenv("FAKE_NVML_RULES"), *values = getenv("FAKE_NVML_VALUES"), *name = getenv("FAKE_NVML_FILE");
    int length = snprintf(text, size, "%s %s ", rules ? rules : "", values ? values : "");
    FILE *file = name ? fopen(name, "r") : NULL;
    if (file) {
        text[length + (int)fread(text + length, 1, size - (size_t)length - 1, file)] = 0;
        fclose(file);
    }
}

/* What the values say that this function tells of the card, else `usual`. */
static unsigned long long told(const char *function, const struct card *card, unsigned long long usual) {
    char copy[4096], *rest = copy, *rule;
    read_rules(copy, sizeof copy);
    while ((rule = strsep(&rest, " \n"))) {
        char name[128] = "";
        int only = -1;
        unsigned long long value;
        if (sscanf(rule, "%127[^@=:]@%d=%llu", name, &only, &value) < 3) {
            only = -1;
            if (sscanf(rule, "%127[^@=:]=%llu", name, &value) < 2) continue;
        }
        if (!strcmp(name, function) && (only < 0 || !card || card->number == only)) return value;
    }
    return usual;
}

/* The return code that the rules give this call, 0 for none. */
static int fault(const char *function, const struct card *card) {
    static struct { char rule[160]; int calls; } seen[32];
    char copy[4096], *rest = copy, *rule;
    read_rules(copy, sizeof copy);
    while ((rule = strsep(&rest, " \n"))) {
        char name[128] = "", code[32] = "";
        int only = -1, after = 0, slot = 0;
        if (sscanf(rule, "%127[^@:]@%d:%31[^:]:%d", name, &only, code, &after) < 3) {
            only = -1, after = 0;
            if (sscanf(rule, "%127[^@:]:%31[^:]:%d", name, code, &after) < 2) continue;
        }
        if (strcmp(name, function) || (only >= 0 && card && card->number != only)) continue;
        if (!strcmp(code, "hang")) for (;;) pause();
        while (slot < 31 && seen[slot].calls && strcmp(seen[slot].rule, rule)) slot++;
        snprintf(seen[slot].rule, sizeof seen[slot].rule, "%s", rule);
        if (seen[slot].calls++ >= after) return atoi(code);
    }
    return 0;
}

#define GIVE(card) do { int code = fault(__func__, card); if (code) return code; } while (0)

int nvmlInitWithFlags(unsigned int flags) { (void)flags; GIVE(NULL); return 0; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { GIVE(NULL); return 0; }
const char *nvmlErrorString(int code) { (void)code; return "an error made by the fake"; }

int nvmlSystemGetDriverVersion(char *text, unsigned int length) {
    GIVE(NULL);
    snprintf(text, length, "580.65.06");
    return 0;
}

int nvmlDeviceGetCount_v2(unsigned int *count) { GIVE(NULL); *count = (unsigned int)told(__func__, NULL, CARDS); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { GIVE(NULL); *version = 13000; return 0; }
int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct card **handle) {
    if (index >= CARDS) return NOT_FOUND;
    GIVE(&cards[index]);
    *handle = &cards[index];
    return 0;
}

/* Some tests number the cards the other way round. */
static void own_uuid(int number, char *text, unsigned int length) {
    const char *other = getenv("FAKE_NVML_UUID");
    int swapped = (int)told("swap", NULL, 0);
    if (number == 1 && other) snprintf(text, length, "%s", other);
    else snprintf(text, length, "GPU-11111111-2222-3333-4444-00000000000%d", swapped ? 1 - number : number);
}

int nvmlDeviceGetUUID(struct card *card, char *text, unsigned int length) {
    GIVE(card);
    if (card->slice >= 0) snprintf(text, length, "MIG-00000000-0000-0000-0000-0000000000%d%d", card->number, card->slice);
    else own_uuid(card->number, text, length);
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct card **handle) {
    int slice = number_from("FAKE_NVML_SLICES");
    if (slice > 0 && !strncmp(uuid, "MIG-", 4)) {
        GIVE(&cards[0]);
        slices[0].number = 0, slices[0].slice = 0;
        *handle = &slices[0];
        return 0;
    }
    for (int number = 0; number < CARDS; number++) {
        char own[96];
        own_uuid(number, own, sizeof own);
        if (strcmp(own, uuid)) continue;
        GIVE(&cards[number]);
        *handle = &cards[number];
        return 0;
    }
    return NOT_FOUND;
}

int nvmlDeviceGetName(struct card *card, char *text, unsigned int length) {
    const char *other = getenv("FAKE_NVML_NAME");
    GIVE(card);
    snprintf(text, length, "%s", card->number == 1 && other ? other : "NVIDIA H100 80GB HBM3");
    return 0;
}

int nvmlDeviceGetMemoryInfo(struct card *card, struct memory *memory) {
    GIVE(card);
    memory->total = told("memory_total", card, 85520809984ULL);
    memory->used = told(__func__, card, 400000000ULL);
    memory->free = memory->total - memory->used;
    return 0;
}

/* Functions that tell one number. */
#define TELLS(function, usual) \
    int function(struct card *card, unsigned int *value) { GIVE(card); *value = (unsigned int)told(__func__, card, usual); return 0; }
#define TELLS_OF(function, usual) \
    int function(struct card *card, int kind, unsigned int *value) { (void)kind; GIVE(card); *value = (unsigned int)told(__func__, card, usual); return 0; }

TELLS(nvmlDeviceGetEnforcedPowerLimit, 700000)
TELLS(nvmlDeviceGetPowerManagementDefaultLimit, 700000)
TELLS(nvmlDeviceGetPowerUsage, 123456)
TELLS(nvmlDeviceGetComputeMode, 0)
TELLS(nvmlDeviceGetPersistenceMode, 1)
TELLS(nvmlDeviceGetPerformanceState, 0)
TELLS(nvmlDeviceGetCurrPcieLinkGeneration, 5)
TELLS(nvmlDeviceGetMaxPcieLinkGeneration, 5)
TELLS(nvmlDeviceGetCurrPcieLinkWidth, 16)
TELLS(nvmlDeviceGetMaxPcieLinkWidth, 16)
TELLS(nvmlDeviceGetPcieReplayCounter, 0)
TELLS(nvmlDeviceGetRetiredPagesPendingStatus, 0)
TELLS_OF(nvmlDeviceGetTemperature, 41)
TELLS_OF(nvmlDeviceGetTemperatureThreshold, 87)
TELLS_OF(nvmlDeviceGetMaxClockInfo, 1980)

int nvmlDeviceGetVbiosVersion(struct card *card, char *text, unsigned int length) {
    GIVE(card);
    snprintf(text, length, "96.00.89.00.01");
    return 0;
}

int nvmlDeviceGetEccMode(struct card *card, unsigned int *current, unsigned int *pending) {
    GIVE(card);
    *current = *pending = (unsigned int)told(__func__, card, 1);
    return 0;
}

int nvmlDeviceGetTotalEccErrors(struct card *card, int type, int counter, unsigned long long *count) {
    (void)type, (void)counter;
    GIVE(card);
    *count = told(__func__, card, 0);
    return 0;
}

/* The value's first bit: a remap waits; its second: one failed. */
int nvmlDeviceGetRemappedRows(struct card *card, unsigned int *corrected, unsigned int *uncorrected, unsigned int *waits, unsigned int *failed) {
    unsigned int bits;
    GIVE(card);
    bits = (unsigned int)told(__func__, card, 0);
    *corrected = *uncorrected = 0, *waits = bits & 1, *failed = bits >> 1 & 1;
    return 0;
}

struct field { unsigned int id, scope; long long timestamp, latency; int type, code; union { unsigned int small; unsigned long long large; } value; };

int nvmlDeviceGetFieldValues(struct card *card, int count, struct field *fields) {
    GIVE(card);
    for (int i = 0; i < count; i++) {
        fields[i].type = 1, fields[i].code = fields[i].id == 230 ? 0 : NOT_SUPPORTED;
        fields[i].value.small = (unsigned int)told("recovery_action", card, 0);
    }
    return 0;
}

struct process { unsigned int pid; unsigned long long memory; unsigned int gpu_instance, compute_instance; };

static int processes(const char *function, struct card *card, unsigned int *count, struct process *list) {
    unsigned long long pid = told(function, card, 0);
    if (!pid) { *count = 0; return 0; }
    if (!list || *count < 1) { *count = 1; return INSUFFICIENT_SIZE; }
    list[0].pid = (unsigned int)pid, list[0].memory = 300000000ULL, *count = 1;
    return 0;
}

int nvmlDeviceGetComputeRunningProcesses_v3(struct card *card, unsigned int *count, struct process *list) { GIVE(card); return processes(__func__, card, count, list); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(struct card *card, unsigned int *count, struct process *list) { GIVE(card); return processes(__func__, card, count, list); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(struct card *card, unsigned int *count, struct process *list) { GIVE(card); return processes(__func__, card, count, list); }

struct event { struct card *card; unsigned long long type, number; unsigned int gpu_instance, compute_instance; };
static struct card *watched = cards;

int nvmlEventSetCreate(void **set) { GIVE(NULL); *set = cards; return 0; }
int nvmlEventSetFree(void *set) { (void)set; GIVE(NULL); return 0; }
int nvmlDeviceRegisterEvents(struct card *card, unsigned long long types, void *set) { (void)types, (void)set; GIVE(card); watched = card; return 0; }

int nvmlEventSetWait_v2(void *set, struct event *event, unsigned int milliseconds) {
    static unsigned long long last;
    unsigned long long number;
    (void)set, (void)milliseconds;
    GIVE(watched);
    number = told(__func__, watched, 0);
    if (!number || number == last) return TIMEOUT;
    last = number;
    event->card = watched, event->type = 8, event->number = number;
    return 0;
}

int nvmlDeviceGetCudaComputeCapability(struct card *card, int *major, int *minor) {
    GIVE(card);
    *major = 9, *minor = 0;
    return 0;
}

int nvmlDeviceGetClockInfo(struct card *card, int kind, unsigned int *megahertz) {
    GIVE(card);
    *megahertz = kind == 2 ? 2619 : 1755;
    return 0;
}

int nvmlDeviceGetUtilizationRates(struct card *card, struct utilization *rates) {
    GIVE(card);
    rates->gpu = 87, rates->memory = 12;
    return 0;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(struct card *card, unsigned long long *reasons) { GIVE(card); *reasons = told(__func__, card, 4); return 0; }

#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(struct card *card, unsigned long long *reasons) { GIVE(card); *reasons = told(__func__, card, 4); return 0; }

int nvmlDeviceGetTotalEnergyConsumption(struct card *card, unsigned long long *millijoules) {
    GIVE(card);
    *millijoules = energy += 60000;
    return 0;
}

int nvmlDeviceGetMigMode(struct card *card, unsigned int *current, unsigned int *pending) {
    GIVE(card);
    *current = card->number == 0 && number_from("FAKE_NVML_SLICES") > 0;
    *pending = (unsigned int)told("mig_pending", card, *current);
    return 0;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(struct card *slice, struct card **card) {
    GIVE(slice);
    *card = &cards[slice->number];
    return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(struct card *card, unsigned int *count) { GIVE(card); *count = SLICES; return 0; }

int nvmlDeviceGetMigDeviceHandleByIndex(struct card *card, unsigned int index, struct card **handle) {
    GIVE(card);
    if ((int)index >= number_from("FAKE_NVML_SLICES")) return NOT_FOUND;
    slices[index].number = card->number, slices[index].slice = (int)index;
    *handle = &slices[index];
    return 0;
}
#endif
