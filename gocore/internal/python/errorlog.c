/*
 * errorlog.c: one error log record, as ErrorLogFormat says.
 *
 * A sink is a log with its format: descriptor, least level, and the programs
 * that gocore/internal/errorlog compiled. Sink 0 is that of the process itself;
 * every WSGI target names the sink of its virtual host and directory.
 *
 * Records are written by C with one write(2) each and never through Go: a
 * child that the application forked has no Go runtime any more but may log.
 * Nothing here allocates or takes a lock after the sinks are made, for the
 * same reason. No function needs the GIL.
 */
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#define RECORD_MAX 8192 /* Apache truncates records at MAX_STRING_LEN, 8 KiB */
#define SINKS_MAX 4096

/* flags of an item and letters that are not Apache's, as in package errorlog */
enum { FIELD = 1, REQUIRED = 2, HYPHEN = 4 };

typedef struct {
    int fd, level, syslog;
    unsigned char *program, *request, *connection; /* of records; lines before the first one of a request, connection */
    size_t program_len, request_len, connection_len;
} sink;

/* A pointer is stored before its number is known to anybody, and never changes. */
static sink *sinks[SINKS_MAX];
static int nsinks;

static const char *const level_names[] = {"emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"};

/* Until the first sink is there: Apache's default format, as far as it applies. */
static const unsigned char start_program[] =
    "S\0\0\0\1[" "t\0\0\0\1u" "S\0\0\0\7] [wsgi" "S\0\0\0\1:" "l\0\0\0\0" "S\0\0\0\1]" "S\1\0\0\5 [pid" "S\1\0\0\1 "
    "P\0\0\0\0" "S\0\0\0\5:tid " "T\0\0\0\0" "S\0\0\0\1]" "S\1\0\0\1 " "M\0\0\0\0";

static unsigned char *copy(const void *p, size_t n) {
    unsigned char *q = malloc(n + 1);
    if (q) memcpy(q, p, n);
    return q;
}

/* One caller at a time; returns the sink's number or -1. */
int mw_sink_add(const mw_sink_conf *c) {
    int n = __atomic_load_n(&nsinks, __ATOMIC_ACQUIRE);
    sink *s = n < SINKS_MAX ? calloc(1, sizeof *s) : NULL;
    if (!s) return -1;
    *s = (sink){.fd = c->fd, .level = c->level, .syslog = c->syslog, .program_len = c->program_len,
                .request_len = c->request_len, .connection_len = c->connection_len};
    s->program = copy(c->program, c->program_len);
    s->request = copy(c->request, c->request_len);
    s->connection = copy(c->connection, c->connection_len);
    if (!s->program || !s->request || !s->connection) return -1;
    sinks[n] = s;
    __atomic_store_n(&nsinks, n + 1, __ATOMIC_RELEASE);
    return n;
}

static const sink *sink_of(const mw_req *r) {
    static const sink start = {.fd = 2, .level = MW_WARN, .program = (unsigned char *)start_program,
                               .program_len = sizeof start_program - 1, .request = (unsigned char *)"", .connection = (unsigned char *)""};
    int n = __atomic_load_n(&nsinks, __ATOMIC_ACQUIRE);
    mw_route *rt = r ? mw_route_get(r->route) : NULL;
    if (rt && rt->sink < (uint32_t)n) return sinks[rt->sink];
    return n ? sinks[0] : &start;
}

static long thread_id(void) {
#ifdef __linux__
    return (long)syscall(SYS_gettid);
#else
    return (long)getpid();
#endif
}

/* A bounded line. What does not fit is cut. */
typedef struct { char p[RECORD_MAX + 1]; size_t n; } line;

