"""Runs the server in the calling process: the bridge from the command line to the Go core.

The Go core copies the process environment when it is loaded, so whatever the workers
are to inherit has to be in os.environ before the first call; nothing here imports the
core earlier than that.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# How the supervisor starts a worker, after sys.executable. JSON, written out here because
# importing json to encode one constant would show in the start-up time.
WORKER_ARGS_JSON = '["-c", "from modwsgi_go._worker import main; main()"]'


def run_server(config_file: str, server_root: str, defines: Mapping[str, str]) -> int:
    """Serves until a signal ends it; returns the exit code of the process.

    config_file is the httpd.conf, server_root the directory that relative paths in it
    start from until it names a ServerRoot itself. defines holds the -D words (value "")
    and the variables for ${NAME}. The supervisor handles the signals from here on and
    blocks this thread with the GIL released.
    """
    from ._gocore import _gocore

    code: int = _gocore.gocore_RunServer(
        config_file, server_root, sys.executable, WORKER_ARGS_JSON, encode_defines(defines)
    )
    return code


def check_config(config_file: str, server_root: str, defines: Mapping[str, str]) -> str:
    """Reads and compiles a configuration; returns its diagnostics as JSON, "[]" if none."""
    from ._gocore import _gocore

    text: str = _gocore.gocore_CheckConfig(config_file, server_root, encode_defines(defines))
    return text


def encode_defines(defines: Mapping[str, str]) -> str:
    """One line per define, NAME or NAME=value, as the core takes them."""
    return "\n".join(f"{name}={value}" if value else name for name, value in defines.items())
