/*
 * forked.c: fork() in a process that has sub-interpreters.
 *
 * After os.fork() CPython deletes all interpreters but the main one in the
 * child, and does not survive that: up to 3.12 it waits for a lock that it holds
 * itself, 3.13 ends by a segmentation fault. So the child takes them off
 * CPython's list before it looks. They stay in memory, which costs nothing.
 *
 * The list begins in _PyRuntime with "head, main"; new interpreters are put
 * before head, so main is the last. Where that is is not public: it is the one
 * place that reads main, main before the first sub-interpreter is made and new,
 * main afterwards. Where there is no such place os.fork() raises RuntimeError.
 *
 * In a sub-interpreter os.fork() always raises: the child would have to go on
 * in an interpreter that CPython wants to delete.
 */
#include "internal.h"
#include <string.h>
#ifdef __GLIBC__
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#endif

#define CANDIDATES 64
static void **places[CANDIDATES]; /* that read main, main */
static int nplaces;
static void **head; /* of CPython's list; NULL unknown */

/* The memory of _PyRuntime; n words, 0 when it cannot be told. */
static void **runtime_words(size_t *n) {
    *n = 0;
#ifdef __GLIBC__
    void *p = dlsym(RTLD_DEFAULT, "_PyRuntime");
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;
    if (!p || !dladdr1(p, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol || info.dli_saddr != p) return NULL;
    *n = symbol->st_size / sizeof(void *);
    return p;
#else
    return NULL;
#endif
}

/* Before the first sub-interpreter is made. The GIL is held. */
void mw_fork_before(void) {
    void *main = PyInterpreterState_Main();
    size_t n;
    void **p = runtime_words(&n);
    if (PyInterpreterState_Head() != main) return; /* somebody else has made one */
    for (size_t i = 0; i + 1 < n && nplaces < CANDIDATES; i++)
        if (p[i] == main && p[i + 1] == main) places[nplaces++] = &p[i];
}

/* It is made: `made`. A GIL is held. 0, or -1 if children must not be forked. */
int mw_fork_after(PyInterpreterState *made) {
    void *main = PyInterpreterState_Main();
    int found = 0;
    for (int i = 0; i < nplaces; i++) {
        if (places[i][0] != (void *)made || places[i][1] != main) continue;
        head = places[i];
        found++;
    }
    if (found != 1) head = NULL;
    return head ? 0 : -1;
}

/* In a child of fork(), before CPython's own handler. */
void mw_fork_child(void) {
    if (head) *head = PyInterpreterState_Main();
}

/* Let os.fork() of the current interpreter raise. 0, or -1 with an exception. */
int mw_fork_refuse(void) {
    static const char source[] =
        "import os, posix\n"
        "def refuse(*args):\n"
        "    raise RuntimeError('Python cannot fork here, because of its sub-interpreters: write WSGIApplicationGroup %{GLOBAL}, '\n"
        "                       'or use the module subprocess or the start method spawn of multiprocessing')\n"
        "for name in ('fork', 'forkpty'):\n"
        "    for module in (os, posix):\n"
        "        if hasattr(module, name): setattr(module, name, refuse)\n";
    PyObject *ns = mw_run_source(source);
    Py_XDECREF(ns);
    return ns ? 0 : -1;
}
