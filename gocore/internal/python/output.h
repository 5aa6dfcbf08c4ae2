/*
 * output.h: appending to a request's output buffer, for response.c and
 * output.c. The caller holds mw_lock(r) and runs no Python meanwhile.
 */
#ifndef MW_OUTPUT_H
#define MW_OUTPUT_H
#include <string.h>

int mw_reserve(mw_req *r, size_t n);

/* 0, or -1 without memory: the request is aborted. */
static inline int mw_put(mw_req *r, const char *p, size_t n) {
    if (r->out_len + n > r->out_cap && mw_reserve(r, n) < 0) return -1;
    memcpy(r->out + r->out_len, p, n);
    r->out_len += n;
    return 0;
}
#define PUT(r, lit) mw_put(r, lit, sizeof lit - 1)
#endif
