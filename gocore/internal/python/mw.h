/*
 * mw.h: what the Go side and the C side of package python share.
 *
 * Two structures cross the boundary: mw_head (mirrors http1.Head) and mw_req
 * (mirrors listen.Req). Both live in C memory owned by package listen, hold no
 * Go pointers, and belong to one thread at a time: the leader while it reads
 * and parses, the Python thread that runs the request, then whoever writes the
 * rest of the response. The output buffer is also touched by the monitor's
 * flush, therefore out_lock.
 */
#ifndef MW_H
#define MW_H
#include <stddef.h>
#include <stdint.h>

typedef struct { uint32_t off, len; } mw_span;
typedef struct { mw_span name, value; } mw_field;

#define MW_MAX_FIELDS 256
typedef struct {
    mw_span method, target, path, query, host;
    uint32_t head_len, nfields, flags, pad;
    int64_t content_length;
    mw_field fields[MW_MAX_FIELDS];
} mw_head;

/* mw_head.flags, equal to http1.Flag* */
enum { MW_HTTP11 = 1, MW_KEEPALIVE = 2, MW_CHUNKED = 4, MW_HAS_LENGTH = 8,
       MW_EXPECT = 16, MW_UPGRADE = 32, MW_PLAIN = 64, MW_HAS_HOST = 128, MW_HTTP2 = 256 };

/* mw_req.phase: where the request is, read by the monitor */
enum { MW_WAIT_GIL = 0, MW_IN_APP = 1 };

/* mw_req.result: what mw_run leaves to do */
enum {
    MW_OK = 0,       /* the response is in out (and tail/sendfile fields) or sent */
    MW_ERROR = 1,    /* nothing was sent: the server answers with req.status */
    MW_CUT = 2,      /* response began and broke: close so that the client sees it */
};

/* what mwHookHead answers */
enum { MW_HEAD_FAILED = -1, MW_HEAD_PLAIN = 0, MW_HEAD_CHUNKED = 1, MW_HEAD_FILTERED = 2, MW_HEAD_DISCARD = 3 };

typedef struct mw_req {
    mw_head head;
    char *in;                 /* malloc; request bytes from the start of the head */
    char *out;                /* malloc; response bytes [out_off, out_len) not sent yet */
    char *extra;              /* malloc or NULL: "name\0value\0"... per-request environ additions */
    uint64_t in_len, in_cap;
    uint64_t out_off, out_len, out_cap;
    uint64_t extra_len;
    uint64_t body_off, body_len;  /* body bytes present in `in` (raw bytes if chunked) */
    uint64_t body_read;           /* of those, consumed by the application */
    int64_t stream_left;          /* Content-Length body: bytes still on the socket; chunked: -1 if the end is not here */
    int64_t body_limit;           /* LimitRequestBody, 0 none */
    int64_t sent_body;            /* response body bytes handed over */
    int64_t start_us;             /* arrival, microseconds since the epoch */
    uint64_t conn_id, request_no;
    int64_t file_off, file_left;  /* rest of a sendfile the reactor has to finish */
    uint64_t in_read;             /* chunked decoder: raw position */
    int32_t fd;
    int32_t file_fd;              /* -1 or a descriptor owned by this request */
    int32_t io_timeout_ms;
    int32_t status;
    int32_t result;
    int32_t keep_alive;           /* in: may persist; out: will persist */
    uint32_t route;               /* index given by mw_route_add */
    uint32_t script_len;          /* bytes of the path that are SCRIPT_NAME */
    uint32_t out_lock;
    uint32_t streaming;           /* not 0: the monitor may flush out; 1 set here, 2 by the monitor when it has seen it */
    uint32_t phase;
    uint32_t aborted;             /* the client is gone */
    uint32_t chunk_state;         /* streaming chunked decoder: see input.c */
    uint32_t status_override;     /* ErrorDocument served by WSGI keeps this status */
    int64_t chunk_left;
    int64_t body_began, body_until; /* input.c: monotonic ms; 0 not begun */
    uint32_t remote_port, local_port;
    int32_t body_ms, body_max_ms; /* RequestReadTimeout body=: time, its maximum; 0 none */
    int32_t body_rate;            /* and the bytes that earn a second */
    int32_t in_hook;              /* the body passes filters: ask the hooks for it */
    char remote[64];
    char local[64];
    uint64_t sent;                /* response bytes, head and framing included, that the socket took */
    char *kept;                   /* malloc or NULL: copy of the response's head, for the access log */
    uint32_t kept_len, kept_cap;
    uint32_t keep_head;           /* make that copy */
    uint32_t logged;              /* an error log record was written for the request */
    uint64_t conn_logged;         /* conn_id for which ErrorLogFormat's connection lines were written */
    uint64_t hook;                /* 0, or the handle of the hooks that see the response (hooks.go) */
    int64_t first_us;             /* track_first: the first byte of the response was sent, microseconds since the epoch; 0 not yet */
    uint32_t track_first;         /* the access log wants first_us */
    uint32_t wire;                /* not 0: Go reads and writes the connection (wire.h) */
    int64_t queue_us;             /* put into the queue for a thread, microseconds since the epoch; 0 never */
} mw_req;

