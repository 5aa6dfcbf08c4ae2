/*
 * sched_linux.c: keeps Go's system monitor from waking the processor.
 *
 * sysmon is the runtime thread that takes processors (Ps) back from threads in
 * system calls. A worker whose leader is always in or out of C makes it find
 * one every 10 ms, after which it polls every 20 us, some 5,000 times a second:
 * measured, 6 % of a busy worker's CPU, and every wake-up displaces the leader
 * or a neighbour. It cannot be configured, but it sleeps with usleep, whose
 * precision is the thread's timer slack, and a thread inherits the slack of
 * its creator. So the slack is raised while the runtime starts its first
 * threads, and put back for the loading thread; threads with timing of their
 * own (Python threads, the monitor of package listen) set theirs.
 *
 * Nothing depends on it: where the order of constructors differs the loading
 * thread keeps the larger slack until mw_timer_slack is called.
 */
#include <sys/prctl.h>

enum { COARSE_NS = 5000000, DEFAULT_NS = 50000 };

static int saved;

__attribute__((constructor(101))) static void before_runtime(void) {
    saved = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, COARSE_NS, 0, 0, 0);
}

/* The calling thread's timers get the system's default precision. No GIL. */
void mw_timer_slack(void) { prctl(PR_SET_TIMERSLACK, saved > 0 && saved < COARSE_NS ? saved : DEFAULT_NS, 0, 0, 0); }

__attribute__((constructor)) static void after_runtime(void) { mw_timer_slack(); }
