/*
 * title.c: what a process is to the system: the title that ps shows
 * (display-name), and its locale.
 */
#include "internal.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#ifdef __APPLE__
#include <crt_externs.h>
#endif

/* The memory of the program's arguments, which ps reads. */
static char *arguments(size_t *size) {
#ifdef __APPLE__
    char **argv = *_NSGetArgv();
    int argc = *_NSGetArgc();
    if (argc < 1) return NULL;
    char *end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; i++) end += strlen(argv[i]) + 1;
    *size = (size_t)(end - argv[0]);
    return argv[0];
#else
    /* fields 48 and 49 of /proc/self/stat (proc(5)); the name in field 2 may hold anything but ends with ')' */
    char buf[2048];
    FILE *f = fopen("/proc/self/stat", "re");
    if (!f) return NULL;
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = 0;
    char *p = strrchr(buf, ')');
    unsigned long start = 0, end = 0;
    int field = 2;
    for (p = p ? p + 1 : NULL; p && *p == ' '; p = strchr(p + 1, ' ')) {
        field++;
        if (field == 48) sscanf(p, " %lu", &start);
        if (field == 49) { sscanf(p, " %lu", &end); break; }
    }
    if (!start || end <= start) return NULL;
    *size = (size_t)(end - start);
    return (char *)start;
#endif
}

/* Show title instead of the arguments, cut to their length. Python has copied them already.
 * 0, or -1 where the system does not allow it. No GIL. */
int mw_set_title(const char *title) {
    size_t size = 0, n = strlen(title);
    char *p = arguments(&size);
    if (!p || size < 2) return -1;
    if (n > size - 1) n = size - 1;
    memset(p, 0, size);
    memcpy(p, title, n);
    return 0;
}

/* locale=: LC_ALL is in the environment already, for libraries that look later. 0, or -1 unknown. */
int mw_set_locale(const char *name) { return setlocale(LC_ALL, name) ? 0 : -1; }
