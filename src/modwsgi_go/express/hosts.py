"""Settings -> the virtual hosts of httpd.conf: the site in clear text and over TLS, other servers, and where the
application answers."""

from __future__ import annotations

from .words import indent, quote, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings


def hosts(s: Settings) -> str:
    """Virtual hosts. The first of a port answers for all names that no other host has, those of included
    files among them; with --server-name it refuses, and only a host of that name serves."""
    text = _port(s, s.port, _redirect(s) if s.https_only else _site(s, s.port), "")
    if s.https_port:
        text += "\n" + _port(s, s.https_port, _over_tls(s) + _site(s, s.https_port), _engine(s))
    return text


def _port(s: Settings, port: int, site: str, engine: str) -> str:
    """The hosts of a port; engine: what all of them need to speak TLS."""
    if s.server_name is None:
        return f"""\
# Answers for all names that no other host has.
<VirtualHost _default_:{port}>
{indent(engine + site)}</VirtualHost>
"""
    alias = ""
    if s.server_alias:
        alias = "\n    ServerAlias " + " ".join(map(quote, s.server_alias))
    others = "local" if s.allow_localhost else "all denied"
    text = f"""\
# The first host answers for all names that no other host has.
<VirtualHost _default_:{port}>
    ServerName _wsgi_
{indent(engine)}    <Location />
        Require {others}
    </Location>
{indent(_site(s, port) if s.allow_localhost else "")}</VirtualHost>

<VirtualHost *:{port}>
    ServerName {quote(s.server_name)}{alias}
{indent(engine + site)}</VirtualHost>
"""
    parent = www_parent(s.server_name)
    if parent:
        scheme, to = ("https", s.https_port) if engine or s.https_only else ("http", port)
        text += f"""
<VirtualHost *:{port}>
    ServerName {quote(parent)}
{indent(engine)}    Redirect permanent / {quote(f"{scheme}://{s.server_name}:{to}/")}
</VirtualHost>
"""
    return text


def _engine(s: Settings) -> str:
    """The certificate, which all hosts of the port share, and what is demanded of clients."""
    lines = ["SSLEngine on", f"SSLCertificateFile {quote(s.ssl_certificate_file or '')}"]
    if s.ssl_certificate_key_file:
        lines.append(f"SSLCertificateKeyFile {quote(s.ssl_certificate_key_file)}")
    if s.ssl_certificate_chain_file:
        lines.append(f"SSLCertificateChainFile {quote(s.ssl_certificate_chain_file)}")
    if s.ssl_ca_certificate_file:
        lines += [f"SSLCACertificateFile {quote(s.ssl_ca_certificate_file)}", "SSLVerifyClient none"]
        for path in sorted(s.ssl_verify_client or ["/"], reverse=True):
            lines += [f"<Location {quote(path)}>", "    SSLVerifyClient require", "    SSLVerifyDepth 1", "</Location>"]
    return "\n".join(lines) + "\n"


def _over_tls(s: Settings) -> str:
    """What the host of the site has besides. Strict-Transport-Security makes sense only where HTTP leads to HTTPS."""
    text = "SSLOptions +StdEnvVars\n" if s.ssl_environment else ""
    if s.hsts_policy is not None and s.https_only:
        text += f"Header set Strict-Transport-Security {quote(s.hsts_policy.replace('%', '%%'))}\n"
    return text


def _redirect(s: Settings) -> str:
    """--https-only: every address leads to the same one over TLS."""
    name = s.server_name or "%{SERVER_NAME}"
    port = "" if s.https_port == 443 else f":{s.https_port}"
    return f"RewriteEngine On\nRewriteRule ^ {quote(f'https://{name}{port}%{{REQUEST_URI}}')} [R=302,L]\n"


def _site(s: Settings, port: int) -> str:
    """What a host of ours has on a port: other servers below their paths, the application for the rest."""
    lines = []
    for path, url in s.proxy_mount_point:
        lines += [
            f"ProxyPass {quote(path)} {quote(url)} upgrade=websocket",
            f"ProxyPassReverse {quote(path)} {quote(url)}",
            f"<Location {quote(path)}>",
            f"    RequestHeader set X-Forwarded-Port {port}",
        ]
        if port == s.https_port:
            lines.append("    RequestHeader set X-Forwarded-Scheme https")
        prefix = path.rstrip("/")
        if prefix:
            lines.append(f"    RequestHeader set X-Forwarded-Prefix {quote(prefix)}")
        lines.append("</Location>")
        if prefix:
            pattern = "".join(c if c.isalnum() or c in "/-_~" else "\\" + c for c in prefix)
            lines.append(f"RedirectMatch 302 {quote(f'^{pattern}$')} {quote(path)}")
    return "\n".join([*lines, mount(s)])


def proxied_hosts(s: Settings) -> str:
    """Virtual hosts that are other servers."""
    lines = []
    if s.proxy_mount_point or s.proxy_virtual_host:
        lines.append(f"ProxyTimeout {s.proxy_timeout}")
    for name, url in s.proxy_virtual_host:
        lines += [
            "",
            f"<VirtualHost *:{s.port}>",
            f"    ServerName {quote(name)}",
            f"    ProxyPass / {quote(url)} upgrade=websocket",
            f"    ProxyPassReverse / {quote(url)}",
            f"    RequestHeader set X-Forwarded-Port {s.port}",
            "</VirtualHost>",
        ]
    return "\n".join(lines)


def www_parent(name: str) -> str:
    """example.com for www.example.com, else ""."""
    return name[4:] if name[:4].lower() == "www." else ""


def script(s: Settings) -> str:
    return s.server_root + "/handler.wsgi" if s.handler_needed else s.entry_point


def mount(s: Settings) -> str:
    """Where the application answers: after all other mounts, and in this host only."""
    if s.application_type == "static":
        return ""
    lines = []
    if s.files_first:
        mode = "On" if s.directory_index is None else "Directories"
        lines += [
            "# A file below the document root is served as it is; whatever does not exist there",
            "# goes to the application. On: so do directories without an index file.",
            f"WSGIFileOrApplication {mode}{' Rules' if s.rules_first else ''}",
        ]
    # Both groups on the line make the server load the application at its start.
    group = "%{GLOBAL}" if s.embedded_mode else value(s.process_group)
    options = f"process-group={group} application-group={value(s.application_group)}"
    lines.append(f"WSGIFallbackScriptAlias {quote(s.mount_point)} {quote(script(s))} {options}")
    return "\n".join(lines)
