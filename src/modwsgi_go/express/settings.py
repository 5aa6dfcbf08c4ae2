"""Given options -> complete settings: defaults, absolute paths, checks.

Everything that one option means for another is decided here, so that the modules
that render files only look. Nothing on disk is changed; a few questions are asked of
it (does the script exist, has the document root content).
"""

from __future__ import annotations

import os
import sys

from . import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


DOCS_URL = "/__wsgi__/docs"


class UsageError(Exception):
    """The options contradict each other or are malformed; the text is for the user."""


class Unavailable(Exception):
    """An option asks for what the server cannot give: protection, or a program that is missing."""


class Settings:
    """All options by destination name, and what follows from them.

    The attributes of the first block come from the table, completed; those of the
    second are computed by complete().
    """

    application_type: str
    callable_object: str
    mount_point: str
    application_group: str
    process_group: str
    map_head_to_get: str
    limit_request_body: int
    host: str | None
    port: int
    http2: bool
    server_backlog: int
    keep_alive_timeout: int
    server_name: str | None
    server_alias: list[str]
    allow_localhost: bool
    https_port: int | None
    ssl_port: int | None
    ssl_certificate: str | None
    ssl_certificate_file: str | None
    ssl_certificate_key_file: str | None
    ssl_certificate_chain_file: str | None
    ssl_ca_certificate_file: str | None
    ssl_verify_client: list[str]
    ssl_environment: bool
    https_only: bool
    hsts_policy: str | None
    processes: int | None
    threads: int
    max_clients: int | None
    maximum_requests: int
    maximum_requests_jitter: int
    resident_memory_limit: int
    orphan_interpreter: bool
    free_threading: bool
    server_metrics: bool
    telemetry_service: str | None
    enable_telemetry: bool
    telemetry_ui_port: int
    telemetry_interval: float
    telemetry_options: list[str]
    slow_requests: float | None
    socket_prefix: str | None
    service_script: list[tuple[str, str]]
    service_user: list[tuple[str, str]]
    service_group: list[tuple[str, str]]
    service_log_file: list[tuple[str, str]]
    user: str
    group: str
    embedded_mode: bool
    switch_interval: float | None
    startup_timeout: int
    shutdown_timeout: int
    restart_interval: int
    cpu_time_limit: int
    graceful_timeout: int
    eviction_timeout: int
    deadlock_timeout: int
    inactivity_timeout: int
    request_timeout: int
    interrupt_timeout: int
    ignore_activity: list[str]
    connect_timeout: int
    socket_timeout: int
    queue_timeout: int
    response_socket_timeout: int
    header_timeout: int
    header_max_timeout: int
    header_min_rate: int
    body_timeout: int
    body_max_timeout: int
    body_min_rate: int
    daemon_backlog: int
    send_buffer_size: int
    receive_buffer_size: int
    header_buffer_size: int
    response_buffer_size: int
    response_flush_delay: int
    enable_sendfile: bool
    document_root: str
    directory_index: str | None
    directory_listing: bool
    enable_docs: bool
    url_alias: list[tuple[str, str]]
    error_document: list[tuple[str, str]]
    proxy_mount_point: list[tuple[str, str]]  # longest path first
    proxy_url_alias: list[tuple[str, str]]
    proxy_virtual_host: list[tuple[str, str]]
    proxy_timeout: int
    error_override: bool
    mime_types: str | None
    trust_proxy_header: list[str]
    trust_proxy: list[str]
    host_access_script: str | None
    auth_user_script: str | None
    auth_type: str
    auth_group_script: str | None
    auth_group: str
    log_directory: str
    log_to_terminal: bool
    log_level: str
    access_log: bool
    access_log_name: str
    access_log_format: str
    error_log_name: str
    error_log_format: str | None
    rotate_logs: bool
    max_log_size: int
    rotatelogs_executable: str | None
    server_status: bool
    startup_log: bool
    startup_log_name: str
    debug_mode: bool
    enable_debugger: bool
    debugger_startup: bool
    enable_gdb: bool
    gdb_executable: str
    enable_coverage: bool
    coverage_directory: str
    enable_profiler: bool
    profiler_directory: str
    enable_recorder: bool
    recorder_directory: str
    disable_reloading: bool
    reload_on_changes: bool
    working_directory: str
    python_path: list[str]
    python_eggs: str
    python_warnings: list[str]
    locale: str
    lang: str | None
    setenv: list[tuple[str, str]]
    passenv: list[str]
    envvars_script: str | None
    include_file: list[str]
    rewrite_rules: str | None
    allow_override: list[str]
    with_cgi: bool
    compress_responses: bool
    add_handler: list[tuple[str, str]]
    server_root: str
    pid_file: str
    setup_only: bool
    shell_executable: str

    command: str  # start-server or setup-server
    argv: list[str]  # the words after it, for the record in apachectl
    given: dict[str, Any]  # options that the user gave
    host_name: str  # --host, or localhost
    site_name: str  # what URLs in the banner use
    entry_point: str  # absolute file, module, or a word for static
    docs_folder: str  # of the pages of --enable-docs
    uses_default_app: bool  # no application was named: the welcome page
    handler_needed: bool  # handler.wsgi stands between server and application
    files_first: bool  # files below the document root win over the application
    own_document_root: bool  # it lies in the server root and is ours to create
    services: dict[str, dict[str, str]]  # by name: script, and user, group, log where given
    error_log_file: str
    access_log_file: str
    startup_log_file: str
    httpd_conf: str
    rewrite_file: str
    has_rules: bool  # it holds rewrite rules
    rules_first: bool  # rules and .htaccess files of the document root apply to the application's URLs too


