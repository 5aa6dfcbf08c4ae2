/*
 * slow.c: requests that take longer than WSGISlowRequests. What describes a
 * request is copied when it begins, so that the reporter (package worker,
 * telemetry.go) can look at those that still run without their memory and
 * without the GIL. Ended ones wait in a ring for the reporter's next turn.
 *
 * Nothing here runs without the directive. A lock guards everything; nobody
 * runs Python while it is held.
 */
#include "internal.h"
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENDED_MAX 128 /* between two turns; what comes then is lost */
#define ACTIVE_MAX 16 /* reported in one turn, as in mod_wsgi */

int mw_slow_on;
static double threshold; /* seconds */
static int with_agent;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* A thread's request. */
typedef struct { mw_slow of; double queued; int running, told; } current; /* queued: epoch, 0 never */
static current *threads; /* by number - 1 */
static mw_slow *ended;
static int nended;

/* From now on requests of at least so many seconds are reported, with the client's User-Agent if asked. 0 or -1. */
int mw_slow_start(double seconds, int agent) {
    threads = calloc((size_t)mw_threads_max, sizeof *threads);
    ended = calloc(ENDED_MAX, sizeof *ended);
    if (!threads || !ended) return -1;
    threshold = seconds;
    with_agent = agent;
    mw_slow_on = mw_live_any = 1;
    return 0;
}

int mw_busy_threads(void) {
    int n = 0;
    for (int i = 0; i < mw_threads_max; i++) n += mw_threads[i] && __atomic_load_n(&mw_threads[i]->busy, __ATOMIC_RELAXED);
    return n;
}

/* A string of at most cap - 1 bytes; one that is cut ends with "...". */
static void text(char *dst, size_t cap, const char *src, size_t n) {
    int cut = n >= cap;
    if (cut) n = cap - 1;
    memcpy(dst, src, n);
    if (cut) memcpy(dst + n - 3, "...", 3);
    dst[n] = 0;
}
#define TEXT(field, p, n) text(s->field, sizeof s->field, p, n)

static void set_variable(char *dst, size_t cap, const mw_req *r, const char *name, const char *otherwise, size_t n) {
    const char *v = r->extra ? mw_variable(r, name, strlen(name)) : NULL;
    text(dst, cap, v ? v : otherwise, v ? strlen(v) : n);
}

static void describe(mw_slow *s, const mw_thread *t, const mw_req *r) {
    const mw_head *h = &r->head;
    const mw_route *rt = mw_route_get(r->route);
    const char *https = mw_variable(r, "HTTPS", 5), *name = rt->conf.script_name;
    memset(s, 0, offsetof(mw_slow, id));
    s->agent[0] = 0; /* the other strings are set below */
    s->start = r->start_us ? (double)r->start_us / 1e6 : t->live.entered;
    s->thread = t->number;
    s->active_start = mw_busy_threads();
    snprintf(s->id, sizeof s->id, "%016llx-%llx", (unsigned long long)r->conn_id, (unsigned long long)(r->request_no & 0xffffffff));
    TEXT(method, r->in + h->method.off, h->method.len);
    const char *scheme = rt->conf.https || (https && (!strcasecmp(https, "on") || !strcmp(https, "1"))) ? "https" : "http";
    TEXT(scheme, scheme, strlen(scheme));
    TEXT(protocol, h->flags & MW_HTTP2 ? "HTTP/2.0" : h->flags & MW_HTTP11 ? "HTTP/1.1" : "HTTP/1.0", 8);
    const char *host = r->in + h->host.off, *colon = memchr(host, ':', h->host.len);
    TEXT(host, host, colon && host[0] != '[' ? (size_t)(colon - host) : h->host.len);
    set_variable(s->peer, sizeof s->peer, r, "REMOTE_ADDR", r->remote, strlen(r->remote));
    set_variable(s->script, sizeof s->script, r, "SCRIPT_NAME", name, strlen(name));
    size_t n = h->path.len > r->script_len ? h->path.len - r->script_len : 0;
    set_variable(s->path, sizeof s->path, r, "PATH_INFO", r->in + h->path.off + r->script_len, n);
    for (uint32_t i = 0; with_agent && i < h->nfields; i++) {
        const mw_field *f = &h->fields[i];
        if (f->name.len == 10 && !strncasecmp(r->in + f->name.off, "user-agent", 10)) TEXT(agent, r->in + f->value.off, f->value.len);
    }
}

/* Where the request's time went until now. The application may not have been called yet. */
static void measure(mw_slow *s, const mw_thread *t, double queued, double now) {
    const mw_live *l = &t->live;
    s->duration = now > s->start ? now - s->start : 0;
    double called = l->started > 0 ? l->started : now, entered = l->entered;
    if (mw_cfg.process_group[0]) {
        double queue = queued > 0 ? queued : entered;
        s->server = queue - s->start;
        s->queue = entered - queue;
        s->daemon = called - entered;
    } else {
        s->server = called - s->start;
    }
    s->application = now - called;
    s->gil_time = l->gil_time;
    s->gil_count = l->gil_count;
    s->in_bytes = l->in_bytes;
    s->in_reads = l->in_reads;
    s->out_bytes = l->out_bytes;
    s->out_writes = l->out_writes;
}

/* A request enters its thread. */
void mw_slow_begin(mw_thread *t, mw_req *r) {
    current *c = &threads[t->number - 1];
    pthread_mutex_lock(&lock);
    describe(&c->of, t, r);
    c->queued = (double)r->queue_us / 1e6;
    c->running = 1;
    c->told = 0;
    pthread_mutex_unlock(&lock);
}

/* It leaves it. */
void mw_slow_end(mw_thread *t, mw_req *r, double now, double user, double sys, int status) {
    current *c = &threads[t->number - 1];
    pthread_mutex_lock(&lock);
    if (c->running && now - c->of.start >= threshold && nended < ENDED_MAX) {
        mw_slow *s = &ended[nended++];
        *s = c->of;
        measure(s, t, c->queued, now);
        s->cpu_user = user;
        s->cpu_system = sys;
        s->status = status;
        s->active_end = mw_busy_threads();
        s->done = 1;
        s->fresh = !c->told;
    }
    c->running = 0;
    pthread_mutex_unlock(&lock);
}

/* What is to be reported now: requests that have ended since the last call, then those that are still running and late.
 * Returns how many of the n places are used. */
int mw_slow_take(mw_slow *out, int n) {
    int k = 0;
    double now = mw_now();
    pthread_mutex_lock(&lock);
    for (; k < nended && k < n; k++) out[k] = ended[k];
    nended -= k;
    memmove(ended, ended + k, (size_t)nended * sizeof *ended);
    for (int i = 0, active = 0; i < mw_threads_max && k < n && active < ACTIVE_MAX; i++) {
        current *c = &threads[i];
        if (!c->running || now - c->of.start < threshold) continue;
        out[k] = c->of;
        measure(&out[k], mw_threads[i], c->queued, now); /* its thread writes these figures: a torn one is seen once */
        out[k].active_end = mw_busy_threads();
        out[k++].fresh = !c->told;
        c->told = 1;
        active++;
    }
    pthread_mutex_unlock(&lock);
    return k;
}
