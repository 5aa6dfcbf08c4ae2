/*
 * board.c: the scoreboard, memory that the processes of a server share, and
 * mod_wsgi.server_metrics(), which shows it. The supervisor makes it when the
 * configuration asks for server metrics (package process, board.go, which
 * computes the same layout); each process writes its own part only. Readers
 * may see a request half replaced by the next, as in Apache's scoreboard.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

/* Sizes are part of the layout: 64, 64 and 256 bytes. */
typedef struct {
    uint32_t magic, procs, threads, generation;
    int64_t start_us; /* of the generation */
    char pad[40];
} board_head;
typedef struct {
    int32_t pid; /* 0: nobody */
    uint32_t num, generation, quiescing;
    int64_t start_us;
    char load[40]; /* package balance's */
} board_proc;
typedef struct {
    uint64_t count, bytes;
    int64_t start_us, stop_us; /* of the last request */
    uint32_t status;           /* one of Apache's characters */
    char client[44], request[96], vhost[80];
} board_slot;
#define BOARD_MAGIC 0x6d777362

static board_head *board;
static int board_mine = -1, board_shown;

int mw_board_on;

static int64_t now_us(void) {
    struct timeval tv;
    gettimeofday(&tv, NULL);
    return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static board_proc *proc_at(int i) {
    return (board_proc *)((char *)board + sizeof(board_head) + (size_t)i * (sizeof(board_proc) + board->threads * sizeof(board_slot)));
}
static board_slot *slot_at(int i, int thread) { return (board_slot *)(proc_at(i) + 1) + thread; }

/* Map the scoreboard of descriptor fd and take place `index`. num and generation describe this
 * process; shown: server_metrics() may be used here. No GIL; 0 or -1. */
int mw_board_attach(int fd, long size, int index, int num, int generation, int shown) {
    if (size < (long)sizeof(board_head)) return -1;
    void *p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return -1;
    board = p;
    if (board->magic != BOARD_MAGIC || index < 0 || index >= (int)board->procs) { munmap(p, (size_t)size); board = NULL; return -1; }
    board_shown = shown;
    board_mine = index;
    board_proc *me = proc_at(index);
    memset(me, 0, sizeof *me + board->threads * sizeof(board_slot));
    me->num = (uint32_t)num;
    me->generation = (uint32_t)generation;
    me->start_us = now_us();
    me->pid = (int32_t)getpid();
    for (int i = 0; i < mw_cfg.threads && i < (int)board->threads; i++) slot_at(index, i)->status = '_';
    mw_board_on = board->threads > 0; /* else it is there for package balance alone */
    return 0;
}

/* The process takes no new connections any more. No GIL. */
void mw_board_quiesce(void) {
    if (mw_board_on) proc_at(board_mine)->quiescing = 1;
}

static void text(char *dst, size_t cap, const char *src, size_t n) {
    if (n >= cap) n = cap - 1;
    memcpy(dst, src, n);
    dst[n] = 0;
}

void mw_board_begin(mw_thread *t, mw_req *r) {
    if (t->number > (int)board->threads) return;
    board_slot *s = slot_at(board_mine, t->number - 1);
    s->status = 'W';
    s->start_us = now_us();
    text(s->client, sizeof s->client, r->remote, strlen(r->remote));
    const mw_head *h = &r->head;
    if (h->target.off >= h->method.off) /* the request line as it came */
        text(s->request, sizeof s->request, r->in + h->method.off, h->target.off + h->target.len - h->method.off);
    text(s->vhost, sizeof s->vhost, r->in + h->host.off, h->host.len);
}

void mw_board_end(mw_thread *t, mw_req *r) {
    if (t->number > (int)board->threads) return;
    board_slot *s = slot_at(board_mine, t->number - 1);
    s->count++;
    s->bytes += (uint64_t)r->sent_body;
    s->stop_us = now_us();
    s->status = '_';
}

static PyObject *latin1(const char *s, size_t cap) { return PyUnicode_DecodeLatin1(s, (Py_ssize_t)strnlen(s, cap), NULL); }

static PyObject *worker(int p, int i) {
    board_slot s = *slot_at(p, i);
    board_proc *b = proc_at(p);
    char st = s.status ? (char)s.status : '.';
    if (b->quiescing && st == 'W') st = 'G';
    double last = (double)(s.stop_us > s.start_us ? s.stop_us : s.start_us) / 1e6;
    return Py_BuildValue("{sisIsNsKsKsdsdsdsNsNsN}", "thread_num", i, "generation", b->generation, "status", PyUnicode_FromStringAndSize(&st, 1),
                         "access_count", (unsigned long long)s.count, "bytes_served", (unsigned long long)s.bytes,
                         "start_time", (double)s.start_us / 1e6, "stop_time", (double)s.stop_us / 1e6, "last_used", last,
                         "client", latin1(s.client, sizeof s.client), "request", latin1(s.request, sizeof s.request),
                         "vhost", latin1(s.vhost, sizeof s.vhost));
}

static PyObject *process(int p) {
    board_proc *b = proc_at(p);
    PyObject *workers = PyList_New(0);
    for (int i = 0; workers && i < (int)board->threads; i++) {
        if (!slot_at(p, i)->status) continue; /* the process has fewer threads */
        PyObject *w = worker(p, i);
        if (!w || PyList_Append(workers, w) < 0) Py_CLEAR(workers);
        Py_XDECREF(w);
    }
    if (!workers) return NULL;
    return Py_BuildValue("{sIsisIsOsN}", "process_num", b->num, "pid", b->pid, "generation", b->generation,
                         "quiescing", b->quiescing ? Py_True : Py_False, "workers", workers);
}

PyObject *mw_server_metrics(PyObject *m, PyObject *unused) {
    if (!board || !board_shown) Py_RETURN_NONE;
    PyObject *list = PyList_New(0);
    for (int p = 0; list && p < (int)board->procs; p++) {
        if (!proc_at(p)->pid) continue;
        PyObject *x = process(p);
        if (!x || PyList_Append(list, x) < 0) Py_CLEAR(list);
        Py_XDECREF(x);
    }
    if (!list) return NULL;
    double now = mw_now(), start = (double)board->start_us / 1e6;
    return Py_BuildValue("{sIsIsIsdsdsLsN}", "server_limit", board->procs, "thread_limit", board->threads, "running_generation", board->generation,
                         "restart_time", start, "current_time", now, "running_time", (long long)(now - start), "processes", list);
}