def complete(command: str, argv: Sequence[str], given: dict[str, Any], positionals: Sequence[str]) -> Settings:
    """Makes the settings of one run.

    given and positionals are what parser.parse returned. Raises UsageError and Unavailable.
    """
    s = Settings()
    s.command, s.argv, s.given = command, list(argv), given
    for row in table.ROWS:
        default = row.default
        if row.kind in (table.LIST, table.PAIRS):
            default = []
        setattr(s, row.dest, given.get(row.dest, default))
    _check_lines(given, positionals)
    _check_combinations(given)

    s.host_name = s.host or "localhost"
    s.site_name = s.server_name or s.host_name
    s.process_group = given.get("process_group") or f"{s.host_name}:{s.port}"
    s.server_root = os.path.abspath(given.get("server_root") or default_server_root(s.host_name, s.port))
    s.httpd_conf = s.server_root + "/httpd.conf"
    s.pid_file = os.path.abspath(given.get("pid_file") or s.server_root + "/httpd.pid")
    s.rewrite_file = os.path.abspath(s.rewrite_rules or s.server_root + "/rewrite.conf")
    s.has_rules = bool(s.rewrite_rules) or has_rules(s.rewrite_file)
    s.working_directory = os.path.abspath(given.get("working_directory") or os.getcwd())
    s.python_path = [os.path.abspath(entry) for entry in s.python_path]
    s.python_eggs = os.path.abspath(given.get("python_eggs") or s.server_root + "/python-eggs")
    s.include_file = [os.path.abspath(path) for path in s.include_file]
    for name in ("host_access_script", "auth_user_script", "auth_group_script"):
        if getattr(s, name):
            setattr(s, name, os.path.abspath(getattr(s, name)))
    s.auth_type = s.auth_type.capitalize()
    s.shell_executable = given.get("shell_executable") or _find_shell()
    if s.mime_types:
        s.mime_types = os.path.abspath(s.mime_types)
    if s.envvars_script:
        s.envvars_script = os.path.abspath(s.envvars_script)
    _complete_tls(s, given)
    _complete_identity(s, given)
    s.locale = given.get("locale") or given.get("lang") or default_locale()
    _complete_application(s, given, positionals)
    _complete_documents(s, given)
    _complete_proxies(s, given)
    _complete_logs(s, given)
    _complete_services(s)
    _complete_debugging(s, given)
    if s.embedded_mode:
        s.disable_reloading = True
    if s.disable_reloading:
        s.reload_on_changes = False
    s.handler_needed = s.application_type not in ("script", "static") or (
        s.application_type == "script"
        and (s.reload_on_changes or s.debug_mode or not (s.uses_default_app or os.path.isfile(s.entry_point)))
    )
    for path in (s.server_root, s.working_directory, s.document_root, s.entry_point):
        if "\n" in path or "\r" in path:
            raise UsageError(f"a path may not contain a line break: {path!r}")
    _check_effects(s, given)
    return s


