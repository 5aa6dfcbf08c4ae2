/*
 * output.c: the output buffer of a request and what leaves it.
 *
 * The head and small blocks are appended to r->out; the Go side writes the
 * whole with one system call when the application is done. While the
 * application produces blocks (r->streaming) the monitor may send what is in
 * the buffer, so every access to out is under out_lock then. Blocks of
 * DIRECT_MIN bytes and more are not copied: they go to the socket with
 * writev, GIL released; what a slow reader does not take is kept in the
 * buffer for the reactor, so no Python thread waits at the end of a response.
 */
#include "internal.h"
#include "output.h"
#include "wire.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif

/* Bytes of the response that the socket took. */
static void count_sent(mw_req *r, ssize_t n) {
    if (r->track_first && !r->first_us && n > 0) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        r->first_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    r->sent += (uint64_t)n;
}

#define DIRECT_MIN (32 * 1024)  /* measured: below, a copy is cheaper than leaving the GIL */
#define OUT_HIGH (64 * 1024)    /* flush a streaming response at this many buffered bytes */

/* Make room for n more bytes. The caller has the lock. 0, or -1 without memory: the request is aborted. */
int mw_reserve(mw_req *r, size_t n) {
    if (r->out_len + n <= r->out_cap) return 0;
    if (r->out_off) { /* drop what was sent */
        memmove(r->out, r->out + r->out_off, r->out_len - r->out_off);
        r->out_len -= r->out_off;
        r->out_off = 0;
        if (r->out_len + n <= r->out_cap) return 0;
    }
    size_t cap = r->out_cap ? r->out_cap : 4096;
    while (cap < r->out_len + n) cap *= 2;
    char *p = mw_realloc(r->out, cap);
    if (!p) { r->aborted = 1; return -1; }
    r->out = p;
    r->out_cap = cap;
    return 0;
}

int mw_out_append(mw_req *r, const char *p, size_t n) {
    mw_lock(r);
    int rc = mw_put(r, p, n);
    mw_unlock(r);
    return rc;
}

static int wait_writable(mw_req *r, int timeout_ms) {
    int k;
    do k = mw_wait(r, 1, timeout_ms > 0 ? timeout_ms : -1); while (k < 0 && errno == EINTR);
    return k > 0 ? 0 : -1;
}

int mw_out_flush(mw_req *r, int timeout_ms) {
    for (;;) {
        mw_lock(r);
        size_t n = r->out_len - r->out_off;
        ssize_t m = n && !r->aborted ? mw_send(r, r->out + r->out_off, n, 0) : 0;
        int e = errno;
        if (m > 0) {
            r->out_off += (uint64_t)m;
            count_sent(r, m);
            if (r->out_off == r->out_len) r->out_off = r->out_len = 0;
        } else if (m < 0 && e != EAGAIN && e != EWOULDBLOCK && e != EINTR) {
            r->aborted = 1;
        }
        int rest = r->out_len != r->out_off;
        mw_unlock(r);
        if (r->aborted) return -1;
        if (!rest) return 0;
        if (m < 0 && e != EINTR && wait_writable(r, timeout_ms) < 0) { r->aborted = 1; return -1; }
    }
}

/* The same where Go may be called back, as in mw_run_wired. */
int mw_out_flush_wired(mw_req *r, int timeout_ms) { return mw_out_flush(r, timeout_ms); }

/* The application is done: after this the monitor leaves the buffer alone. Waits for a flush
 * that is under way, else its bytes could be sent twice. */
void mw_stream_end(mw_req *r) {
    if (!__atomic_load_n(&r->streaming, __ATOMIC_ACQUIRE)) return;
    mw_lock(r);
    __atomic_store_n(&r->streaming, 0, __ATOMIC_RELEASE);
    mw_unlock(r);
}

/* Head in the buffer plus one large block, without the GIL: what the socket does not take now
 * is copied to the buffer if `last` (the reactor sends it), else waited for. */
static int send_direct(mw_req *r, const char *p, size_t n, const char *after, size_t na, int last) {
    mw_lock(r);
    while (n || r->out_len > r->out_off) {
        struct iovec v[3] = {{r->out + r->out_off, r->out_len - r->out_off}, {(void *)p, n}, {(void *)after, na}};
        ssize_t m = mw_sendv(r, v, 3);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (last) break;
            mw_unlock(r);
            if (wait_writable(r, r->io_timeout_ms) < 0) { r->aborted = 1; return -1; }
            mw_lock(r);
            continue;
        }
        if (m < 0) { r->aborted = 1; mw_unlock(r); return -1; }
        size_t k = (size_t)m, head = r->out_len - r->out_off;
        count_sent(r, m);
        if (k < head) { r->out_off += k; continue; }
        r->out_off = r->out_len = 0;
        k -= head;
        if (k <= n) { p += k; n -= k; } else { after += k - n; na -= k - n; n = 0; }
    }
    int rc = 0;
    if (n) rc |= mw_put(r, p, n);
    if (na) rc |= mw_put(r, after, na);
    mw_unlock(r);
    return rc;
}

