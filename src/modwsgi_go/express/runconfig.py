"""`mod_wsgi-express run-config FILE`: serves with a configuration file written for Apache.

The server stays in the foreground, as a service manager wants it: SIGTERM stops, SIGHUP restarts,
SIGUSR1 restarts and SIGWINCH stops gracefully. What the file may contain tells
`mod_wsgi-express check FILE`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(words: Sequence[str]) -> int:
    """Runs the subcommand with the words after it; returns the exit code."""
    from . import fileargs, scripts

    arguments = fileargs.read("run-config", words, __doc__ or "", several=False)
    arguments.apply_envvars()
    for name in ("APACHE_RUN_DIR", "APACHE_LOCK_DIR"):  # on a file system that every boot empties, as apache2ctl
        folder = os.environ.get(name)
        if folder:
            try:
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                print(f"{fileargs.PROG}: error: {name}: {folder}: {error.strerror}", file=sys.stderr)
                return 1
    from .._server import Server

    file = os.path.abspath(arguments.files[0])
    defines = {**scripts.passed_on(), **arguments.defines}
    try:
        return Server(file, server_root=arguments.server_root or os.path.dirname(file), defines=defines).run(
            foreground=True
        )
    except KeyboardInterrupt:
        return 0
