/* The plain loop: a careful implementation of these networks in C, without further tricks.

   Each layer stores its potentials and its sums with the channels last. In each step, each
   event adds rows of weights to the sums, then each neuron integrates its sum. The compiler
   vectorises both loops. SUM is short if no sum can exceed it, else int. */

#include <stdint.h>
#include <string.h>

#ifndef SUM
#define SUM int
#endif

#define WRAP (1 << 23)
#define LIMIT (WRAP - 1)

typedef struct {
    int32_t kind; /* 0: no synapses, 1: convolution, 2: dense */
    int32_t ci, hi, wi, co, ho, wo, ky, kx, sy, sx, py, px;
    int32_t source; /* the layer whose events it receives, -1: the input */
    int32_t sum_of; /* the layer whose sum it reads: itself, or one that shares its sum */
    int32_t clear;  /* 1 if it is the last to read that sum */
    int32_t one_vth, one_bias, leak, keep;
    const SUM *weight; /* (ci, ky, kx, co), or (inputs, co) */
    const int32_t *vth, *bias;
    SUM *sum;
    int32_t *v, *event;
    uint8_t *spike;
    int32_t events;
} Layer;

static inline void add(SUM *restrict sum, const SUM *restrict weight, int n) {
    for (int i = 0; i < n; i++) sum[i] += weight[i];
}

static void deliver(Layer *to, const int32_t *event, int events) {
    int n = to->co;
    if (to->kind == 2) {
        for (int e = 0; e < events; e++) add(to->sum, to->weight + (int64_t)event[e] * n, n);
        return;
    }
    for (int e = 0; e < events; e++) {
        int c = event[e] % to->ci, site = event[e] / to->ci;
        int y = site / to->wi + to->py, x = site % to->wi + to->px;
        const SUM *weight = to->weight + (int64_t)c * to->ky * to->kx * n;
        for (int ky = 0; ky < to->ky; ky++) {
            int oy = y - ky;
            if (oy < 0 || oy % to->sy || oy / to->sy >= to->ho) continue;
            SUM *row = to->sum + (int64_t)(oy / to->sy) * to->wo * n;
            for (int kx = 0; kx < to->kx; kx++) {
                int ox = x - kx;
                if (ox < 0 || ox % to->sx || ox / to->sx >= to->wo) continue;
                add(row + (ox / to->sx) * n, weight + (ky * to->kx + kx) * n, n);
            }
        }
    }
}

static inline void update(int n, int32_t *restrict v, const SUM *restrict sum,
                          uint8_t *restrict spike, const int32_t *restrict vth,
                          const int32_t *restrict bias, int one_vth, int one_bias, int leak,
                          int keep) {
    for (int i = 0; i < n; i++) {
        int32_t x = v[i];
        if (leak) {
            int32_t size = x < 0 ? -x : x;
            int32_t left = (size >> 12) * keep + (((size & 4095) * keep) >> 12);
            x = x < 0 ? -left : left;
        }
        int32_t u = (int32_t)sum[i] * 64;
        if (sizeof(SUM) > 2) /* a short sum cannot wrap the current */
            u = u > WRAP ? u - 2 * WRAP : u <= -WRAP ? u + 2 * WRAP : u;
        x += u + bias[one_bias ? 0 : i];
        x = x > LIMIT ? LIMIT : x < -LIMIT ? -LIMIT : x;
        int fired = x > vth[one_vth ? 0 : i];
        spike[i] = fired;
        v[i] = fired ? 0 : x;
    }
}

/* The constants let the compiler generate each form of the loop separately. */
static void step(Layer *at, const SUM *sum, int n) {
#define FORM(V, B, L) \
    update(n, at->v, sum, at->spike, at->vth, at->bias, V, B, L, at->keep)
    if (at->leak) {
        if (at->one_vth && at->one_bias) FORM(1, 1, 1);
        else FORM(at->one_vth, at->one_bias, 1);
    } else {
        if (at->one_vth && at->one_bias) FORM(1, 1, 0);
        else if (at->one_vth) FORM(1, 0, 0);
        else if (at->one_bias) FORM(0, 1, 0);
        else FORM(0, 0, 0);
    }
    int events = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, at->spike + i, 8);
        while (word) {
            at->event[events++] = i + (__builtin_ctzll(word) >> 3);
            word &= word - 1;
        }
    }
    for (; i < n; i++)
        if (at->spike[i]) at->event[events++] = i;
    at->events = events;
}

/* Run all steps, the last layer first: events of a step arrive in the next step.
   Return the number of events written to `out`, or -1 if it is full. */
int64_t run(Layer *layer, int layers, int64_t steps, const int64_t *start, const int32_t *index,
            int32_t *count, int32_t *out, int64_t room) {
    int64_t written = 0;
    for (int k = 0; k < layers; k++) layer[k].events = 0;
    for (int64_t t = 0; t < steps; t++) {
        for (int k = layers - 1; k >= 0; k--) {
            Layer *at = layer + k;
            if (!at->kind) continue;
            if (at->source >= 0)
                deliver(at, layer[at->source].event, layer[at->source].events);
            else if (t > 0)
                deliver(at, index + start[t - 1], (int)(start[t] - start[t - 1]));
        }
        for (int k = layers - 1; k >= 0; k--) {
            Layer *at = layer + k;
            int n = at->co * at->ho * at->wo;
            SUM *sum = layer[at->sum_of].sum;
            step(at, sum, n);
            if (at->clear) memset(sum, 0, n * sizeof(SUM));
            count[t * layers + k] = at->events;
        }
        if (out)
            for (int k = 0; k < layers; k++) {
                if (written + layer[k].events > room) return -1;
                memcpy(out + written, layer[k].event, layer[k].events * sizeof(int32_t));
                written += layer[k].events;
            }
    }
    return written;
}

/* Limits of the machine: additions in the first cache, and a stream through memory. */
int64_t adds(SUM *restrict sum, const SUM *restrict weight, int n, int64_t rounds) {
    for (int64_t k = 0; k < rounds; k++) {
        add(sum, weight + (k & 15) * n, n);
        __asm__ volatile("" ::: "memory");
    }
    return rounds * n;
}

int64_t stream(int32_t *restrict to, const int32_t *restrict from, int64_t n, int64_t rounds) {
    for (int64_t k = 0; k < rounds; k++) {
        for (int64_t i = 0; i < n; i++) to[i] += from[i];
        __asm__ volatile("" ::: "memory");
    }
    return rounds * n * 3 * (int64_t)sizeof(int32_t);
}
