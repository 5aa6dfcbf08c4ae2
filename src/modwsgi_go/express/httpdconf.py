"""Settings -> the text of httpd.conf.

The order follows what mod_wsgi-express has always written: server, Python and
process groups, logs, virtual hosts, documents, application, extras, and the user's
own include files last, so that they can override.

Values are always quoted: a path or format string must never turn into something
else, whatever it contains.
"""

from __future__ import annotations

import os

from .hosts import hosts, mount, proxied_hosts, script
from .words import indent, name_or_quote, quote, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .settings import Settings

COMMON_FORMAT = '%h %l %u %t "%r" %>s %b'
COMBINED_FORMAT = COMMON_FORMAT + ' "%{Referer}i" "%{User-agent}i"'

# What --compress-responses compresses: the same types as mod_wsgi-express.
COMPRESSED_TYPES = (
    "text/plain",
    "text/html",
    "text/xml",
    "text/css",
    "text/javascript",
    "application/xhtml+xml",
    "application/javascript",
    "application/json",
)

# Options that are parameters of WSGIDaemonProcess, under the same name but for the
# backlog, with the directive's own defaults: those need no words. socket-timeout is not
# among them because it falls back to Timeout, which is written anyway.
DAEMON_NUMBERS = {
    "maximum-requests": 0,
    "maximum-requests-jitter": 0,
    "resident-memory-limit": 0,
    "startup-timeout": 0,
    "shutdown-timeout": 5,
    "restart-interval": 0,
    "cpu-time-limit": 0,
    "graceful-timeout": 15,
    "eviction-timeout": 0,
    "deadlock-timeout": 300,
    "inactivity-timeout": 0,
    "request-timeout": 0,
    "interrupt-timeout": 0,
    "connect-timeout": 15,
    "queue-timeout": 0,
    "response-socket-timeout": 0,
    "listen-backlog": 100,
    "send-buffer-size": 0,
    "receive-buffer-size": 0,
    "header-buffer-size": 0,
    "response-buffer-size": 0,
    "response-flush-delay": 5,
}


def render(s: Settings) -> str:
    """The whole file."""
    blocks = [part(s) for part in PARTS]
    return "\n".join(block.rstrip("\n") + "\n" for block in blocks if block)


def _server(s: Settings) -> str:
    listen = f"{s.host}:{s.port}" if s.host else str(s.port)
    secure = ""
    if s.https_port:
        secure = f"\nListen {s.host + ':' if s.host else ''}{s.https_port} https"
    return f"""\
# Written by mod_wsgi-express {s.command}; its next run overwrites this file.
# Own configuration goes into a file given with --include-file.

ServerName {quote(s.host_name)}
ServerRoot {quote(s.server_root)}
PidFile {quote(s.pid_file)}

User ${{MOD_WSGI_USER}}
Group ${{MOD_WSGI_GROUP}}

Listen {listen}{secure}
ListenBacklog {s.server_backlog}
"""


def _network(s: Settings) -> str:
    lines = [f"Timeout {s.socket_timeout}"]
    if s.http2:
        lines.append("Protocols h2 h2c http/1.1")
    if s.keep_alive_timeout > 0:
        # No limit of requests, as with the event MPM: a connection that waits costs no thread.
        lines += ["KeepAlive On", "MaxKeepAliveRequests 0", f"KeepAliveTimeout {s.keep_alive_timeout}"]
    else:
        lines.append("KeepAlive Off")
    clauses = [
        _read_timeout("header", s.header_timeout, s.header_max_timeout, s.header_min_rate),
        _read_timeout("body", s.body_timeout, s.body_max_timeout, s.body_min_rate),
    ]
    clauses = [clause for clause in clauses if clause]
    if clauses:
        lines.append("RequestReadTimeout " + " ".join(clauses))
    else:
        # Without the directive the server's own defaults would hold.
        lines.append("RequestReadTimeout header=0 body=0")
    lines.append(f"LimitRequestBody {s.limit_request_body}")
    if s.enable_sendfile:
        lines += ["EnableSendfile On", "WSGIEnableSendfile On"]
    return "\n".join(lines)