/* One WSGI target. Strings are copied by mw_route_add. */
typedef struct {
    const char *script, *process_group, *application_group, *callable, *handler,
        *handler_script, *script_name;
    const char *environ;     /* "name\0value\0"... */
    size_t environ_len;
    int pass_authorization, map_head, multithread, multiprocess, error_override;
    int https, ignore_activity, run_once;
    int sink;                /* from mw_sink_add: where its records go */
    int port;                /* SERVER_PORT of requests whose Host names none */
    int interp;              /* from mw_interp_add: where it runs */
} mw_route_conf;

/* An error log with its format; programs as errorlog.Format.Program makes them. Copied. */
typedef struct {
    int fd, level;           /* level: 0 emerg ... 7 debug */
    int syslog;              /* the reader is syslog: "<level>" goes before each line */
    const void *program, *request, *connection;
    size_t program_len, request_len, connection_len;
} mw_sink_conf;

#define MW_INTERPS 256 /* application groups of a process; names may come from requests (%{HOST}) */
/* An interpreter. Copied. */
typedef struct {
    const char *name;        /* application group, "" the main interpreter */
    const char *paths;       /* npaths strings with their NUL, each a ':' list, in the order in which
                              * they go to the front of sys.path; not for the main interpreter (mw_add_path) */
    size_t paths_len;
    int npaths;
    int restrict_signal, restrict_stdin, restrict_stdout;
    int own_gil;             /* Python 3.12 on; not for the main interpreter */
    double switch_interval;  /* seconds, 0 as it is */
} mw_interp_conf;

/* process-wide settings, before mw_init */
typedef struct {
    const char *process_group;
    const char *server_software;
    int threads, processes;
    size_t header_limit;     /* longest line of a response's head, 0 any */
    int ignore_case;         /* WSGICaseSensitivity Off: of paths in the names of modules */
} mw_conf;

/* A function of a script for access control (authscript.c). Strings end with NUL. */
enum { MW_SCRIPT_PASSWORD = 0, MW_SCRIPT_HASH, MW_SCRIPT_GROUPS, MW_SCRIPT_ACCESS, MW_SCRIPT_DISPATCH }; /* kind */
enum { MW_SCRIPT_FAILED = 0, MW_SCRIPT_NONE, MW_SCRIPT_FALSE, MW_SCRIPT_TRUE, MW_SCRIPT_TEXT, MW_SCRIPT_STRINGS, MW_SCRIPT_MISSING }; /* answer */
typedef struct {
    const char *script, *function, *application_group;
    int interp;
    const char *environ;     /* "name\0value\0"... */
    size_t environ_len;
    const char *args;        /* nargs strings */
    int nargs, kind, https;
} mw_script;
typedef struct {
    char *text;              /* malloc or NULL: strings, each with its NUL */
    size_t len;
    int answer;
} mw_script_result;
void mw_script_call(const mw_script *s, mw_req *r, mw_script_result *out);

