"""Settings -> the lines that the command prints before it starts the server.

The labels, their order and the width of the column are those of mod_wsgi-express:
scripts read them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings


def render(s: Settings) -> str:
    """The banner with a line break at its end."""
    return "".join(f"{label:<19}: {value}\n" for label, value in lines(s))


def lines(s: Settings) -> list[tuple[str, str]]:
    """Label and value of each line."""
    url = f"http://{s.site_name}/" if s.port == 80 else f"http://{s.site_name}:{s.port}/"
    out = [
        ("Server URL", url),
        *([("Server URL (HTTPS)", _https(s))] if s.https_port else []),
        *([("Server Status", f"{url}server-status")] if s.server_status else []),
        ("Server Root", s.server_root),
        ("Server Conf", s.httpd_conf),
        ("Error Log File", f"{s.error_log_file} ({s.log_level})"),
    ]
    if s.access_log:
        out.append(("Access Log File", s.access_log_file))
    if s.startup_log:
        out.append(("Startup Log File", s.startup_log_file))
    if s.enable_coverage:
        out.append(("Coverage Output", s.coverage_directory + "/index.html"))
    if s.enable_profiler:
        out.append(("Profiler Output", s.profiler_directory))
    if s.enable_recorder:
        out.append(("Recorder Output", s.recorder_directory))
    if s.rewrite_rules:
        out.append(("Rewrite Rules", s.rewrite_file))
    if s.envvars_script:
        out.append(("Environ Variables", s.envvars_script))
    if s.command == "setup-server" or s.setup_only:
        if not s.rewrite_rules:
            out.append(("Rewrite Rules", s.rewrite_file))
        if not s.envvars_script:
            out.append(("Environ Variables", s.server_root + "/envvars"))
        out.append(("Control Script", s.server_root + "/apachectl"))

    processes = s.processes or 1
    noun = "process" if processes == 1 else "processes"
    out.append(("Operating Mode", "debug" if s.debug_mode else "embedded" if s.embedded_mode else "daemon"))
    out.append(("Request Capacity", f"{processes * s.threads} ({processes} {noun} * {s.threads} threads)"))
    if not s.embedded_mode:
        out.append(("Request Timeout", f"{s.request_timeout} (seconds)"))
        if s.interrupt_timeout:
            out.append(("Interrupt Timeout", f"{s.interrupt_timeout} (seconds)"))
        if s.startup_timeout:
            out.append(("Startup Timeout", f"{s.startup_timeout} (seconds)"))
        out.append(("Queue Backlog", f"{s.daemon_backlog} (connections)"))
        out.append(("Queue Timeout", f"{s.queue_timeout} (seconds)"))
        event, prefork = capacity(s)
        out.append(("Server Capacity", f"{event} (event/worker), {prefork} (prefork)"))
    out.append(("Server Backlog", f"{s.server_backlog} (connections)"))
    out.append(("Locale Setting", s.locale))
    return out


def _https(s: Settings) -> str:
    return f"https://{s.site_name}/" if s.https_port == 443 else f"https://{s.site_name}:{s.https_port}/"


def capacity(s: Settings) -> tuple[int, int]:
    """Connection slots that Apache would have: with threads, and with prefork."""
    workers = (s.processes or 1) * s.threads
    slots = 10 + max(10, int(1.5 * workers)) if s.max_clients is None else max(s.max_clients, workers)
    per_child = slots // (slots // 20 + 1) if slots > 20 else 10
    return -(-slots // per_child) * per_child, slots
