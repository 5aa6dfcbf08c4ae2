/*
 * hooks.c: the response of a request that Go looks at on its way out (hooks.go):
 * the head, and the body if filters take it. The GIL is released around every
 * call back into Go, which may wait for the client.
 */
#include "internal.h"
#include "_cgo_export.h"
#include <errno.h>
#include <unistd.h>

#define FILE_PIECE (32 * 1024) /* bytes read at once from a file that is filtered */

/* Let the hooks make the head of what stands in out from mark on. */
int mw_commit_hooked(mw_response *s, size_t mark, int64_t length) {
    mw_req *r = s->req;
    PyThreadState *ts = PyEval_SaveThread();
    int verdict = mwHookHead(r->hook, mark, length);
    PyEval_RestoreThread(ts);
    if (verdict == MW_HEAD_FAILED) {
        r->out_len = mark;
        PyErr_SetString(PyExc_RuntimeError, "the response's head could not be made; the record before this one says why");
        return -1;
    }
    s->length = length;
    s->chunked = verdict == MW_HEAD_CHUNKED;
    s->filtered = verdict == MW_HEAD_FILTERED;
    s->discard = verdict == MW_HEAD_DISCARD;
    s->nobody |= s->discard || r->status == 204 || r->status == 304 || r->status / 100 == 1;
    s->committed = 1;
    return 0;
}

/* A block, or with p NULL the end, through the hooks. -1: client gone or response broken. */
int mw_put_hooked(mw_req *r, const char *p, size_t n) {
    PyThreadState *ts = PyEval_SaveThread();
    int ok = p ? mwHookBody(r->hook, (void *)p, n) : mwHookEnd(r->hook);
    PyEval_RestoreThread(ts);
    return ok ? 0 : -1;
}

/* A file through the hooks, read in pieces. */
int mw_filter_file(mw_response *s, int fd, int64_t off, int64_t len) {
    mw_req *r = s->req;
    if (mwHookFile(r->hook, fd, off, len)) return 0;
    char *buf = mw_alloc(FILE_PIECE);
    if (!buf) { r->aborted = 1; return -1; }
    PyThreadState *ts = PyEval_SaveThread();
    while (len > 0) {
        ssize_t m = pread(fd, buf, len < FILE_PIECE ? (size_t)len : FILE_PIECE, off);
        if (m < 0 && errno == EINTR) continue;
        if (m <= 0) break; /* the file shrank */
        off += m;
        len -= m;
        if (!mwHookBody(r->hook, buf, (size_t)m)) { r->aborted = 1; break; }
    }
    PyEval_RestoreThread(ts);
    mw_free(buf);
    r->sent_body -= len;
    if (r->aborted) return -1;
    return mw_finish(s);
}
