"""The command `pixkind`: it takes arguments and returns an exit status."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pixkin
from pixkin import bug, installing, locations, private
from pixkin.errors import OutputLost, PixkinError
from pixkind.errors import ConfigError
from pixkind.system.log import escape

if TYPE_CHECKING:
    from pixkind.daemon import Daemon


_AGAIN = "systemd does not start pixkind again by itself: systemctl --user restart pixkind"
_MISSING = "the library {name} is not installed"
_EXAMPLES = """\
examples:
  pixkind ~/Photos              index and watch a folder, answer queries, until Ctrl-C
  pixkind --once ~/Photos       index it and exit
  pixkind --check               check the configuration
  pixkind service install       install it as a systemd service of your session
  pixkind fetch mobilenet_v2    download the weights of another network

exit status:
  0    success
  1    --once was interrupted, or a bug, with a traceback
  2    wrong usage
  64   fetch: there is no such model
  69   a library is missing, or fetch cannot download
  70   a folder cannot be used, or the request was refused
  74   standard output cannot be written
  75   another pixkind is running, or --once could not index everything
  78   the configuration is wrong, or another user can change a folder of pixkin
  130  fetch was interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pixkind` and return its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(words)
    except PixkinError as error:
        again = "; ".join(filter(None, (error.hint, _AGAIN if _is_for_good(error) else "")))
        _complain(error.what, again)
        return error.status
    except ModuleNotFoundError as error:
        _complain(_MISSING.format(name=error.name), installing.command("light"))
        return 69
    except Exception:  # noqa: BLE001  the outermost frame
        bug.tell(pixkin.__version__)
        return 1


def _is_for_good(error: PixkinError) -> bool:
    """Return whether systemd has started this process, and does not start it again after such an error."""
    return error.status == ConfigError.status and "NOTIFY_SOCKET" in os.environ


def _run(words: Sequence[str]) -> int:
    try:
        if words[:1] == ["service"]:
            status = _service(_service_parser().parse_args(words[1:]))
        elif words[:1] == ["fetch"]:
            status = _fetch(_fetch_parser().parse_args(words[1:]))
        else:
            status = _daemon(_parser().parse_args(words))
    except SystemExit:
        _emit("")  # argparse does not flush the help that it prints
        raise
    return status


def _say(line: str) -> None:
    """Print a line, and escape what a terminal would interpret: it may hold names of files."""
    _emit(f"{escape(line)}\n")


def _emit(text: str) -> None:
    """Write to standard output, unless it is closed.

    Raises:
        OutputLost: it cannot be written.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python flushes what is left when it ends, and would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputLost(f"standard output cannot be written: {error.strerror}") from error


def _complain(what: str, hint: str) -> None:
    lines = [f"pixkind: error: {escape(what)}", *([f"\nhint: {escape(hint)}"] if hint else [])]
    print("\n".join(lines), file=sys.stderr)


def _daemon(arguments: argparse.Namespace) -> int:
    from pixkind.system.process import block_signals

    block_signals()
    # OpenBLAS reads it when numpy is imported. With more threads than the calling one, the threads would spin while they
    # wait for each other, which is most of the time when other programs are busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported here: --help and --version need none of it, and `main` reports a missing library.
    from pixkind import config, daemon
    from pixkind.encoder import space
    from pixkind.fs import roots
    from pixkind.storage import verification
    from pixkind.system import log, process

    log.set_up("DEBUG" if arguments.verbose else "INFO")
    folders = [os.path.abspath(os.path.expanduser(folder)) for folder in arguments.folders]
    file = arguments.config and os.path.abspath(arguments.config)
    private.check_private(locations.data_folder(), by_own_group=True)
    os.chdir("/")  # a drive cannot be unmounted while it is the working directory of a process

    def settings() -> config.Config:
        read = config.load(file, folders=folders)
        named = space.resolve(read.encoder.model, read.encoder.weights, locations.data_folder())
        space.check_weights(named)
        space.runtime_of(named, read.encoder.runtime)
        roots.resolve(read.index.folders)
        return read

    settings_now = settings()
    if arguments.check:
        _say("the configuration is good; folders: " + ", ".join(settings_now.index.folders))
        for root in roots.missing(roots.resolve(settings_now.index.folders)):
            _say(f"there is no folder {root} now: connect its drive, or check how it is spelled")
        return 0
    process.prepare_process()
    with process.locked(locations.state_folder()), process.locked(locations.runtime_folder()):
        try:
            instance = daemon.Daemon.build(settings_now, is_whole=not folders, is_once=arguments.once)
        except verification.Stopped:
            return 1 if arguments.once else 0
        # Not in a `finally`: after an exception the store must not be marked as clean.
        status, told, again = (*_once(instance), False) if arguments.once else (0, "", instance.serve(settings))
        instance.close()
    if told:
        _emit(f"{told}\n")
    if again:
        # A reload restarts the same process by exec. So every setting takes effect, and systemd keeps its main process.
        words = [*(["--config", file] if file else []), *(["--verbose"] if arguments.verbose else []), "--", *folders]
        # -P: nothing is imported from the working folder.
        os.execv(sys.executable, [sys.executable, "-P", "-m", "pixkind", *words])  # noqa: S606
    return status


def _once(instance: "Daemon") -> tuple[int, str]:
    """Index everything; return the exit status and the summary."""
    synced = instance.once()
    if synced is None:
        return 1, ""
    found = sum(instance.counts.of(root).found for root in instance.roots.paths)
    encoded = instance.ingest.counters()["encodes"]
    more_failed, more_open = synced.more_failed, synced.more_open
    lines = [
        f"{synced.photos} photos: {found} can be found, {len(synced.failed) + more_failed} failed, {encoded} encoded now",
        *(f"failed: {os.fsdecode(failed.path)!r}: {failed.reason}" for failed in synced.failed),
        *([f"failed: and {more_failed} more"] if more_failed else []),
        *(f"open for writing: {os.fsdecode(path)!r}" for path in synced.open),
        *([f"open for writing: and {more_open} more"] if more_open else []),
        *(f"{root.state}: {os.fsdecode(root.path)!r}: {root.reason}" for root in synced.roots),
    ]
    return 75 if synced.open or synced.roots else 0, "\n".join(map(escape, lines))


def _service(arguments: argparse.Namespace) -> int:
    from pixkind.system import systemd_unit

    actions = {"install": systemd_unit.install, "uninstall": systemd_unit.uninstall, "status": systemd_unit.status}
    for line in actions[arguments.action]().split("\n"):
        _say(line)
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    private.check_private(locations.data_folder(), by_own_group=True)
    folder = os.path.join(locations.data_folder(), "weights")
    try:
        # In another process, because this one must never load torch.
        status = subprocess.run(
            [sys.executable, "-m", "pixkind.encoder.worker.fetch", arguments.model, folder], check=False, umask=0o077
        ).returncode
    except KeyboardInterrupt:
        return 130
    if status < 0:
        raise PixkinError(f"the download was ended by {signal.Signals(-status).name}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pixkind",
        description="Index folders of photos, watch them for changes, and answer the queries of `pixkin`.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folders", nargs="*", metavar="FOLDER", help="index these folders instead of the configured ones"
    )
    parser.add_argument("--config", metavar="FILE", help=f"read this file instead of {locations.config_file()}")
    parser.add_argument("--once", action="store_true", help="index everything, print a summary, and exit")
    parser.add_argument("--check", action="store_true", help="check the configuration, and exit")
    parser.add_argument("-v", "--verbose", action="store_true", help="log debug messages too, which name photos")
    parser.add_argument("--version", action="version", version=f"pixkind {pixkin.__version__}")
    return parser


def _service_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pixkind service", description="Run pixkind as a systemd service of your session."
    )
    parser.add_argument("action", choices=["install", "uninstall", "status"], help="what to do with the systemd unit")
    return parser


def _fetch_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pixkind fetch",
        description="Download the ImageNet weights of a torchvision model, and check their hash.",
    )
    parser.add_argument("model", metavar="MODEL", help="the torchvision name of the model, such as mobilenet_v2")
    return parser