def notices(given: dict[str, Any]) -> list[str]:
    """One sentence for each given option that does nothing."""
    lines = []
    for row in table.ROWS:
        if row.dest in given:
            if row.effect == table.NOTHING:
                lines.append(f"option {row.name} has no effect, as in mod_wsgi")
            elif row.effect == table.APACHE:
                lines.append(f"option {row.name} has no effect: it steers Apache itself")
    if "server_alias" in given and "server_name" not in given:
        lines.append("option --server-alias has no effect without --server-name")
    if "allow_localhost" in given and "server_name" not in given:
        lines.append("option --allow-localhost has no effect without --server-name")
    if "hsts_policy" in given and "https_only" not in given:
        lines.append("option --hsts-policy has no effect without --https-only")
    if "ssl_environment" in given and not ("https_port" in given or "ssl_port" in given):
        lines.append("option --ssl-environment has no effect without --https-port")
    return lines


def _check_lines(given: dict[str, Any], positionals: Sequence[str]) -> None:
    """A line break inside a value would become a configuration line of its own."""
    for row in table.ROWS:
        value = given.get(row.dest)
        texts: list[str] = []
        if row.kind == table.TEXT and value is not None:
            texts = [value]
        elif row.kind == table.LIST:
            texts = value or []
        elif row.kind == table.PAIRS:
            texts = [word for pair in value or () for word in pair]
        if any("\n" in text or "\r" in text for text in texts):
            raise UsageError(f"option {row.name}: a value may not contain a line break")
    if any("\n" in word or "\r" in word for word in positionals):
        raise UsageError("the application's name may not contain a line break")


def _check_combinations(given: dict[str, Any]) -> None:
    """The checks that express makes, in its order."""
    names = (
        "ssl_certificate",
        "ssl_certificate_file",
        "ssl_certificate_key_file",
        "ssl_ca_certificate_file",
        "ssl_certificate_chain_file",
    )
    if any(name in given for name in names) and not ("https_port" in given or "ssl_port" in given):
        raise UsageError("option --https-port must be specified when a certificate is given")
    telemetry = given.get("telemetry_service")
    if "enable_telemetry" in given and telemetry is not None:
        raise UsageError("options --enable-telemetry and --telemetry-service exclude each other")
    if telemetry is not None and not telemetry.startswith("unix:"):
        raise UsageError("option --telemetry-service: the target must be of the form unix:PATH")
    slow = given.get("slow_requests")
    if slow is not None:
        if slow < 0:
            raise UsageError("option --slow-requests must not be negative")
        if telemetry is None and "enable_telemetry" not in given:
            raise UsageError("option --slow-requests requires --telemetry-service")
    if given.get("auth_type", "Basic").lower() not in ("basic", "digest"):
        raise UsageError("option --auth-type must be Basic or Digest")
    if "auth_group_script" in given and "auth_user_script" not in given:
        raise UsageError("option --auth-group-script requires --auth-user-script")
    if given.get("switch_interval", 1.0) <= 0:
        raise UsageError("option --switch-interval must be positive")
    if "free_threading" in given:
        import sysconfig

        if not sysconfig.get_config_var("Py_GIL_DISABLED"):
            raise UsageError("option --free-threading requires a Python built with --disable-gil")
    if "debugger_startup" in given and "enable_debugger" not in given:
        raise UsageError("option --debugger-startup requires --enable-debugger")