static void add(line *l, const char *p, size_t n) {
    if (n > RECORD_MAX - l->n) n = RECORD_MAX - l->n;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void add_escaped(line *l, const char *p, size_t n) {
    static const char from[] = "\b\n\r\t\v", to[] = "bnrtv";
    for (size_t i = 0, start = 0; i <= n; i++) {
        unsigned char c = i < n ? (unsigned char)p[i] : 0;
        if (i < n && c >= 0x20 && c != 0x7f) continue;
        add(l, p + start, i - start);
        start = i + 1;
        if (i == n) break;
        char b[8];
        const char *known = c ? strchr(from, c) : NULL;
        int k = known ? snprintf(b, sizeof b, "\\%c", to[known - from]) : snprintf(b, sizeof b, "\\x%02x", c);
        add(l, b, (size_t)k);
    }
}

static void add_text(line *l, const char *fmt, long long v) {
    char b[32];
    add(l, b, (size_t)snprintf(b, sizeof b, fmt, v));
}

static void add_id(line *l, const mw_req *r, int request) {
    char b[40];
    int n = snprintf(b, sizeof b, "%016llx", (unsigned long long)r->conn_id);
    if (request) n += snprintf(b + n, sizeof b - (size_t)n, "-%llx", (unsigned long long)r->request_no);
    add(l, b, (size_t)n);
}

/* A variable of the request: its own additions, then those of its target. */
const char *mw_variable(const mw_req *r, const char *name, size_t n) {
    const mw_route *rt = mw_route_get(r->route);
    const char *parts[2] = {r->extra, rt ? rt->environ : NULL}, *found = NULL;
    size_t lens[2] = {r->extra ? r->extra_len : 0, rt ? rt->environ_len : 0};
    for (int i = 0; i < 2 && !found; i++)
        for (const char *p = parts[i], *end = p + lens[i]; p && p < end;) {
            const char *key = p + 1, *value = key + strlen(key) + 1;
            if ((size_t)(value - key) == n + 1 && !memcmp(key, name, n)) found = *p == '+' ? value : NULL;
            p = value + strlen(value) + 1;
        }
    return found;
}

static void add_header(line *l, const mw_req *r, const char *name, size_t n) {
    for (uint32_t i = 0; i < r->head.nfields; i++) {
        const mw_field *f = &r->head.fields[i];
        if (f->name.len != n || strncasecmp(r->in + f->name.off, name, n)) continue;
        add_escaped(l, r->in + f->value.off, f->value.len);
        return;
    }
}

/* The server's time zone. Not libc's: an application may change that (time.tzset(), as Django does with
 * TIME_ZONE), and the records of all threads would change with it. Two names, so that a reader never sees half of one. */
static struct { _Atomic long offset; char name[2][16]; _Atomic int now; } zone = {.name = {"UTC", "UTC"}};

void mw_set_zone(long offset, const char *name) {
    int other = !zone.now;
    snprintf(zone.name[other], sizeof zone.name[other], "%s", name);
    zone.now = other;
    zone.offset = offset;
}

static void add_time(line *l, const struct timeval *tv, const char *form, size_t n, int own) {
    struct tm tm;
    char b[512], f[256];
    long offset = zone.offset;
    time_t t = tv->tv_sec + offset;
    gmtime_r(&t, &tm);
    tm.tm_gmtoff = offset;
    tm.tm_zone = zone.name[zone.now];
    if (own) { /* strftime */
        snprintf(f, sizeof f, "%.*s", (int)n, form);
        add(l, b, strftime(b, sizeof b, f, &tm));
        return;
    }
    int compact = memchr(form, 'c', n) != NULL;
    add(l, b, strftime(b, sizeof b, compact ? "%Y-%m-%d %H:%M:%S" : "%a %b %d %H:%M:%S", &tm));
    if (memchr(form, 'u', n)) add_text(l, ".%06lld", (long long)tv->tv_usec);
    if (!compact) add_text(l, " %lld", (long long)tm.tm_year + 1900);
    if (memchr(form, 'z', n)) add(l, b, strftime(b, sizeof b, " %z", &tm));
}

typedef struct {
    const mw_req *r;
    int level;
    const char *text;
    size_t n;
    const mw_about *about;
    struct timeval tv;
} record;

/* What mod_wsgi puts before a message: the script of the request and the message's code. The header
 * of an exception has the code first. */
static void add_about(line *l, const record *x) {
    const mw_about *a = x->about;
    const mw_route *rt = a->tag && x->r ? mw_route_get(x->r->route) : NULL;
    for (int part = 1; part <= 2; part++) {
        if (part == (a->tag == MW_TAG_LAST ? 2 : 1)) {
            if (!rt) continue;
            add(l, "[script ", 8);
            add_escaped(l, rt->script_c, strlen(rt->script_c));
            add(l, "] ", 2);
        } else if (a->id) {
            add(l, "WSGI", 4);
            add(l, a->id, strlen(a->id));
            add(l, ": ", 2);
        }
    }
}

static void add_item(line *l, const record *x, char op, const char *arg, size_t n) {
    const mw_req *r = x->r;
    const char *v;
    switch (op) {
    case 'S': add(l, arg, n); return;
    case 'l': add(l, level_names[x->level & 7], strlen(level_names[x->level & 7])); return;
    case 'P': add_text(l, "%lld", (long long)getpid()); return;
    case 'T': add_text(l, "%lld", (long long)thread_id()); return;
    case 't': add_time(l, &x->tv, arg, n, 0); return;
    case 'D': add_time(l, &x->tv, arg, n, 1); return;
    case 'F': /* of records that Python's logging made */
        if (x->about && x->about->file) {
            const char *slash = strrchr(x->about->file, '/'), *file = slash ? slash + 1 : x->about->file;
            add_escaped(l, file, strlen(file));
            add_text(l, ":%lld", (long long)x->about->line);
        }
        return;
    }
    if (!r) {
        if (op == 'V') add(l, arg, n);
        return;
    }
    switch (op) {
    case 'a': /* mod_remoteip changes the variables of the request */
        if ((v = mw_variable(r, "REMOTE_ADDR", 11))) {
            add_escaped(l, v, strlen(v));
            v = mw_variable(r, "REMOTE_PORT", 11);
            add(l, ":", 1);
            add_text(l, "%lld", v ? atoll(v) : (long long)r->remote_port);
            return;
        }
        /* fall through */
    case 'p':
        if (!r->remote[0]) return;
        add(l, r->remote, strlen(r->remote));
        add_text(l, ":%lld", (long long)r->remote_port);
        return;
    case 'A':
        if (!r->local[0]) return;
        add(l, r->local, strlen(r->local));
        add_text(l, ":%lld", (long long)r->local_port);
        return;
    case 'k': add_text(l, "%lld", (long long)r->request_no - 1); return;
    case 'L': add_id(l, r, 1); return;
    case 'C': add_id(l, r, 0); return;
    case 'i': add_header(l, r, arg, n); return;
    case 'e': if ((v = mw_variable(r, arg, n))) add_escaped(l, v, strlen(v)); return;
    case 'V': {
        const char *h = r->in + r->head.host.off, *end = memchr(h, ':', r->head.host.len);
        if (h[0] == '[' || !end) end = h + r->head.host.len;
        if (r->head.host.len) add_escaped(l, h, (size_t)(end - h));
        else add(l, arg, n);
        return;
    }
    }
}

/* The record as a line in l, or nothing when an item that is required has no value. */
static void render(line *l, const unsigned char *p, size_t len, const record *x) {
    size_t begin = l->n, field = l->n;
    int skipping = 0;
    for (const unsigned char *end = p + len; p < end;) {
        char op = (char)p[0];
        int flags = p[1], min = p[2];
        size_t n = (size_t)p[3] << 8 | p[4];
        const char *arg = (const char *)p + 5;
        p += 5 + n;
        if (flags & FIELD) {
            if (!skipping) field = l->n;
            skipping = 0;
        }
        if (op == 'M') {
            if (x->about) add_about(l, x);
            add_escaped(l, x->text, x->n);
            continue;
        }
        if (skipping || op == ' ') continue;
        size_t mark = l->n;
        if (min <= x->level) add_item(l, x, op, arg, n);
        if (l->n > mark || l->n == RECORD_MAX) continue;
        if (min <= x->level && flags & REQUIRED) {
            l->n = begin;
            return;
        }
        if (min <= x->level && flags & HYPHEN) {
            add(l, "-", 1);
        } else {
            l->n = field;
            skipping = 1;
        }
    }
    l->p[l->n++] = '\n'; /* there is one byte more than RECORD_MAX */
}

/* The last error of writing a record; 0 none. */
static int log_errno;

int mw_log_error(void) { return __atomic_load_n(&log_errno, __ATOMIC_RELAXED); }

/* The descriptors (by their last digits) whose last record could not be written whole: the next one begins with
 * a newline, as in gocore/internal/errorlog/write.go. In doubt that makes an empty line. */
static _Atomic unsigned char cut[1024];

static void emit(const sink *s, const unsigned char *program, size_t len, const record *x) {
    line l;
    l.n = 0;
    _Atomic unsigned char *failed = &cut[(unsigned)s->fd % sizeof cut];
    int was = *failed;
    if (was) add(&l, "\n", 1);
    if (s->syslog) add_text(&l, "<%lld>", x->level); /* the supervisor's reader takes it off */
    size_t mark = l.n, off = 0;
    render(&l, program, len, x);
    while (l.n > mark && off < l.n) {
        ssize_t w = write(s->fd, l.p + off, l.n - off);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) { /* a full disk must not stop the site */
            __atomic_store_n(&log_errno, w < 0 ? errno : EIO, __ATOMIC_RELAXED);
            *failed = 1;
            return;
        }
        off += (size_t)w;
    }
    if (was && off) *failed = 0;
}