def _read_timeout(what: str, first: int, most: int, rate: int) -> str:
    """A clause of RequestReadTimeout; "" when the time is unlimited."""
    if not first:
        return ""
    upper = f"-{most}" if most else ""
    return f"{what}={first}{upper}" + (f",MinRate={rate}" if rate else "")


def _access(s: Settings) -> str:
    return """\
# Nothing in the file system is served unless a section below allows it.
<Directory />
    AllowOverride None
    Require all denied
</Directory>
# .htaccess and .htpasswd are not for visitors.
<Files ".ht*">
    Require all denied
</Files>
"""


def _python(s: Settings) -> str:
    if not s.embedded_mode:
        return _daemon(s)
    path = [s.working_directory, *s.python_path]
    lines = [
        "# Embedded mode: the server's own processes run the application.",
        f"WSGIPythonPath {quote(':'.join(path))}",
        f"WSGIPythonEggs {quote(s.python_eggs)}",
    ]
    if s.switch_interval is not None:
        lines.append(f"WSGISwitchInterval {s.switch_interval:g}")
    processes = s.processes or 1
    lines += [f"StartServers {processes}", f"ServerLimit {processes}", f"ThreadsPerChild {s.threads}"]
    if s.maximum_requests:
        lines.append(f"MaxConnectionsPerChild {s.maximum_requests}")
    lines.append("WSGIProcessGroup %{GLOBAL}")
    return "\n".join(lines)


def _daemon(s: Settings) -> str:
    """The process group of the application. processes= is written only when it was
    given: its presence alone makes wsgi.multiprocess true."""
    words = ["display-name=%{GROUP}", "home=" + value(s.working_directory)]
    if s.processes is not None:
        words.append(f"processes={s.processes}")
    words.append(f"threads={s.threads}")
    for name, default in DAEMON_NUMBERS.items():
        option = "daemon_backlog" if name == "listen-backlog" else name.replace("-", "_")
        number = getattr(s, option)
        if number != default:
            words.append(f"{name}={number}")
    if s.switch_interval is not None:
        words.append(f"switch-interval={s.switch_interval:g}")
    if s.python_path:
        words.append("python-path=" + value(":".join(s.python_path)))
    words.append("python-eggs=" + value(s.python_eggs))
    if s.server_metrics:
        words.append("server-metrics=On")
    words += ["lang=" + value(s.locale), "locale=" + value(s.locale)]
    group = quote(s.process_group)
    parameters = " \\\n    ".join([f"WSGIDaemonProcess {group}", *words])
    return f"WSGIRestrictEmbedded On\n{parameters}\nWSGIProcessGroup {group}"


def _services(s: Settings) -> str:
    """A process group without request threads for each service. One with a log of its own stands in a virtual host,
    which takes no requests: groups log where their host does."""
    blocks = []
    for name, service in s.services.items():
        group = quote("service:" + name)
        words = ["display-name=%{GROUP}", "home=" + value(s.working_directory), "threads=0"]
        words += [f"{key}={value(service[key])}" for key in ("user", "group") if key in service]
        if s.python_path:
            words.append("python-path=" + value(":".join(s.python_path)))
        words.append("python-eggs=" + value(s.python_eggs))
        if s.server_metrics:
            words.append("server-metrics=On")
        words += ["lang=" + value(s.locale), "locale=" + value(s.locale)]
        text = " \\\n    ".join([f"WSGIDaemonProcess {group}", *words])
        text += f"\nWSGIImportScript {quote(service['script'])} process-group={group} application-group=%{{GLOBAL}}\n"
        if "log" in service:
            head = f"ServerName {quote(f'service-{name}.invalid')}\nErrorLog {quote(_log_target(s, service['log']))}\n"
            nobody = "<Location />\n    Require all denied\n</Location>\n"
            text = f"<VirtualHost *:{s.port}>\n{indent(head + nobody + text)}</VirtualHost>\n"
        blocks.append(f"# Service {name}\n{text}")
    return "\n".join(blocks)


