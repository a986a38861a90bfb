/* A stand-in for NVIDIA's driver library: two healthy cards unless the environment says otherwise.
 *
 * FAKE_NVML_RULES holds rules apart by blanks, each "function[@card]:code[:after]": that function gives that return
 * code, for that card only, once it has been called more than `after` times. "function:hang" never returns.
 * FAKE_NVML_NAME is the name of card 1; FAKE_NVML_SLICES cuts card 0 into so many MIG slices.
 * Compiled with -DOLD_DRIVER the functions that came late are missing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CARDS = 2, SLICES = 7, NOT_FOUND = 6, NOT_SUPPORTED = 3 };

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

/* The return code that the rules give this call, 0 for none. */
static int fault(const char *function, const struct card *card) {
    static struct { char rule[160]; int calls; } seen[32];
    const char *rules = getenv("FAKE_NVML_RULES");
    char copy[2048], *rest = copy, *rule;
    if (!rules) return 0;
    snprintf(copy, sizeof copy, "%s", rules);
    while ((rule = strsep(&rest, " "))) {
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

int nvmlDeviceGetCount_v2(unsigned int *count) { GIVE(NULL); *count = CARDS; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct card **handle) {
    if (index >= CARDS) return NOT_FOUND;
    GIVE(&cards[index]);
    *handle = &cards[index];
    return 0;
}

int nvmlDeviceGetUUID(struct card *card, char *text, unsigned int length) {
    GIVE(card);
    if (card->slice >= 0) snprintf(text, length, "MIG-00000000-0000-0000-0000-0000000000%d%d", card->number, card->slice);
    else snprintf(text, length, "GPU-11111111-2222-3333-4444-00000000000%d", card->number);
    return 0;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct card **handle) {
    for (int number = 0; number < CARDS; number++) {
        char own[96];
        snprintf(own, sizeof own, "GPU-11111111-2222-3333-4444-00000000000%d", number);
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
    memory->total = 85520809984ULL;
    memory->used = 1000000000ULL;
    memory->free = memory->total - memory->used;
    return 0;
}

int nvmlDeviceGetEnforcedPowerLimit(struct card *card, unsigned int *milliwatts) { GIVE(card); *milliwatts = 700000; return 0; }
int nvmlDeviceGetPowerUsage(struct card *card, unsigned int *milliwatts) { GIVE(card); *milliwatts = 123456; return 0; }

int nvmlDeviceGetCudaComputeCapability(struct card *card, int *major, int *minor) {
    GIVE(card);
    *major = 9, *minor = 0;
    return 0;
}

int nvmlDeviceGetTemperature(struct card *card, int sensor, unsigned int *celsius) {
    (void)sensor;
    GIVE(card);
    *celsius = 41;
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

int nvmlDeviceGetCurrentClocksThrottleReasons(struct card *card, unsigned long long *reasons) { GIVE(card); *reasons = 4; return 0; }

#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(struct card *card, unsigned long long *reasons) { GIVE(card); *reasons = 4; return 0; }

int nvmlDeviceGetTotalEnergyConsumption(struct card *card, unsigned long long *millijoules) {
    GIVE(card);
    *millijoules = energy += 60000;
    return 0;
}

int nvmlDeviceGetMigMode(struct card *card, unsigned int *current, unsigned int *pending) {
    GIVE(card);
    *current = *pending = card->number == 0 && number_from("FAKE_NVML_SLICES") > 0;
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