/* The lines of ErrorLogFormat connection and request, once each. Programs follow each other,
 * with the length before each (two bytes, big endian). */
static void emit_once(const sink *s, const unsigned char *p, size_t len, const record *x) {
    for (const unsigned char *end = p + len; p + 2 <= end;) {
        size_t n = (size_t)p[0] << 8 | p[1];
        emit(s, p + 2, n, x);
        p += 2 + n;
    }
}

int mw_log_enabled(int level, const mw_req *r) { return level <= sink_of(r)->level; }

void mw_log(int level, const mw_req *r, const char *text, size_t n) { mw_log_about(level, r, NULL, text, n); }

void mw_log_about(int level, const mw_req *r, const mw_about *about, const char *text, size_t n) {
    const sink *s = sink_of(r);
    if (level > s->level) return;
    record x = {.r = r, .level = level, .text = text, .n = n, .about = about};
    const char *nul = memchr(text, 0, n); /* a NUL cuts the record, as in httpd */
    if (nul) x.n = (size_t)(nul - text);
    gettimeofday(&x.tv, NULL);
    if (r && !r->logged) {
        mw_req *q = (mw_req *)r; /* its own thread logs */
        q->logged = 1;
        if (q->conn_logged != q->conn_id) {
            q->conn_logged = q->conn_id;
            emit_once(s, s->connection, s->connection_len, &x);
        }
        emit_once(s, s->request, s->request_len, &x);
    }
    emit(s, s->program, s->program_len, &x);
}