def _complete_tls(s: Settings, given: dict[str, Any]) -> None:
    """The port and the files of certificates. What would leave a site without the protection that was asked for is an
    error."""
    s.https_port = given.get("https_port", given.get("ssl_port"))
    if s.ssl_certificate:
        s.ssl_certificate_file = s.ssl_certificate + ".crt"
        s.ssl_certificate_key_file = s.ssl_certificate + ".key"
    for what in ("certificate", "certificate_key", "certificate_chain", "ca_certificate"):
        name = f"ssl_{what}_file"
        if getattr(s, name):
            setattr(s, name, os.path.abspath(getattr(s, name)))
    if s.https_port is None:
        if s.https_only:
            raise UsageError("option --https-only requires --https-port")
        if s.ssl_verify_client:
            raise UsageError("option --ssl-verify-client requires --https-port")
        return
    if not 0 < s.https_port < 65536 or s.https_port == s.port:
        raise UsageError(f"option --https-port: {s.https_port} is no port, or that of --port")
    if not s.ssl_certificate_file:
        raise UsageError("option --https-port requires --ssl-certificate, or --ssl-certificate-file and -key-file")
    if s.ssl_verify_client and not s.ssl_ca_certificate_file:
        raise UsageError("option --ssl-verify-client requires --ssl-ca-certificate-file")
    for path in s.ssl_verify_client:
        if not path.startswith("/"):
            raise UsageError(f"option --ssl-verify-client: {path!r} does not begin with a slash")
    if s.hsts_policy is not None and len(s.hsts_policy) > 1 and s.hsts_policy[0] == s.hsts_policy[-1] == '"':
        s.hsts_policy = s.hsts_policy[1:-1]  # quotes that mod_wsgi-express needs


def _complete_proxies(s: Settings, given: dict[str, Any]) -> None:
    """Mount points end with a slash, and so do their URLs then. A longer path counts before a shorter one."""
    mounts = []
    for path, url in s.proxy_mount_point + s.proxy_url_alias:
        if not path.startswith("/"):
            raise UsageError(f"option --proxy-mount-point: {path!r} does not begin with a slash")
        if not path.endswith("/"):
            path += "/"
            if not url.endswith("/"):
                url += "/"
        mounts.append((path, url))
    s.proxy_mount_point = sorted(mounts, key=lambda mount: -len(mount[0]))
    s.proxy_timeout = given.get("proxy_timeout", s.socket_timeout)


def _check_effects(s: Settings, given: dict[str, Any]) -> None:
    """Refuses options that would leave the site less protected if they were ignored."""
    refused = [row.name for row in table.ROWS if row.effect == table.REFUSED and row.dest in given]
    if refused:
        names = ", ".join(refused)
        raise Unavailable(f"not available yet, and the site would be less protected without: {names}")