int mw_init(const mw_conf *conf, const mw_interp_conf *main);
int mw_interp_add(const mw_interp_conf *conf);
int mw_python_minor(void);
int mw_free_threaded(void);
int mw_gil_off(void);
int mw_thread_start(int thread_id);
void mw_thread_end(void);
int mw_sink_add(const mw_sink_conf *conf);
int mw_log_error(void); /* errno of the last record that could not be written, 0 none */
/* More of the body as it was sent, on the thread of the request, no GIL: >0 bytes, 0 the end, -errno. */
int64_t mw_body_read(mw_req *r, char *p, size_t n);
int mw_route_add(const mw_route_conf *conf);
void mw_run(mw_req *r);
void mw_run_hooked(mw_req *r);
void mw_run_wired(mw_req *r);
int mw_out_append(mw_req *r, const char *p, size_t n);
int mw_out_flush(mw_req *r, int timeout_ms);
int mw_out_flush_wired(mw_req *r, int timeout_ms);
int mw_stale(uint32_t route);
enum { MW_NO_HOOK = -1, MW_SELDOM = 2 };
int mw_reload_required(mw_req *r);
int mw_import(const char *path, int interp);
int mw_service_start(void);
int mw_service_run(const char *path);
void mw_add_path(const char *dirs);
void mw_set_zone(long offset, const char *name); /* of records in the error log; one caller at a time */
void mw_set_date(const char *date);
void mw_track_fd(int fd, int on);
void mw_shutdown(void);
/* A Python thread as the timers see it. */
typedef struct {
    uint64_t serial;         /* requests begun */
    uint64_t ignored;        /* of those, under WSGIIgnoreActivity */
    uint32_t busy, pad;      /* in a request now */
} mw_thread_state;
int mw_threads_read(mw_thread_state *out, int n);
int mw_loaded(void);
void mw_probe(void);
int mw_report(int level, int stacks, int thread);
int mw_interrupt(int thread, uint64_t serial);
void mw_stopping(const char *reason);
void mw_signal_event(const char *name, int number);
int mw_board_attach(int fd, long size, int index, int num, int generation, int shown);
void mw_board_quiesce(void);
int mw_set_title(const char *title);
int mw_set_locale(const char *name);
int mw_abandon(const unsigned char *overdue, int n, int gil);

/* Telemetry: what an interval has counted (metrics.c). Times in seconds; times of day since the epoch. */
#define MW_BUCKETS 65
#define MW_PHASES 8        /* server, queue, daemon, application, request, gil wait, input read, output write */
#define MW_SAMPLE_SLOTS 128
typedef struct { double sum; int64_t n, min_us, max_us; int32_t buckets[MW_BUCKETS]; } mw_phase;
typedef struct { int64_t completed; double busy, cpu, current, longest; } mw_slot;
typedef struct {
    double start, stop, user, system, busy;
    int64_t count, gil_count, in_bytes, in_reads, out_bytes, out_writes, rss, max_rss;
    int64_t statuses[5];   /* 1xx ... 5xx */
    int threads_max, threads_started, threads_active, nslots;
    mw_phase phases[MW_PHASES];
    mw_slot slots[MW_SAMPLE_SLOTS];
} mw_sample;
int mw_telemetry_start(void);
int mw_telemetry_sample(mw_sample *out);

/* A request that takes long (slow.c). Strings end with NUL and are cut. */
typedef struct {
    double start, duration, server, queue, daemon, application, gil_time, cpu_user, cpu_system;
    int64_t gil_count, in_bytes, in_reads, out_bytes, out_writes;
    int done, fresh, thread, status, active_start, active_end; /* fresh: not reported before; status 0 unknown */
    char id[40], method[17], scheme[17], protocol[17], peer[65], host[257], script[257], path[513], agent[513];
} mw_slow;
int mw_slow_start(double threshold, int agent);
int mw_slow_take(mw_slow *out, int n);

/* The garbage collector of an interpreter (collector.c). */
typedef struct { double start, duration; int64_t generation, collected, uncollectable; } mw_collection;
typedef struct {
    int64_t counts[3], thresholds[3], collections[3], collected[3], uncollectable[3], enabled, frozen, dropped;
    char name[257];        /* of the interpreter */
    int nevents;
    mw_collection events[64];
} mw_collector;
void mw_collector_start(void);
int mw_collector_take(int interp, mw_collector *out);

const char *mw_python_version(void);
size_t mw_sizeof_req(void);
void *mw_alloc(size_t n);
void *mw_realloc(void *p, size_t n);
void mw_free(void *p);
void mw_trim(void);
#endif
