"""Runs the server in the calling process, for the command line.

Workers inherit os.environ as it is when the server starts.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def run_server(config_file: str, server_root: str, defines: Mapping[str, str]) -> int:
    """Serves until a signal ends it; returns the exit code of the process.

    config_file is the httpd.conf, server_root the directory that relative paths in it
    start from until it names a ServerRoot itself. defines holds the -D words (value "")
    and the variables for ${NAME}; FOREGROUND among them leaves the standard descriptors
    alone. The supervisor handles the signals from here on and blocks this thread with
    the GIL released.
    """
    from ._server import Server

    return Server(config_file, server_root=server_root, defines=defines).run()
