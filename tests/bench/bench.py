"""This server side by side with its peers: requests per second and CPU time per request.

Method: wrk with one thread on loopback; all servers of a scenario are up, and take turns
round by round after a warm-up; medians and ratios come from the same run. CPU time is
user plus system of the whole process tree. Only figures of one run may be compared.

    python -m tests.bench                                   everything (about 25 minutes)
    python -m tests.bench -s hello,flask -p granian,uwsgi   selected scenarios and peers
    python -m tests.bench --startup                         time to the first answer, memory at rest
    python -m tests.bench --quick                           one short round, to see that all of it works
"""

import argparse
import os
import platform
import statistics
import sys
import time
from pathlib import Path

from .measure import Failed, Running, rss_mib
from .scenarios import SCENARIOS
from .servers import HTTP2, OURS, SERVERS, TLS, install


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments(argv):
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--scenarios", help="comma-separated: " + " ".join(s.name for s in SCENARIOS))
    parser.add_argument("-p", "--servers", help="comma-separated: " + " ".join(p.name for p in SERVERS))
    parser.add_argument("--peers-only", action="store_true", help="leave this project's own server out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="length of a round")
    parser.add_argument("--warm-up", type=int, default=1, help="seconds of load before the first round")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s")
    parser.add_argument("--startup", action="store_true", help="measure start-up instead of load")
    parser.add_argument("--no-install", action="store_true", help="use what is there")
    parser.add_argument("-o", "--output", type=Path, help="write the Markdown here too")
    given = parser.parse_args(argv)
    if given.quick:
        given.rounds, given.seconds, given.warm_up = 1, 1, 0
    given.scenarios = pick(parser, given.scenarios, SCENARIOS)
    given.servers = pick(parser, given.servers, SERVERS)
    if given.peers_only:
        given.servers = [peer for peer in given.servers if peer is not OURS]
    return given


def pick(parser, names, all_of):
    if not names:
        return list(all_of)
    known = {one.name: one for one in all_of}
    wrong = [name for name in names.split(",") if name not in known]
    if wrong:
        parser.error(f"unknown: {', '.join(wrong)}; known: {', '.join(known)}")
    return [known[name] for name in names.split(",")]


def measure_scenario(scenario, servers, given, missing):
    """Starts all servers, then rounds in turn; returns {name: [Round]} and {name: reason}."""
    running, results, failed = {}, {}, {}
    try:
        for peer in servers:
            if peer.name in missing:
                failed[peer.name] = "missing: " + missing[peer.name]
            elif peer.one_thread and scenario.concurrent:
                failed[peer.name] = "runs one request at a time"
            elif scenario.front and peer.name not in (OURS.name, "mod_wsgi-daemon"):
                failed[peer.name] = "has no front process"
            elif scenario.tls and peer.name not in TLS:
                failed[peer.name] = "speaks no TLS"
            elif scenario.streams and peer.name not in HTTP2:
                failed[peer.name] = "speaks no HTTP/2"
            elif peer.name == "waitress" and (scenario.processes > 1 or scenario.threads == 1):
                failed[peer.name] = "threads only, one process"
            else:
                try:
                    one = running[peer.name] = Running(peer, scenario)
                    one.first_answer()
                    if given.warm_up:
                        one.load(given.warm_up)
                except (Failed, OSError) as error:
                    failed[peer.name] = str(error)
                    if peer.name in running:
                        running.pop(peer.name).stop()
        for number in range(given.rounds):
            for name, one in list(running.items()):
                try:
                    got = one.load(given.seconds)
                except Failed as error:
                    failed[name] = str(error)
                    running.pop(name).stop()
                    results.pop(name, None)
                    continue
                results.setdefault(name, []).append(got)
                say(f"  {scenario.name} round {number + 1} {name}: {got.rate:,.0f}/s {got.cpu:.1f} us")
    finally:
        for one in running.values():
            one.stop()
    return results, failed


def table(scenario, results, failed):
    """One Markdown table, best first."""
    def median(rounds, key):
        return statistics.median(getattr(r, key) for r in rounds)

    peers = [median(rounds, "rate") for name, rounds in results.items() if name != OURS.name]
    best = max(peers, default=0)
    plural = "es" if scenario.processes > 1 else ""
    lines = [f"### {scenario.name}: {scenario.title}", "",
             f"{scenario.processes} process{plural}, {scenario.threads} thread{'s' * (scenario.threads > 1)} each, "
             f"{scenario.connections} connections", "",
             "| server | requests/s | of best peer | CPU us/request | p50 ms | p99 ms | errors | not 2xx | RSS MiB |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, rounds in sorted(results.items(), key=lambda item: -median(item[1], "rate")):
        rate = median(rounds, "rate")
        share = f"{rate / best:.2f}" if best else "-"
        label = f"**{name}**" if name == OURS.name else name
        lines.append(f"| {label} | {rate:,.0f} | {share} | {median(rounds, 'cpu'):.1f} | "
                     f"{median(rounds, 'p50'):.2f} | {median(rounds, 'p99'):.2f} | "
                     f"{sum(r.errors for r in rounds)} | {sum(r.refused for r in rounds)} | "
                     f"{median(rounds, 'rss'):.0f} |")
    lines += [f"| {name} | - | | | | | | | {reason.replace('|', '/')} |" for name, reason in failed.items()]
    return "\n".join(lines) + "\n"


def summary(everything):
    """All scenarios in one table: requests/s (CPU us per request)."""
    names = [peer.name for peer in SERVERS if any(peer.name in results for _, results in everything)]
    lines = ["### Summary: requests/s (CPU us per request)", "", "| scenario | " + " | ".join(names) + " |",
             "| --- |" + " ---: |" * len(names)]
    for scenario, results in everything:
        cells = []
        for name in names:
            rounds = results.get(name)
            cells.append(f"{statistics.median(r.rate for r in rounds):,.0f} "
                         f"({statistics.median(r.cpu for r in rounds):.1f})" if rounds else "-")
        lines.append(f"| {scenario.name} ({scenario.threads}, {scenario.connections}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def startup(given, missing):
    """Median time from the command to the first answer, and memory one second later."""
    scenario = next(s for s in SCENARIOS if s.name == "browser5")
    times, memory, failed = {}, {}, {}
    for _ in range(max(given.rounds, 1)):
        for peer in given.servers:
            if peer.name in missing or peer.name in failed:
                failed.setdefault(peer.name, "missing: " + missing.get(peer.name, ""))
                continue
            try:
                with Running(peer, scenario) as one:
                    times.setdefault(peer.name, []).append(one.first_answer() * 1000)
                    time.sleep(1)
                    memory.setdefault(peer.name, []).append(rss_mib(one.process.pid))
            except (Failed, OSError) as error:
                failed[peer.name] = str(error)
    lines = ["### Start: hello, 1 process, 5 threads", "", "| server | first answer ms | RSS at rest MiB |",
             "| --- | ---: | ---: |"]
    for name in sorted(memory, key=lambda name: statistics.median(times[name])):
        lines.append(f"| {name} | {statistics.median(times[name]):.0f} | {statistics.median(memory[name]):.0f} |")
    lines += [f"| {name} | - | {reason.replace('|', '/')} |" for name, reason in failed.items()]
    return "\n".join(lines) + "\n"


def main(argv=None):
    given = arguments(argv)
    missing = {} if given.no_install else install(given.servers, say)
    for name, reason in missing.items():
        say(f"{name} is missing: {reason}")
    cores = os.cpu_count()
    parts = [f"CPython {platform.python_version()}, {cores} cores, {platform.machine()}, {time.strftime('%Y-%m-%d')}; "
             f"{given.rounds} alternating rounds of {given.seconds} s, medians; wrk with one thread on the same "
             "machine\n"]
    print(parts[0])
    if given.startup:
        parts.append(startup(given, missing))
        print(parts[-1])
    else:
        everything = []
        for scenario in given.scenarios:
            results, failed = measure_scenario(scenario, given.servers, given, missing)
            everything.append((scenario, results))
            parts.append(table(scenario, results, failed))
            print(parts[-1], flush=True)
        parts.append(summary(everything))
        print(parts[-1])
    if given.output:
        given.output.write_text("\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
