"""The options of start-server and setup-server: one row each.

Parsing, help, notices about options without effect, and the documentation all
read this table. A row is

    Row(name, kind, default, metavar, effect, help)

kind     how it is written: FLAG takes no value, PAIRS takes two words; LIST and
         PAIRS may repeat and accumulate, for the rest the last one wins.
default  what an option that was not given stands for; None where settings.py
         computes it.
effect   WORKS, or why it does not; see the constants.

The type is a plain class with slots: dataclasses and typing would double the
start-up time of the command.
"""

from __future__ import annotations

# Kinds.
TEXT = "text"
INT = "int"
FLOAT = "float"
FRACTION = "fraction"  # a float that has to lie in 0..1
FLAG = "flag"
LIST = "list"
PAIRS = "pairs"

# Effects.
WORKS = "works"
NOTHING = "nothing"  # accepted; a notice says that it has no effect, as in mod_wsgi itself
APACHE = "apache"  # steers Apache itself; a notice says that it has no effect here
REFUSED = "refused"  # ignoring it would weaken the site: the command ends with exit 1


class Row:
    """One option of the command line."""

    __slots__ = ("default", "dest", "effect", "help", "hidden", "kind", "metavar", "name")

    def __init__(self, name: str, kind: str, default: object, metavar: str, effect: str, help: str) -> None:
        """Takes the columns of the table; help "" hides the option from --help."""
        self.name = name
        self.dest = name[2:].replace("-", "_")
        self.kind = kind
        self.default = default
        self.metavar = metavar
        self.effect = effect
        self.help = help
        self.hidden = not help


