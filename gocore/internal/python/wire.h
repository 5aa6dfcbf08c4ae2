/*
 * wire.h: receiving and sending for requests whose connection is not a plain
 * socket (r->wire: TLS, a stream of HTTP/2). The names and results are those of
 * recv, send and poll; Go does the work (wire.go). No GIL. Callers were entered
 * through mw_run_wired or mw_run_hooked, as Go is called back.
 */
#ifndef MW_WIRE_H
#define MW_WIRE_H
#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: the socket has SO_NOSIGPIPE, see listen/sock_bsd.go */
#endif

ssize_t mw_wire_recv(uint32_t wire, void *p, size_t n);
ssize_t mw_wire_send(uint32_t wire, const void *p, size_t n);
int mw_wire_wait(uint32_t wire, int writing, int timeout_ms);

/* What the connection has: bytes, 0 the end, -1 and errno; EAGAIN nothing now. */
static inline ssize_t mw_recv(mw_req *r, void *p, size_t n) {
    return r->wire ? mw_wire_recv(r->wire, p, n) : recv(r->fd, p, n, MSG_DONTWAIT);
}

/* What the connection takes of n bytes now; -1 and errno. */
static inline ssize_t mw_send(mw_req *r, const void *p, size_t n, int more) {
    return r->wire ? mw_wire_send(r->wire, p, n) : send(r->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL | more);
}

/* The same for several pieces. */
static inline ssize_t mw_sendv(mw_req *r, struct iovec *v, int n) {
    if (!r->wire) {
        struct msghdr mh = {.msg_iov = v, .msg_iovlen = (size_t)n};
        return sendmsg(r->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    ssize_t sum = 0;
    for (int i = 0; i < n; i++) {
        if (!v[i].iov_len) continue;
        ssize_t m = mw_wire_send(r->wire, v[i].iov_base, v[i].iov_len);
        if (m < 0) return sum ? sum : -1;
        sum += m;
        if ((size_t)m < v[i].iov_len) break;
    }
    return sum;
}

/* Wait until the connection can be read from or (writing) written to: 1, 0 the time is over, -1
 * and errno. timeout_ms < 0: without bound. */
static inline int mw_wait(mw_req *r, int writing, int timeout_ms) {
    if (r->wire) return mw_wire_wait(r->wire, writing, timeout_ms);
    struct pollfd f = {r->fd, writing ? POLLOUT : POLLIN, 0};
    return poll(&f, 1, timeout_ms);
}
#endif
