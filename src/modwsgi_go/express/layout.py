"""Writes the server root: directories first, then every generated file.

A file whose content would not change is left alone, so that running setup again does
not make a live server believe that its application changed.
"""

from __future__ import annotations

import os
import stat
import sys

from .. import __version__
from . import scripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .settings import Settings


class UnsafeRoot(Exception):
    """The default server root belongs to somebody else."""


def write(s: Settings) -> None:
    """Makes directories and files of a run. Raises OSError and UnsafeRoot."""
    from . import httpdconf

    make_directories(s)
    write_file(s.httpd_conf, httpdconf.render(s))
    if s.handler_needed:
        write_file(s.server_root + "/handler.wsgi", scripts.handler(s))
    if s.add_handler:
        write_file(s.server_root + "/resource.wsgi", scripts.resource(s))
    if s.uses_default_app:
        write_file(s.server_root + "/default.wsgi", scripts.DEFAULT)
    if s.enable_telemetry:
        write_file(s.services["telemetry"]["script"], scripts.telemetry(s))
    if s.enable_docs:
        write_docs(s.docs_folder)
    if s.enable_gdb:
        write_file(s.server_root + "/gdb.cmds", scripts.GDB)
    write_file(s.server_root + "/apachectl", scripts.apachectl(s), mode=0o755)
    envvars = s.server_root + "/envvars"
    if s.envvars_script or not os.path.exists(envvars):
        write_file(envvars, scripts.envvars(s))
    if not s.rewrite_rules and not os.path.exists(s.rewrite_file):
        write_file(s.rewrite_file, "")


def write_docs(folder: str) -> None:
    """Makes the pages of --enable-docs, unless those of this version are there."""
    try:
        with open(folder + "/index.html", encoding="utf-8") as file:
            if f"modwsgi-go {__version__} -->" in file.read(200):
                return
    except FileNotFoundError:
        pass
    import subprocess

    done = subprocess.run([sys.executable, "-m", "modwsgi_go.express.pages", folder], check=False, cwd="/",
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        print(f"mod_wsgi-express: notice: --enable-docs: the pages cannot be made: {last}", file=sys.stderr)


def make_directories(s: Settings) -> None:
    """Server root, logs, egg cache, document root and the mount point inside it."""
    os.makedirs(s.server_root, exist_ok=True)
    if "server_root" not in s.given:
        _check_owner(s.server_root)
    os.makedirs(s.log_directory, exist_ok=True)
    os.makedirs(s.python_eggs, exist_ok=True)
    if os.getuid() == 0:
        _give_away(s.python_eggs, s)
    # A document root that cannot be made is noticed when files are asked for; the
    # application below it works all the same.
    try:  # noqa: SIM105 - importing contextlib would show in the start-up time
        # The directory of the mount point makes /mount redirect to /mount/.
        os.makedirs(s.document_root + (s.mount_point if s.files_first else ""), exist_ok=True)
    except OSError:
        pass


def _check_owner(directory: str) -> None:
    """The default root has a name that anybody can guess and lies where anybody can
    write: whoever makes it first could choose what this user runs."""
    info = os.lstat(directory)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & stat.S_IWOTH:
        raise UnsafeRoot(f"{directory} is not a directory of this user alone; remove it or give --server-root")


def _give_away(directory: str, s: Settings) -> None:
    """Hands a directory to the user and group that the application will run as."""
    import grp
    import pwd

    user, group = scripts.identity(s)
    try:
        uid = int(user[1:]) if user.startswith("#") else pwd.getpwnam(user).pw_uid
        gid = int(group[1:]) if group.startswith("#") else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        return  # the server reports unknown names
    os.chown(directory, uid, gid)


def write_file(path: str, text: str, mode: int | None = None) -> None:
    """Writes text unless the file holds it already."""
    data = os.fsencode(text)
    try:
        with open(path, "rb") as old:
            if old.read() == data:
                return
    except FileNotFoundError:
        pass
    with open(path, "wb") as file:
        file.write(data)
    if mode is not None:
        os.chmod(path, mode)
