"""What the running daemon says of itself."""

import pytest

from pixkin import __version__
from pixkin.doctor import daemon
from pixkin.doctor.finding import NOTE, OK, PROBLEM, Finding
from pixkin.protocol.replies import Format, Report, Root, RootState, Sandbox

FINE = Report(version=__version__, pid=7, roots=(Root(b"/p", RootState.ONLINE),))


def found(**fields: object) -> list[Finding]:
    """Return what is found of a report that is fine but for these fields."""
    values = {name: getattr(FINE, name) for name in Report.__struct_fields__} | fields
    return [one for one in daemon.check(Report(**values)) if one.level != OK]


def test_a_daemon_of_this_version_whose_folders_are_there_is_fine() -> None:
    """It says so."""
    assert [*daemon.check(FINE)] == [
        (OK, "daemon", f"pixkind {__version__} answers, process 7", ""),
        (OK, "folder", "/p is online", ""),
    ]


def test_a_daemon_of_another_version_must_be_restarted() -> None:
    """As after an upgrade."""
    assert found(version="0.0.9") == [
        (PROBLEM, "daemon", f"pixkind 0.0.9 runs, and this is pixkin {__version__}", "systemctl --user restart pixkind")
    ]


@pytest.mark.parametrize(
    ("root", "finding"),
    [
        (
            Root(b"/p", RootState.OFFLINE, "another drive is mounted there", "pixkin sync /p --accept-drive"),
            (PROBLEM, "folder", "/p is offline: another drive is mounted there", "pixkin sync /p --accept-drive"),
        ),
        (
            Root(b"/p", RootState.DEGRADED, "inotify watch limit reached: sysctl fs.inotify.max_user_watches=524288"),
            (
                PROBLEM,
                "folder",
                "/p is degraded: inotify watch limit reached: sysctl fs.inotify.max_user_watches=524288",
                "sudo sysctl fs.inotify.max_user_watches=524288",
            ),
        ),
        (
            Root(b"/caf\xe9", RootState.PAUSED, "", "when it may be read again: pixkin resume /p"),
            (NOTE, "folder", "/caf\\xe9 is paused", "when it may be read again: pixkin resume /p"),
        ),
    ],
    ids=["another drive", "watches", "paused"],
)
def test_a_folder_that_is_not_indexed_says_why(root: Root, finding: tuple[str, ...]) -> None:
    """With the command that its state has, or that its reason names."""
    assert found(roots=(root,)) == [finding]


@pytest.mark.parametrize(
    ("state", "reason", "fix"),
    [
        (RootState.OFFLINE, "its drive is not mounted", "connect its drive"),
        (RootState.DEGRADED, "this file system does not report changes", "pixkin sync looks at it at once"),
    ],
)
def test_a_drive_in_a_drawer_and_a_network_drive_are_no_problems(state: RootState, reason: str, fix: str) -> None:
    """They are as they always are."""
    assert found(roots=(Root(b"/p", state, reason),)) == [(NOTE, "folder", f"/p is {state}: {reason}", fix)]


@pytest.mark.parametrize(
    ("doing", "level", "fix"),
    [
        ("paused by pixkin pause, until pixkin resume", NOTE, "pixkin resume"),
        ("paused: on battery at 20 %", NOTE, "pixkin boost"),
        ("waiting for room: the disk is full", PROBLEM, "make room on the disk of the index"),
    ],
)
def test_indexing_that_stands_still_says_what_ends_that(doing: str, level: str, fix: str) -> None:
    """A full disk is a problem; a pause is meant."""
    assert found(doing=doing) == [(level, "indexing", doing, fix)]


def test_failures_decoders_and_the_sandbox_are_noted() -> None:
    """They are no problems: the other photos are found."""
    raw = Format("camera RAW", hint="pip install rawpy")
    notes = found(failed=1200, formats=(raw, Format("PNG", live=True)), sandbox=Sandbox(missing=("Landlock",)))

    assert notes == [
        (NOTE, "photos", "1,200 photos could not be indexed", "pixkin status --failed"),
        (NOTE, "decoders", "camera RAW: not read", "pip install rawpy"),
        (NOTE, "sandbox", "it lacks Landlock", ""),
    ]