def has_rules(path: str) -> bool:
    """Whether a configuration file holds anything but blanks and comments; False if it is absent."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return any(line.strip() and not line.lstrip().startswith("#") for line in file)
    except (FileNotFoundError, NotADirectoryError):
        return False


def default_server_root(host_name: str, port: int) -> str:
    """The directory of this user, address and port below the temporary directory."""
    top = "/var/tmp" if sys.platform == "darwin" else (os.environ.get("TMPDIR") or "/tmp")
    return f"{top.rstrip('/')}/mod_wsgi-{host_name}:{port}:{os.getuid()}"


def default_locale() -> str:
    """The locale of the command; C and POSIX give way to a UTF-8 one that this system has."""
    import _locale

    name = ""
    for variable in ("LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE"):
        name = os.environ.get(variable, "")
        if name:
            name = name.split(":", 1)[0]
            break
    if name and name not in ("C", "POSIX"):
        return name
    before = _locale.setlocale(_locale.LC_ALL, None)
    for name in ("en_US.UTF-8", "C.UTF-8"):
        try:
            _locale.setlocale(_locale.LC_ALL, name)
        except _locale.Error:  # type: ignore[attr-defined]  # typeshed has it in locale only
            continue
        _locale.setlocale(_locale.LC_ALL, before)
        return name
    return "C"


def which(name: str) -> str | None:
    """The first executable of that name on PATH."""
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _find_shell() -> str:
    return which("bash") or which("sh") or "/bin/sh"


def _complete_identity(s: Settings, given: dict[str, Any]) -> None:
    """The user and group that the server runs as: by default those of the caller."""
    if "user" in given and "group" in given:
        return
    import grp
    import pwd

    uid, gid = os.getuid(), os.getgid()
    user = f"#{uid}"
    try:
        entry = pwd.getpwuid(uid)
        user, gid = entry.pw_name, entry.pw_gid
    except KeyError:
        pass
    try:
        group = grp.getgrgid(gid).gr_name
    except KeyError:
        group = f"#{gid}"
    s.user = given.get("user", user)
    s.group = given.get("group", group)


def _complete_application(s: Settings, given: dict[str, Any], positionals: Sequence[str]) -> None:
    """Entry point, application type and mount point."""
    entry = given.get("entry_point") or (positionals[0] if positionals else None)
    s.uses_default_app = False
    if s.application_type == "static":
        if "document_root" not in given:
            s.document_root = entry or os.getcwd()
            entry = "(static)"
        else:
            entry = "overridden" if entry else "ignored"
    elif entry is None:
        s.application_type = "script"
        s.uses_default_app = s.enable_docs = True
        entry = s.server_root + "/default.wsgi"
    elif s.application_type != "module":
        entry = os.path.abspath(entry)
    s.entry_point = entry

    # normpath keeps two leading slashes, which mean nothing in a URL.
    mount = os.path.normpath("/" + s.mount_point.strip("/"))
    s.mount_point = mount


def _complete_debugging(s: Settings, given: dict[str, Any]) -> None:
    """Each tool turns debug mode on: one process with one thread, without groups, time limits and reloading."""
    tools = ("enable_debugger", "enable_coverage", "enable_profiler", "enable_recorder", "enable_gdb")
    s.debug_mode = s.debug_mode or any(getattr(s, name) for name in tools)
    s.coverage_directory = os.path.abspath(given.get("coverage_directory") or s.server_root + "/htmlcov")
    s.profiler_directory = os.path.abspath(given.get("profiler_directory") or s.server_root + "/pstats")
    s.recorder_directory = os.path.abspath(given.get("recorder_directory") or s.server_root + "/archive")
    if not s.debug_mode:
        return
    if s.enable_coverage:
        import importlib.util

        if importlib.util.find_spec("coverage") is None:
            raise Unavailable(f"--enable-coverage needs a package: {sys.executable} -m pip install coverage")
    if s.enable_gdb:
        program = s.gdb_executable
        found = os.path.abspath(program) if "/" in program else which(program)
        if not found or not os.access(found, os.X_OK):
            raise Unavailable(f"--enable-gdb needs {program}, which is not here (Debian: package gdb)")
        s.gdb_executable = found
    s.embedded_mode, s.processes, s.threads = True, 1, 1


def _complete_services(s: Settings) -> None:
    """Scripts with processes of their own. What is said of a service without script is ignored, as it always was."""
    if s.socket_prefix:
        s.socket_prefix = os.path.abspath(s.socket_prefix)
    s.services = {name: {"script": os.path.abspath(path)} for name, path in s.service_script}
    for key, pairs in (("user", s.service_user), ("group", s.service_group), ("log", s.service_log_file)):
        for name, word in pairs:
            if name in s.services:
                s.services[name][key] = word
    _complete_telemetry(s)
    for name, service in s.services.items():
        if not plain_name(name):
            raise UsageError(
                f"option --service-script: the name {name!r} must consist of letters, digits, '.', '_' and '-'"
            )
        if "log" in service:
            service["log"] = os.path.join(s.log_directory, service["log"])


def _complete_telemetry(s: Settings) -> None:
    """Where telemetry goes: a service that is there, or one of our own."""
    if s.telemetry_service is not None:
        s.telemetry_service = "unix:" + os.path.abspath(s.telemetry_service[len("unix:") :])
    if not s.enable_telemetry:
        return
    if "telemetry" in s.services:
        raise UsageError("option --enable-telemetry has a service of the name telemetry; give yours another one")
    import importlib.util

    try:
        found = importlib.util.find_spec("mod_wsgi.telemetry")
    except ImportError:
        found = None
    if found is None:
        raise UsageError(f"--enable-telemetry needs a package: {sys.executable} -m pip install mod_wsgi-telemetry")
    s.telemetry_service = f"unix:{s.server_root}/telemetry.sock"
    s.services["telemetry"] = {"script": s.server_root + "/telemetry-service.py"}


def plain_name(name: str) -> bool:
    """Whether a service's name can stand in configuration words, host names and titles of processes."""
    return bool(name) and all(char.isascii() and (char.isalnum() or char in "._-") for char in name)


