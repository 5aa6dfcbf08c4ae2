"""Debug mode of the command in the worker process: console, post-mortem debugger, profiler, coverage, recorder.

The generated handler.wsgi makes one Tools before it loads the application and wraps the application with it afterwards.
The one worker of debug mode reads and writes the console of the command itself: that of its parent, the supervisor.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import TextIOWrapper
    from typing import Any

    Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


_running: set[str] = set()  # an application that cannot be loaded is tried again with the next request


class Tools:
    """What --debug-mode, --enable-debugger and its like ask for. Made before the application is loaded."""

    def __init__(
        self,
        *,
        debugger: bool = False,
        debugger_startup: bool = False,
        coverage_directory: str = "",
        profiler_directory: str = "",
        recorder_directory: str = "",
    ) -> None:
        """The directories turn their tool on; coverage and profiler begin at once and report when the process ends."""
        self.debugger, self.debugger_startup, self.recorder_directory = debugger, debugger_startup, recorder_directory
        take_console()
        if coverage_directory and "coverage" not in _running:
            _running.add("coverage")
            measure_coverage(coverage_directory)
        if profiler_directory and "profiler" not in _running:
            _running.add("profiler")
            profile(profiler_directory)

    def wrap(self, application: Application) -> Application:
        """The application as the server is to call it."""
        if self.debugger:
            application = PostMortem(application)
            if self.debugger_startup:
                debugger().set_trace()  # the application is loaded: breakpoints can be set now
        if self.recorder_directory:
            application = Recorder(application, self.recorder_directory)
        return application


def take_console() -> None:
    """Makes sys.stdin and sys.stdout those of the command; print() and breakpoint() work as in any program.

    They stay as they are where they cannot be opened again, as with a socket.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY | os.O_APPEND)):
        path = f"/proc/{os.getppid()}/fd/{number}"
        try:
            fd = os.open(path if os.path.exists(path) else "/dev/tty", flags | os.O_NOCTTY)
        except OSError:
            continue
        stream: TextIOWrapper = open(fd, "r" if number == 0 else "w", buffering=1, errors="replace")  # noqa: SIM115
        setattr(sys, name, stream)


def debugger() -> Any:
    """A debugger on the console. Signals stay the server's: Ctrl-C ends it."""
    import pdb

    return pdb.Pdb(stdin=sys.stdin, stdout=sys.stdout, nosigint=True)


class PostMortem:
    """Stops in the debugger where the application, the iteration of its response or close() raised; then goes on."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Calls the application; exceptions are raised again after the debugger."""
        result = self.run(self.application, environ, start_response)
        return self.blocks(result)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """function(*args), with the debugger at an Exception."""
        try:
            return function(*args)
        except StopIteration:
            raise
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stdout)
            post_mortem = debugger()
            post_mortem.reset()
            post_mortem.interaction(None, error.__traceback__)
            raise

    def blocks(self, result: Iterable[bytes]) -> Iterator[bytes]:
        """The response's blocks; close() is called at their end."""
        try:
            iterator = self.run(iter, result)
            while True:
                try:
                    block = self.run(next, iterator)
                except StopIteration:
                    return
                yield block
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                self.run(close)


def measure_coverage(directory: str) -> None:
    """Measures from now on; at the end of the process the data and an HTML report go to the directory."""
    import coverage

    os.makedirs(directory, exist_ok=True)
    measured = coverage.Coverage(data_file=os.path.join(directory, ".coverage"))
    measured.start()

    def report() -> None:
        measured.stop()
        measured.save()
        try:
            measured.html_report(directory=directory)
        except coverage.CoverageException as error:  # nothing of the application has run
            print(f"coverage: {error}", file=sys.stderr)

    atexit.register(report)


def profile(directory: str) -> None:
    """Profiles this thread, the only one that runs requests in debug mode; statistics go to MICROSECONDS-PID.pstats."""
    import cProfile

    os.makedirs(directory, exist_ok=True)
    profiler = cProfile.Profile()
    profiler.enable()

    def report() -> None:
        profiler.disable()
        profiler.dump_stats(os.path.join(directory, f"{microseconds()}-{os.getpid()}.pstats"))

    atexit.register(report)


def microseconds() -> int:
    """The time for names of files."""
    return time.time_ns() // 1000


class Recorder:
    """Writes every request and response into files KEY.iheaders, .icontent, .oheaders, .ocontent, and tracebacks into
    .oaexcept (call), .orexcept (iteration) and .ofexcept (close). KEY is MICROSECONDS-PID-NUMBER."""

    def __init__(self, application: Application, directory: str) -> None:
        os.makedirs(directory, exist_ok=True)
        self.application, self.directory, self.count = application, directory, 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        """Records one request; the application reads its body from the file."""
        from pprint import pformat

        self.count += 1
        key = os.path.join(self.directory, f"{microseconds()}-{os.getpid()}-{self.count}")
        with open(key + ".iheaders", "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(pformat(environ) + "\n")
        content = open(key + ".icontent", "w+b")  # noqa: SIM115
        for block in iter(lambda: environ["wsgi.input"].read(65536), b""):
            content.write(block)
        content.seek(0)
        environ["wsgi.input"] = content
        output = open(key + ".ocontent", "wb")  # noqa: SIM115

        def recording(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], Any]:
            with open(key + ".oheaders", "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(pformat((status, headers)) + "\n")
            send = start_response(status, headers, *exc_info)

            def write(data: bytes) -> None:
                output.write(data)
                send(data)

            return write

        try:
            result = self.application(environ, recording)
        except BaseException:
            failed(key + ".oaexcept")
            content.close()
            output.close()
            raise
        return self.blocks(key, result, content, output)

    def blocks(self, key: str, result: Iterable[bytes], content: Any, output: Any) -> Iterator[bytes]:
        """The response's blocks, each written to the file before it is sent."""
        try:
            for block in result:
                output.write(block)
                yield block
        except GeneratorExit:  # the client has gone
            raise
        except BaseException:
            failed(key + ".orexcept")
            raise
        finally:
            content.close()
            output.close()
            close = getattr(result, "close", None)
            if close is not None:
                try:
                    close()
                except BaseException:
                    failed(key + ".ofexcept")
                    raise


def failed(path: str) -> None:
    """Writes the traceback of the present exception."""
    import traceback

    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        traceback.print_exc(file=file)