static int put_block(mw_response *s, const char *p, size_t n, int last) {
    mw_req *r = s->req;
    if (r->aborted) return -1;
    if (s->length >= 0 && r->sent_body + (int64_t)n > s->length) n = (size_t)(s->length - r->sent_body);
    r->sent_body += (int64_t)n;
    if (!n || s->nobody) return 0;
    if (s->filtered) {
        if (mw_put_hooked(r, p, n) == 0) return 0;
        r->aborted = 1;
        return -1;
    }
    char size[24];
    size_t ns = s->chunked ? (size_t)snprintf(size, sizeof size, "%zx\r\n", n) : 0;
    int rc;
    if (n >= DIRECT_MIN) {
        if (ns && mw_out_append(r, size, ns) < 0) return -1;
        PyThreadState *ts = PyEval_SaveThread();
        rc = send_direct(r, p, n, "\r\n", s->chunked ? 2 : 0, last);
        mw_restore(ts);
        return rc;
    }
    mw_lock(r);
    rc = ns ? mw_put(r, size, ns) : 0;
    rc |= mw_put(r, p, n);
    if (s->chunked) rc |= PUT(r, "\r\n");
    size_t held = r->out_len - r->out_off;
    mw_unlock(r);
    if (!rc && held > OUT_HIGH && !last) {
        PyThreadState *ts = PyEval_SaveThread();
        rc = mw_out_flush(r, r->io_timeout_ms);
        mw_restore(ts);
    }
    return rc;
}

int mw_put_block(mw_response *s, const char *p, size_t n, int last) {
    if (!mw_live_any) return put_block(s, p, n, last);
    double t0 = mw_now();
    mw_req *r = s->req;
    int64_t before = r->sent_body;
    int rc = put_block(s, p, n, last);
    mw_live_output(t0, r->sent_body - before);
    return rc;
}

/* End of a complete response body. write() is over with it, on other threads, in which it is waited for,
 * and in close(): what came now would stand before the next response. */
int mw_finish(mw_response *s) {
    mw_req *r = s->req;
    __atomic_store_n(&s->over, 1, MW_ORDER);
    if (__atomic_load_n(&s->inside, MW_ORDER)) {
        PyThreadState *ts = PyEval_SaveThread();
        while (__atomic_load_n(&s->inside, MW_ORDER)) usleep(1000);
        PyEval_RestoreThread(ts);
    }
    if (s->nobody) return 0;
    if (s->chunked) return mw_out_append(r, "0\r\n\r\n", 5);
    if (s->length >= 0 && r->sent_body < s->length) { /* the client must see that it is short */
        r->keep_alive = 0;
        r->result = MW_CUT;
    } else if (s->filtered && mw_put_hooked(r, NULL, 0) < 0) {
        r->aborted = 1;
    }
    return 0;
}

/* Send len bytes of a regular file. What a slow reader does not take is left to the reactor
 * through a duplicate of the descriptor. 0, or -1 when the client is gone. */
int mw_send_file(mw_response *s, int fd, int64_t off, int64_t len) {
    mw_req *r = s->req;
    r->sent_body = len;
    if (s->nobody) return 0; /* nor is it read */
    if (s->filtered) return mw_filter_file(s, fd, off, len);
    if (!len) return 0;
    int64_t len_all = len;
    double t0 = mw_live_any ? mw_now() : 0;
    int rc = 0;
    PyThreadState *ts = PyEval_SaveThread();
#ifdef __linux__
    int64_t end = off + len;
    mw_lock(r);
    while (!r->wire && r->out_len > r->out_off) { /* the head; MSG_MORE joins it with the first bytes of the file */
        ssize_t m = mw_send(r, r->out + r->out_off, r->out_len - r->out_off, MSG_MORE);
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && errno != EAGAIN && errno != EWOULDBLOCK) r->aborted = 1;
        if (m < 0) break;
        r->out_off += (uint64_t)m;
        count_sent(r, m);
    }
    if (r->out_off == r->out_len) r->out_off = r->out_len = 0;
    while (!r->aborted && !r->out_len && !r->wire && off < end) {
        off_t o = (off_t)off;
        ssize_t m = sendfile(r->fd, fd, &o, (size_t)(end - off));
        if (m < 0 && errno == EINTR) continue;
        if (m < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (m <= 0) { r->aborted = m < 0; r->keep_alive = 0; r->result = MW_CUT; break; } /* file shrank */
        off = (int64_t)o;
        count_sent(r, m);
    }
    mw_unlock(r);
    if (!r->aborted && r->result != MW_CUT && off < end) {
        r->file_fd = dup(fd);
        if (r->file_fd < 0) r->aborted = 1;
        r->file_off = off;
        r->file_left = end - off;
    }
    rc = r->aborted ? -1 : 0;
#else
    char *buf = mw_alloc(65536);
    while (buf && len > 0 && rc == 0) {
        ssize_t m = pread(fd, buf, len < 65536 ? (size_t)len : 65536, off);
        if (m <= 0) { r->keep_alive = 0; r->result = MW_CUT; break; }
        off += m;
        len -= m;
        rc = mw_out_append(r, buf, (size_t)m);
        if (!rc) rc = mw_out_flush(r, r->io_timeout_ms);
    }
    mw_free(buf);
#endif
    mw_restore(ts);
    if (mw_live_any) mw_live_output(t0, len_all);
    return rc;
}