# fmt: off
GROUPS: list[tuple[str, list[Row]]] = [
    ("Application", [
        Row("--application-type", TEXT, "script", "TYPE", WORKS,
            "Kind of application: script, module, paste or static."),
        Row("--entry-point", TEXT, None, "FILE-PATH|MODULE", WORKS,
            "The application, instead of the positional argument."),
        Row("--callable-object", TEXT, "application", "NAME", WORKS,
            "Name of the WSGI callable in the script or module."),
        Row("--mount-point", TEXT, "/", "URL-PATH", WORKS,
            "URL path at which the application lives."),
        Row("--application-group", TEXT, "%{GLOBAL}", "NAME", WORKS,
            "Sub-interpreter to run in; the main one by default."),
        Row("--process-group", TEXT, None, "NAME", WORKS,
            "Name of the daemon process group; HOST:PORT by default."),
        Row("--map-head-to-get", TEXT, "Auto", "OFF|ON|AUTO", WORKS,
            "Whether the application sees HEAD requests as GET."),
        Row("--chunked-request", FLAG, False, "", WORKS,
            "Accept chunked request bodies."),
        Row("--limit-request-body", INT, 10485760, "NUMBER", WORKS,
            "Largest request body in bytes; a larger one is answered with 413."),
    ]),
    ("Network", [
        Row("--host", TEXT, None, "IP-ADDRESS", WORKS,
            "Address to listen on; all addresses by default."),
        Row("--port", INT, 8000, "NUMBER", WORKS, "Port to listen on."),
        Row("--http2", FLAG, False, "", WORKS,
            "Offer HTTP/2: with TLS, and in clear text to clients that begin with it."),
        Row("--server-backlog", INT, 500, "NUMBER", WORKS,
            "Length of the queue of connections not yet accepted."),
        Row("--keep-alive-timeout", INT, 2, "SECONDS", WORKS,
            "How long an idle connection is kept; 0 closes it after the response."),
        Row("--server-name", TEXT, None, "HOSTNAME", WORKS,
            "Primary host name; requests for other names are refused."),
        Row("--server-alias", LIST, None, "HOSTNAME", WORKS,
            "Further host name of the site, wildcards allowed; needs --server-name."),
        Row("--allow-localhost", FLAG, False, "", WORKS,
            "With --server-name: let local clients in under any name."),
    ]),
    ("TLS", [
        Row("--https-port", INT, None, "NUMBER", WORKS, "Port for HTTPS."),
        Row("--ssl-port", INT, None, "NUMBER", WORKS, ""),
        Row("--ssl-certificate", TEXT, None, "FILE-PATH", WORKS,
            "Certificate and key without their suffixes .crt and .key."),
        Row("--ssl-certificate-file", TEXT, None, "FILE-PATH", WORKS, "Certificate (PEM)."),
        Row("--ssl-certificate-key-file", TEXT, None, "FILE-PATH", WORKS, "Private key (PEM)."),
        Row("--ssl-certificate-chain-file", TEXT, None, "FILE-PATH", WORKS,
            "Intermediate certificates (PEM)."),
        Row("--ssl-ca-certificate-file", TEXT, None, "FILE-PATH", WORKS,
            "CA certificates; clients need one that is signed by them."),
        Row("--ssl-verify-client", LIST, None, "URL-PATH", WORKS,
            "Demand a client certificate below this path only."),
        Row("--ssl-environment", FLAG, False, "", WORKS, "Give SSL_* variables to the application."),
        Row("--https-only", FLAG, False, "", WORKS, "Redirect HTTP requests to HTTPS."),
        Row("--hsts-policy", TEXT, None, "PARAMS", WORKS, "Value of Strict-Transport-Security."),
    ]),
    ("Processes and threads", [
        Row("--processes", INT, None, "NUMBER", WORKS, "Number of worker processes; one by default."),
        Row("--threads", INT, 5, "NUMBER", WORKS, "Request threads in each process."),
        Row("--max-clients", INT, None, "NUMBER", APACHE, "Slots for connections of Apache's processes."),
        Row("--initial-workers", FRACTION, None, "NUMBER", APACHE, "Share of the workers started at once."),
        Row("--minimum-spare-workers", FRACTION, None, "NUMBER", APACHE, "Share of idle workers, minimum."),
        Row("--maximum-spare-workers", FRACTION, None, "NUMBER", APACHE, "Share of idle workers, maximum."),
        Row("--server-mpm", LIST, None, "NAME", APACHE, "Apache MPM to use."),
        Row("--maximum-requests", INT, 0, "NUMBER", WORKS,
            "Replace a process after so many requests; 0 is never."),
        Row("--maximum-requests-jitter", INT, 0, "NUMBER", WORKS,
            "Up to so many requests more, at random for each process."),
        Row("--user", TEXT, None, "USERNAME", WORKS, "User to run as when started as root."),
        Row("--group", TEXT, None, "GROUP", WORKS, "Group to run as when started as root."),
        Row("--socket-prefix", TEXT, None, "DIRECTORY-PATH", WORKS, "Directory for the daemon sockets."),
        Row("--embedded-mode", FLAG, False, "", WORKS, "Run the application in the server's own processes."),
        Row("--orphan-interpreter", FLAG, False, "", WORKS, "Leave the interpreter undestroyed at exit."),
        Row("--free-threading", FLAG, False, "", WORKS, "Run without the GIL on a free-threaded Python."),
        Row("--switch-interval", FLOAT, None, "SECONDS", WORKS, "Thread switch interval of Python."),
    ]),
    ("Time-outs and limits", [
        Row("--startup-timeout", INT, 15, "SECONDS", WORKS, "Time for the application to load."),
        Row("--shutdown-timeout", INT, 5, "SECONDS", WORKS, "Time for a process to stop before it is killed."),
        Row("--restart-interval", INT, 0, "SECONDS", WORKS, "Replace a process after this time; 0 is never."),
        Row("--cpu-time-limit", INT, 0, "SECONDS", WORKS, "Replace a process after this CPU time; 0 is never."),
        Row("--resident-memory-limit", INT, 0, "BYTES", WORKS,
            "Replace a process that has grown beyond this; 0 is never."),
        Row("--graceful-timeout", INT, 15, "SECONDS", WORKS, "Time to finish requests before a replacement."),
        Row("--eviction-timeout", INT, 0, "SECONDS", WORKS,
            "The same after SIGUSR1 to a worker; 0 is the graceful time-out."),
        Row("--deadlock-timeout", INT, 60, "SECONDS", WORKS, "Replace a process whose GIL is stuck this long."),
        Row("--inactivity-timeout", INT, 0, "SECONDS", WORKS, "Replace a process idle this long; 0 is never."),
        Row("--ignore-activity", LIST, None, "URL-PATH", WORKS, "Requests below this path do not count as activity."),
        Row("--request-timeout", INT, 60, "SECONDS", WORKS, "Time for a request, the last resort."),
        Row("--interrupt-timeout", INT, 0, "SECONDS", WORKS,
            "Time for a request to react to its interruption; 0 does not interrupt."),
        Row("--connect-timeout", INT, 15, "SECONDS", WORKS, "Time for the front to reach a worker."),
        Row("--socket-timeout", INT, 60, "SECONDS", WORKS, "Time for one read or write on a connection."),
        Row("--queue-timeout", INT, 45, "SECONDS", WORKS, "Drop requests that waited this long for a thread."),
        Row("--response-socket-timeout", INT, 0, "SECONDS", WORKS,
            "Time for one write to the client; 0 is the socket time-out."),
        Row("--header-timeout", INT, 15, "SECONDS", WORKS, "Time for the request head to arrive; 0 is no limit."),
        Row("--header-max-timeout", INT, 30, "SECONDS", WORKS, "Upper limit of that time; 0 is none."),
        Row("--header-min-rate", INT, 500, "BYTES", WORKS, "Bytes that extend it by a second; 0 is none."),
        Row("--body-timeout", INT, 15, "SECONDS", WORKS, "Time for the request body to arrive; 0 is no limit."),
        Row("--body-max-timeout", INT, 0, "SECONDS", WORKS, "Upper limit of that time; 0 is none."),
        Row("--body-min-rate", INT, 500, "BYTES", WORKS, "Bytes that extend it by a second; 0 is none."),
        Row("--daemon-backlog", INT, 100, "NUMBER", WORKS, "Length of a process group's own queue."),
        Row("--send-buffer-size", INT, 0, "BYTES", WORKS, "Socket send buffer; 0 is the system's."),
        Row("--receive-buffer-size", INT, 0, "BYTES", WORKS, "Socket receive buffer; 0 is the system's."),
        Row("--header-buffer-size", INT, 0, "BYTES", WORKS, "Longest response header; 0 is no limit."),
        Row("--response-buffer-size", INT, 0, "BYTES", WORKS, "Response bytes held back at most; 0 is 8 MiB."),
        Row("--response-flush-delay", INT, 5, "MILLISECONDS", WORKS, "How long response data may wait for more."),
        Row("--enable-sendfile", FLAG, False, "", WORKS, "Let the kernel send files."),
    ]),
    ("Files and documents", [
        Row("--document-root", TEXT, None, "DIRECTORY-PATH", WORKS,
            "Directory of static files; they take precedence over the application."),
        Row("--directory-index", TEXT, None, "FILE-NAME", WORKS,
            "Index file of directories, which then never go to the application."),
        Row("--directory-listing", FLAG, False, "", WORKS,
            "List directories without an index file that do not go to the application."),
        Row("--allow-override", LIST, None, "DIRECTIVE-TYPE", WORKS, "What .htaccess files may set."),
        Row("--url-alias", PAIRS, None, "URL-PATH FILE-PATH|DIRECTORY-PATH", WORKS,
            "Serve a file or directory at a URL path."),
        Row("--error-document", PAIRS, None, "STATUS URL-PATH", WORKS, "Page for an error status."),
        Row("--error-override", FLAG, False, "", WORKS, "Error pages replace those of the application."),
        Row("--enable-docs", FLAG, False, "", WORKS,
            "Serve pages about options and directives at /__wsgi__/docs/."),
        Row("--add-handler", PAIRS, None, "EXTENSION SCRIPT-PATH", WORKS, "WSGI script for files with an extension."),
        Row("--with-cgi", FLAG, False, "", WORKS, "Run .cgi files."),
        Row("--with-php5", FLAG, False, "", REFUSED, ""),
        Row("--mime-types", TEXT, None, "FILE-PATH", WORKS, "File of MIME types."),
        Row("--compress-responses", FLAG, False, "", WORKS, "Compress text responses."),
    ]),
    ("Proxying", [
        Row("--proxy-mount-point", PAIRS, None, "URL-PATH URL", WORKS, "Pass a URL path on to another server."),
        Row("--proxy-url-alias", PAIRS, None, "URL-PATH URL", WORKS, ""),
        Row("--proxy-virtual-host", PAIRS, None, "HOSTNAME URL", WORKS, "Pass a host name on to another server."),
        Row("--proxy-timeout", INT, None, "SECONDS", WORKS, "Time for the other server to answer."),
        Row("--trust-proxy-header", LIST, None, "HEADER-NAME", WORKS, "Header to believe of a trusted proxy."),
        Row("--trust-proxy", LIST, None, "IP-ADDRESS|SUBNET", WORKS, "Address of a trusted proxy."),
    ]),
    ("Access control", [
        Row("--host-access-script", TEXT, None, "SCRIPT-PATH", WORKS, "Script that decides about client hosts."),
        Row("--auth-user-script", TEXT, None, "SCRIPT-PATH", WORKS, "Script that checks users and passwords."),
        Row("--auth-type", TEXT, "Basic", "TYPE", WORKS, "Basic or Digest."),
        Row("--auth-group-script", TEXT, None, "SCRIPT-PATH", WORKS, "Script that gives the groups of a user."),
        Row("--auth-group", TEXT, "wsgi", "NAME", WORKS, "Group that users must belong to."),
    ]),
    ("Logging", [
        Row("--log-directory", TEXT, None, "DIRECTORY-PATH", WORKS,
            "Directory of log files; the server root by default."),
        Row("--log-to-terminal", FLAG, False, "", WORKS, "Log to the terminal."),
        Row("--log-level", TEXT, "warn", "NAME", WORKS, "Log level, also per module."),
        Row("--access-log", FLAG, False, "", WORKS, "Keep an access log."),
        Row("--access-log-name", TEXT, "access_log", "FILE-NAME", WORKS, "Its file name."),
        Row("--access-log-format", TEXT, "common", "FORMAT", WORKS, "Its format: common, combined or a format string."),
        Row("--error-log-name", TEXT, "error_log", "FILE-NAME", WORKS, "File name of the error log."),
        Row("--error-log-format", TEXT, None, "FORMAT", WORKS, "Format of the error log."),
        Row("--startup-log", FLAG, False, "", WORKS, "Keep messages of the start in a file of their own."),
        Row("--startup-log-name", TEXT, "startup_log", "FILE-NAME", WORKS, "Its file name."),
        Row("--rotate-logs", FLAG, False, "", WORKS, "Rotate the logs by size."),
        Row("--max-log-size", INT, 5, "MB", WORKS, "Size at which they are rotated."),
        Row("--rotatelogs-executable", TEXT, None, "FILE-PATH", WORKS, "Program that rotates them."),
        Row("--verbose-debugging", FLAG, False, "", NOTHING, ""),
    ]),
    ("Reloading", [
        Row("--disable-reloading", FLAG, False, "", WORKS, "Do not reload when the application's file changes."),
        Row("--reload-on-changes", FLAG, False, "", WORKS, "Reload when any loaded module changes; for development."),
    ]),
    ("Debugging", [
        Row("--debug-mode", FLAG, False, "", WORKS, "One process on the console."),
        Row("--enable-debugger", FLAG, False, "", WORKS, "Start pdb when the application raises."),
        Row("--debugger-startup", FLAG, False, "", WORKS, "Start pdb when the application has loaded."),
        Row("--enable-coverage", FLAG, False, "", WORKS, "Measure coverage."),
        Row("--coverage-directory", TEXT, None, "DIRECTORY-PATH", WORKS, "Where its report goes."),
        Row("--enable-profiler", FLAG, False, "", WORKS, "Profile the application."),
        Row("--profiler-directory", TEXT, None, "DIRECTORY-PATH", WORKS, "Where profiles go."),
        Row("--enable-recorder", FLAG, False, "", WORKS, "Record requests and responses."),
        Row("--recorder-directory", TEXT, None, "DIRECTORY-PATH", WORKS, "Where recordings go."),
        Row("--enable-gdb", FLAG, False, "", WORKS, "Run the application's process under gdb, in debug mode."),
        Row("--gdb-executable", TEXT, "gdb", "FILE-PATH", WORKS, "The gdb program."),
    ]),
    ("Python", [
        Row("--working-directory", TEXT, None, "DIRECTORY-PATH", WORKS, "Current directory of the application."),
        Row("--python-path", LIST, None, "DIRECTORY-PATH", WORKS, "Directory to add to sys.path."),
        Row("--python-eggs", TEXT, None, "DIRECTORY-PATH", WORKS, "Where eggs are unpacked."),
        Row("--python-warnings", LIST, None, "SPEC", WORKS, "Warning filter, as for python -W."),
        Row("--locale", TEXT, None, "NAME", WORKS, "Locale of the application."),
        Row("--lang", TEXT, None, "NAME", WORKS, ""),
        Row("--setenv", PAIRS, None, "KEY VALUE", WORKS, "Set a variable in each request's environ."),
        Row("--passenv", LIST, None, "KEY", WORKS, "Copy a process variable into each request's environ."),
        Row("--envvars-script", TEXT, None, "FILE-PATH", WORKS, "Shell file that sets variables before the start."),
    ]),
    ("Services and metrics", [
        Row("--service-script", PAIRS, None, "SERVICE SCRIPT-PATH", WORKS, "Script that runs in a process of its own."),
        Row("--service-user", PAIRS, None, "SERVICE USERNAME", WORKS, "User of that process."),
        Row("--service-group", PAIRS, None, "SERVICE GROUP", WORKS, "Group of that process."),
        Row("--service-log-file", PAIRS, None, "SERVICE FILE-NAME", WORKS, "Log of that process."),
        Row("--server-metrics", FLAG, False, "", WORKS, "Give the application the server's metrics."),
        Row("--server-status", FLAG, False, "", WORKS, "Serve the status page to local clients."),
        Row("--telemetry-service", TEXT, None, "TARGET", WORKS, "Send telemetry to the service at unix:PATH."),
        Row("--enable-telemetry", FLAG, False, "", WORKS,
            "Run the service of the package mod_wsgi-telemetry, and send to it."),
        Row("--telemetry-ui-port", INT, 8888, "NUMBER", WORKS, "Port of its pages, on 127.0.0.1."),
        Row("--telemetry-interval", FLOAT, 1.0, "SECONDS", WORKS, "Time between two samples."),
        Row("--telemetry-options", LIST, None, "ARGS", WORKS,
            "What the telemetry contains: None, All, CaptureUserAgent."),
        Row("--slow-requests", FLOAT, None, "SECONDS", WORKS,
            "Report requests that run longer to the telemetry service."),
    ]),
    ("Configuration and layout", [
        Row("--include-file", LIST, None, "FILE-PATH", WORKS, "Configuration file to include at the end."),
        Row("--rewrite-rules", TEXT, None, "FILE-PATH", WORKS, "File of rewrite rules for the document root."),
        Row("--server-root", TEXT, None, "DIRECTORY-PATH", WORKS, "Directory for everything that is generated."),
        Row("--pid-file", TEXT, None, "FILE-PATH", WORKS, "File that holds the process id."),
        Row("--setup-only", FLAG, False, "", WORKS, "Generate the files, do not start."),
        Row("--shell-executable", TEXT, None, "FILE-PATH", WORKS, "Shell of the control script."),
        Row("--httpd-executable", TEXT, None, "FILE-PATH", APACHE, "The httpd program."),
        Row("--process-name", TEXT, None, "NAME", APACHE, "Name of the parent process."),
        Row("--modules-directory", TEXT, None, "DIRECTORY-PATH", APACHE, "Directory of Apache's modules."),
    ]),
]
# fmt: on

ROWS: list[Row] = [row for _, rows in GROUPS for row in rows]
BY_NAME: dict[str, Row] = {row.name: row for row in ROWS}
