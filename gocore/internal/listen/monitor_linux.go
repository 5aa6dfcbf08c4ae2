// The monitor: a thread that looks now and then at what the Python threads do.
// It takes leadership from a leader that is held up in the application, sends
// what a leader holds back while a request takes long, and flushes responses
// that are being streamed. It sleeps while no thread is in the application.
//
// A look costs 10 to 25 us of a processor, which is often the leader's, and
// displaces it. So the time between two looks grows with the time since one
// found a leader that waited: an eighth of it, from quantum to quantumMax. Where
// requests wait every few milliseconds each is found within a fraction of
// one; an application that only computes is looked at rarely.
package listen

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	quantum     = 100 * time.Microsecond // a leader that waits for longer is relieved: measured best, see docs/architecture.md
	quantumMax  = 2 * time.Millisecond   // between two looks
	quietShare  = 8                      // a look after this part of the time since one found something
	idleTicks   = 20                     // so many looks without a request in the application before the monitor sleeps
	gilPatience = 2 * time.Millisecond   // a leader that computes or waits for the GIL for longer gives the epoll set to the spare thread
	waitMemory  = 100 * time.Millisecond // so long a leader that waited makes the next one likely to
	batchWait   = 300 * time.Microsecond // so long a request may take before what the leader holds back is sent without it
)

// lookAfter is how long the monitor waits before its next look.
func lookAfter(sinceFound int64) time.Duration {
	return min(max(time.Duration(sinceFound/quietShare), quantum), quantumMax)
}

// clock is the time of the last begin or monitor tick: good enough for seconds.
func (l *leadership) clock() int64 { return l.coarse.Load() }

func (l *leadership) monitor() {
	runtime.LockOSThread()
	now := l.r.now()
	found := now     // when there was something to do, or nothing was known of the requests to come
	waiting := false // the last leader that was relieved waited, it did not compute
	relieved := now  // when that was
	sent := int64(0) // the request (busySince) during which what is held was sent
	idle := 0        // looks without a request in the application
	for !l.r.stopped.Load() {
		q := syscall.NsecToTimespec(int64(lookAfter(now - found)))
		syscall.Nanosleep(&q, nil)
		now = l.r.now()
		if l.active.Load() == 0 {
			if idle++; idle > idleTicks {
				l.parked.Store(true)
				if l.active.Load() == 0 || !l.parked.CompareAndSwap(true, false) {
					<-l.unpark
				}
				now = l.r.now()
				found, idle = now, 0
			}
			continue
		}
		idle = 0
		l.coarse.Store(now)
		if l.r.siblings != nil {
			l.relieve(now)
		}
		if l.flushStreams(now) {
			found = now
		}
		b := l.busySince.Load()
		if b == 0 {
			if waiting && now-relieved < int64(waitMemory) { // requests wait elsewhere: the next leader may be held up at once
				found = max(found, now-2*quietShare*int64(quantum))
			}
			continue
		}
		if now-b < int64(quantum) {
			continue
		}
		th := l.current.Load()
		c := th.cur.Load()
		inApp := c != nil && atomic.LoadUint32(&c.Phase) == phaseApp
		if blocked := inApp && (l.r.parallel || th.blocked()); blocked || now-b >= int64(gilPatience) {
			waiting, relieved = blocked, now
			if blocked {
				found = now
			}
			l.handOn(b, blocked)
			continue
		}
		// It waits for the GIL, computes, or was displaced: another Python thread could only wait as well.
		if now-b >= int64(batchWait) && sent != b {
			sent = b
			l.r.sendAhead(b)
		}
	}
}

// flushStreams sends what streaming applications have buffered for long enough; true: there was something.
func (l *leadership) flushStreams(now int64) (found bool) {
	for _, th := range l.threads {
		c := th.cur.Load()
		if c == nil || atomic.LoadUint32(&c.Streaming) == 0 || atomic.CompareAndSwapUint32(&c.Streaming, streamNew, streamSeen) {
			continue // a stream that ends before the next look leaves with its end
		}
		if th.ripe(c, now) {
			l.r.tryFlush(c)
			found = true
		}
	}
	return found
}

// ripe reports whether what a stream has buffered has waited long enough for more.
func (th *thread) ripe(q *Req, now int64) bool {
	if th.r.flushDelay <= 0 {
		return true
	}
	if n := atomic.LoadUint64(&q.OutLen); n != th.seen {
		th.seen, th.seenAt = n, now
	}
	return now-th.seenAt >= int64(th.r.flushDelay)
}

// blocked tells a thread that waits in a system call from one that computes or
// was displaced by another process. Only the first has left the GIL to others.
func (th *thread) blocked() bool {
	var b [128]byte
	n, err := syscall.Pread(th.stat, b[:], 0)
	if err != nil {
		return true // no /proc: judge by time alone
	}
	// "TID (name) S ...": the name can contain anything, the fields after it cannot
	i := bytes.LastIndexByte(b[:n], ')')
	return i < 0 || i+2 >= n || b[i+2] != 'R'
}

// handOn takes leadership from a leader that has been in the application since b.
func (l *leadership) handOn(b int64, toPython bool) {
	l.mu.Lock()
	var to *thread
	if toPython {
		to = l.popIdle()
	}
	if to == nil && l.spareIdle {
		to, l.spareIdle = l.spare, false
	}
	if to == nil {
		l.mu.Unlock()
		return
	}
	if !l.busySince.CompareAndSwap(b, 0) { // it came back in time
		if to == l.spare {
			l.spareIdle = true
		} else {
			l.idle = append(l.idle, to)
		}
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	to.wake <- wakeup{lead: true}
}

// beside gives what is the leader's to the monitor for as long as do runs, while
// the leader is in the application since b. It comes back as soon as the leader
// asks for it with recall.
func (l *leadership) beside(b int64, do func()) {
	l.recall.Store(false)
	if l.busySince.CompareAndSwap(b, -b) {
		do()
		l.busySince.Store(b)
	}
}

// keep is for a thread that led when it entered the application, at since; true: it still does.
func (l *leadership) keep(since int64) bool {
	for !l.busySince.CompareAndSwap(since, 0) {
		switch l.busySince.Load() {
		case since:
		case -since:
			l.recall.Store(true)
			_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) // cannot fail
		default:
			return false
		}
	}
	return true
}
