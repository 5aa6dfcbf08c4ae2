"""Where a worker process starts: hands the process to the Go core, which runs applications in it.

Imports as little as it can, since every import delays the first response, and every
module loaded here is one that the application did not ask for.
"""

import sys


def main() -> None:
    """Runs the worker that the supervisor described on the inherited descriptors; exits with its status."""
    # A crash in native code logs the Python stacks and ends by its own signal. The Go
    # runtime passes such signals on to a handler that was there before it.
    import faulthandler

    faulthandler.enable()
    from modwsgi_go._gocore import _gocore

    # As in Apache, where no command line belongs to the application.
    sys.argv = ["mod_wsgi"]
    sys.exit(_gocore.gocore_RunWorker())
