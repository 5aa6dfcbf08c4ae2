"""How the throughput of hello grows with the number of processes, on a machine with few processors.

    sudo python -m tests.bench.scaling [--share 15] [--rounds 5]

wrk needs a processor for each that the server uses, so on two of them a second process has nothing to run on and the
ordinary benchmark shows no gain. Here every worker process is in a control group of its own that may use 15 % of one
processor: what two processes do with twice that is compared with what one does. The share of its quota that
the server used is printed, too; well below 100 % the machine was busy otherwise, and the figures say nothing.
"""

import argparse
import contextlib
import os
import statistics
import time
from pathlib import Path

from .measure import Failed, Running, tree
from .scenarios import SCENARIOS
from .servers import OURS

PERIOD = 10_000  # microseconds: short, so that no request waits long for the next
GROUPS = Path("/sys/fs/cgroup")


class Quota:
    """A control group for one process, version 1 or 2."""

    def __init__(self, name, share):
        quota = PERIOD * share // 100
        old = GROUPS / "cpu"
        self.path = (old if old.is_dir() else GROUPS) / name
        self.path.mkdir()
        if old.is_dir():
            (self.path / "cpu.cfs_period_us").write_text(str(PERIOD))
            (self.path / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (GROUPS / "cgroup.subtree_control").write_text("+cpu")
            (self.path / "cpu.max").write_text(f"{quota} {PERIOD}")
        self.home = self.path.parent / "cgroup.procs"

    def hold(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self):
        for pid in (self.path / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                self.home.write_text(pid)
        for _ in range(100):
            try:
                self.path.rmdir()
                return
            except OSError:  # its processes are still ending
                time.sleep(0.05)


def cpu(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Limited:
    """A server whose processes have their quota."""

    def __init__(self, processes, share):
        name = "hello" if processes == 1 else "processes2"
        scenario = next(s for s in SCENARIOS if s.name == name)
        scenario = type(scenario)(**{**vars(scenario), "connections": 64, "processes": processes})
        self.running, self.share, self.rounds = Running(OURS, scenario), share, []
        self.running.first_answer()
        self.workers = [p for p in tree(self.running.process.pid) if p != self.running.process.pid]
        if len(self.workers) != processes:
            raise Failed(f"{len(self.workers)} processes instead of {processes}")
        self.quotas = [Quota(f"modwsgi-bench-{pid}", share) for pid in self.workers]
        for quota, pid in zip(self.quotas, self.workers, strict=True):
            quota.hold(pid)

    def load(self, seconds):
        before = [cpu(pid) for pid in self.workers]
        rate = self.running.load(seconds).rate
        used = [(cpu(pid) - was) / (seconds * self.share / 100) for pid, was in zip(self.workers, before, strict=True)]
        self.rounds.append((rate, used))

    def median(self):
        return statistics.median(rate for rate, _ in self.rounds)

    def used(self):
        return statistics.mean(share for _, used in self.rounds for share in used)

    def stop(self):
        self.running.stop()
        for quota in self.quotas:
            quota.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=15, help="percent of a processor for each process")
    parser.add_argument("--rounds", type=int, default=5, help="of 3 s, one and two processes in turns")
    given = parser.parse_args()
    servers = []
    try:
        for processes in (1, 2):
            servers.append(Limited(processes, given.share))
            servers[-1].load(1)
            servers[-1].rounds.clear()
        for _ in range(given.rounds):
            for server in servers:
                server.load(3)
    finally:
        for server in servers:
            server.stop()
    one, two = servers
    for server in servers:
        print(f"{len(server.workers)} x {given.share} % of a processor: {server.median():,.0f} requests/s, "
              f"{server.used():.0%} of the quota used")
    print(f"two processes answer {two.median() / one.median():.2f} times as many requests as one")


if __name__ == "__main__":
    main()
