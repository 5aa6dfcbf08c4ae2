/*
 * sched_linux.c: keeps Go's system monitor from waking the processor.
 *
 * sysmon is the runtime thread that takes processors (Ps) back from threads in
 * system calls. A worker whose leader is always in or out of C makes it find
 * one every 10 ms, after which it polls every 20 us, some 5,000 times a second:
 * measured, 6 % of a busy worker's CPU, and every wake-up displaces the leader
 * or a neighbour. It cannot be configured, but it sleeps with usleep, whose
 * precision is the thread's timer slack, and a thread inherits the slack of
 * its creator. So the slack is raised for the moment in which sysmon is
 * created: the second thread of the runtime, after the one that starts it. The
 * linker leads the runtime's calls of pthread_create here (--wrap in python.go).
 *
 * No other thread may have it: one that looks for work sleeps for 3 us before it
 * takes over a goroutine that was just made ready, and each hand-over between
 * threads would last as long as the slack. Nothing depends on sysmon's being
 * quick here, since there are more Ps than threads that could block.
 */
#include <pthread.h>
#include <sys/prctl.h>

enum { SLACK_NS = 20000000, SYSMON = 1 };

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
    static int created, usual; /* the first two threads are made one after the other */
    int n = __atomic_load_n(&created, __ATOMIC_ACQUIRE), own = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    if (n == 0) usual = own;
    int slack = n == SYSMON ? SLACK_NS : own == SLACK_NS ? usual : own; /* sysmon makes threads too */
    if (slack != own) prctl(PR_SET_TIMERSLACK, slack, 0, 0, 0);
    int rc = __real_pthread_create(t, attr, start, arg);
    if (slack != own) prctl(PR_SET_TIMERSLACK, own, 0, 0, 0);
    if (rc == 0) __atomic_add_fetch(&created, 1, __ATOMIC_ACQ_REL);
    return rc;
}