def _complete_documents(s: Settings, given: dict[str, Any]) -> None:
    """Document root, aliases, and whether files go before the application."""
    s.own_document_root = not s.document_root
    s.document_root = os.path.abspath(s.document_root or s.server_root + "/htdocs")
    aliases = []
    for url, target in s.url_alias:
        path = os.path.abspath(target)
        # Alias replaces the prefix as it is written: both sides end with a slash or none.
        if url.endswith("/") and not os.path.isfile(path) and path != "/":
            path += "/"
        aliases.append((url, path))
    s.docs_folder = s.server_root + "/docs"
    if s.enable_docs:
        aliases.append((DOCS_URL, s.docs_folder))
    s.url_alias = sorted(aliases, reverse=True)
    s.add_handler = [(extension, os.path.abspath(path)) for extension, path in s.add_handler]
    s.rules_first = s.has_rules or [word.lower() for word in s.allow_override] not in ([], ["none"])
    s.files_first = s.application_type != "static" and (
        not s.own_document_root
        or s.rules_first
        or s.directory_index is not None
        or s.mount_point != "/"
        or _has_content(s.document_root)
    )


def _has_content(directory: str) -> bool:
    """Whether a directory exists and holds anything."""
    try:
        with os.scandir(directory) as entries:
            return any(True for _ in entries)
    except OSError:
        return False


def _complete_logs(s: Settings, given: dict[str, Any]) -> None:
    """Where the three logs go. A log directory beats the terminal, as it always has."""
    if "log_directory" in given:
        s.log_to_terminal = False
    s.log_directory = os.path.abspath(given.get("log_directory") or s.server_root)
    if s.log_to_terminal:
        s.rotate_logs = False
        s.error_log_file = s.startup_log_file = "/dev/stderr"
        s.access_log_file = "/dev/stdout"
        return
    s.error_log_file = os.path.join(s.log_directory, s.error_log_name)
    s.access_log_file = os.path.join(s.log_directory, s.access_log_name)
    s.startup_log_file = os.path.join(s.log_directory, s.startup_log_name)
    if not s.rotate_logs:
        return
    if s.max_log_size <= 0:
        raise UsageError("option --max-log-size must be positive")
    program = s.rotatelogs_executable or "rotatelogs"
    found = os.path.abspath(program) if "/" in program else which(program) or f"/usr/sbin/{program}"
    if not os.access(found, os.X_OK):
        raise Unavailable(f"--rotate-logs needs {program}, which is not here (Debian: package apache2-utils)")
    s.rotatelogs_executable = found