def _wsgi(s: Settings) -> str:
    # handler.wsgi always calls it application, whatever its name in the user's file is.
    callable_object = "application" if s.handler_needed else s.callable_object
    lines = [f"WSGIPythonWarnings {quote(spec)}" for spec in s.python_warnings]
    if s.socket_prefix:
        lines.append(f"WSGISocketPrefix {quote(s.socket_prefix + '/wsgi')}")
    if s.orphan_interpreter:
        lines.append("WSGIDestroyInterpreter Off")
    if s.free_threading:
        lines.append("WSGIFreeThreading On")
    if s.server_metrics and s.embedded_mode:
        lines.append("WSGIServerMetrics On")
    if s.telemetry_service:
        lines.append(f"WSGITelemetryService {quote(s.telemetry_service)} interval={s.telemetry_interval:g}")
        lines += [f"WSGITelemetryOptions {' '.join(map(quote, words.split()))}" for words in s.telemetry_options]
        if s.slow_requests is not None:
            lines.append(f"WSGISlowRequests {s.slow_requests:g}")
    lines += [
        f"WSGIApplicationGroup {name_or_quote(s.application_group)}",
        f"WSGICallableObject {quote(callable_object)}",
        "WSGIPassAuthorization On",
        f"WSGIMapHEADToGET {quote(s.map_head_to_get)}",
        "WSGIChunkedRequest On",
        f"WSGIScriptReloading {'Off' if s.disable_reloading else 'On'}",
    ]
    if s.error_override:
        lines.append("WSGIErrorOverride On")
    if s.trust_proxy_header:
        lines.append("WSGITrustedProxyHeaders " + " ".join(map(quote, s.trust_proxy_header)))
    if s.trust_proxy:
        lines.append("WSGITrustedProxies " + " ".join(map(quote, s.trust_proxy)))
    return "\n".join(lines)


def _log_target(s: Settings, path: str) -> str:
    """A log file, or with --rotate-logs the program that writes and rotates it."""
    if not s.rotate_logs:
        return path
    words = (s.rotatelogs_executable or "", f"{path}.%Y-%m-%d-%H_%M_%S", f"{s.max_log_size}M")
    return "|" + " ".join(map(value, words))


def _logs(s: Settings) -> str:
    # LogLevel takes several words ("warn wsgi:info"), so it is the one value that is
    # split; each word is quoted for itself.
    lines = [
        f"ErrorLog {quote(_log_target(s, s.error_log_file))}",
        "LogLevel " + " ".join(map(quote, s.log_level.split() or ["warn"])),
    ]
    if s.error_log_format:
        lines.append(f"ErrorLogFormat {quote(s.error_log_format)}")
    if s.access_log:
        name = s.access_log_format
        if name == "common":
            lines.append(f"LogFormat {quote(COMMON_FORMAT)} common")
        elif name == "combined":
            lines.append(f"LogFormat {quote(COMBINED_FORMAT)} combined")
        else:
            lines.append(f"LogFormat {quote(name)} custom")
            name = "custom"
        lines.append(f"CustomLog {quote(_log_target(s, s.access_log_file))} {name}")
    return "\n".join(lines)


