/*
 * loaded.c: which version of each script this process has executed, by the
 * time stamp and size that the file had just before it was read. A script
 * that was loaded at start, and changed before the first request, is noticed
 * by this. One entry for each interpreter and path, as long as the process lives.
 */
#include "internal.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct loaded {
    struct loaded *next;
    int64_t mtime_ns, size;
    int interp; /* mw_state.index */
    char path[];
} loaded;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static loaded *all;

static loaded *find(int interp, const char *path) {
    loaded *l = all;
    while (l && (l->interp != interp || strcmp(l->path, path))) l = l->next;
    return l;
}

/* The script at path was executed as of mtime_ns and size in an interpreter. Any thread. */
void mw_loaded_note(int interp, const char *path, int64_t mtime_ns, int64_t size) {
    pthread_mutex_lock(&lock);
    loaded *l = find(interp, path);
    size_t n = strlen(path) + 1;
    if (!l && (l = malloc(sizeof *l + n))) { /* without memory a change is noticed a request later */
        memcpy(l->path, path, n);
        l->interp = interp;
        l->next = all;
        all = l;
    }
    if (l) { l->mtime_ns = mtime_ns; l->size = size; }
    pthread_mutex_unlock(&lock);
}

/* As of when the script was executed: 1, or 0 if it was not. Any thread, no GIL needed. */
int mw_loaded_as_of(int interp, const char *path, int64_t *mtime_ns, int64_t *size) {
    pthread_mutex_lock(&lock);
    loaded *l = find(interp, path);
    if (l) { *mtime_ns = l->mtime_ns; *size = l->size; }
    pthread_mutex_unlock(&lock);
    return l != NULL;
}