def _documents(s: Settings) -> str:
    lines = [
        f"DocumentRoot {quote(s.document_root)}",
        f"<Directory {quote(s.document_root)}>",
        "    Require all granted",
    ]
    if s.directory_index is not None:
        lines.append(f"    DirectoryIndex {quote(s.directory_index)}")
    if s.directory_listing:
        lines.append("    Options +Indexes")
    if s.with_cgi:
        lines.append("    Options +ExecCGI")
    override = [f"    AllowOverride {' '.join(map(quote, s.allow_override))}"] if s.allow_override else []
    lines += override
    if s.has_rules:
        lines += [
            "    RewriteEngine On",
            "    RewriteOptions InheritDownBefore",
            f"    Include {quote(s.rewrite_file)}",
        ]
    lines.append("</Directory>")
    if s.with_cgi:
        lines.append("AddHandler cgi-script .cgi")
    if s.add_handler:
        group = "%{GLOBAL}" if s.embedded_mode else value(s.process_group)
        script = quote(s.server_root + "/resource.wsgi")
        lines.append(f"WSGIHandlerScript wsgi-resource {script} process-group={group} application-group=%{{GLOBAL}}")
        lines += [f"AddHandler wsgi-resource {quote(extension)}" for extension, _ in s.add_handler]
    if s.mime_types:
        lines.append(f"TypesConfig {quote(s.mime_types)}")
    for url, target in s.url_alias:
        lines += ["", f"Alias {quote(url)} {quote(target)}"]
        if os.path.isfile(target):
            lines += _grant_file(target)
        else:
            lines += [f"<Directory {quote(target)}>", "    Require all granted", *override, "</Directory>"]
    return "\n".join(lines)


def _grant_file(path: str) -> list[str]:
    """Sections that open one file and nothing beside it."""
    directory, name = os.path.split(path)
    return [
        f"<Directory {quote(directory)}>",
        f"    <Files {quote(name)}>",
        "        Require all granted",
        "    </Files>",
        "</Directory>",
    ]


def _application(s: Settings) -> str:
    """The application as hosts on further ports of included files get it, and access to its file."""
    if s.application_type == "static":
        return ""
    return "\n".join([mount(s), *_grant_file(script(s))])


def _extras(s: Settings) -> str:
    lines = []
    for url in s.ignore_activity:
        lines += [f"<Location {quote(url)}>", "    WSGIIgnoreActivity On", "</Location>"]
    if s.server_status:
        lines += ['<Location "/server-status">', "    SetHandler server-status", "    Require local", "</Location>"]
    lines += [f"ErrorDocument {quote(status)} {quote(url)}" for status, url in s.error_document]
    if s.compress_responses:
        lines.append("AddOutputFilterByType DEFLATE " + " ".join(COMPRESSED_TYPES))
    lines += [f"SetEnv {quote(key)} {quote(value)}" for key, value in s.setenv]
    lines += [f"PassEnv {quote(key)}" for key in s.passenv]
    return "\n".join(lines)


def _authentication(s: Settings) -> str:
    """Scripts that decide by client, and that know users and their groups."""
    lines = []
    if s.host_access_script:
        lines += ["<Location />", f"    WSGIAccessScript {quote(s.host_access_script)}", "</Location>"]
    if s.auth_user_script:
        lines += [
            "<Location />",
            f"    AuthType {s.auth_type}",
            f"    AuthName {quote(f'{s.host_name}:{s.port}')}",
            f"    Auth{s.auth_type}Provider wsgi",
            f"    WSGIAuthUserScript {quote(s.auth_user_script)}",
        ]
        groups = []
        if s.auth_group_script:
            lines.append(f"    WSGIAuthGroupScript {quote(s.auth_group_script)}")
            groups = [f"        Require wsgi-group {quote(s.auth_group)}"]
        lines += ["    <RequireAll>", "        Require valid-user", *groups, "    </RequireAll>", "</Location>"]
    return "\n".join(lines)


def _includes(s: Settings) -> str:
    return "\n".join(f"Include {quote(path)}" for path in s.include_file)


PARTS: tuple[Callable[[Settings], str], ...] = (
    _server,
    _network,
    _access,
    _python,
    _wsgi,
    _logs,
    _documents,
    _application,
    _extras,
    _authentication,
    hosts,
    proxied_hosts,
    _services,
    _includes,
)
