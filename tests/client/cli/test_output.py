"""What people and programs get to read."""

import base64
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkin.cli import fields, output
from pixkin.cli.commands import like, status, sync
from pixkin.protocol import replies

LATIN = b"/p/caf\xe9\n.jpg"
REPLY = replies.Matches(
    matches=(
        replies.Match(path=b"/p/a b.jpg", score=0.9123, distance=11.316, copies=(b"/q/a.jpg", LATIN)),
        replies.Match(
            path=LATIN,
            score=-0.05,
            distance=30,
            offline=True,
            copies=(b"/q/b.jpg",),
            versions=(b"/q/b.nef", LATIN),
            burst=(b"/q/c.jpg", b"/q/c.nef", LATIN),
            frames=2,
        ),
    )
)
BANDS = replies.Matches(
    matches=tuple(
        msgspec.structs.replace(match, band=band)
        for match, band in zip(REPLY.matches, (replies.Relation.SAME_SHOT, replies.Relation.NO_RELATION), strict=True)
    ),
    chance=0.25,
)
REPORT = replies.Report(
    doing="scanning",
    photos=12_345,
    pending=812,
    failed=1,
    roots=(
        replies.Root(path=b"/p", state=replies.RootState.ONLINE, links=3),
        replies.Root(path=LATIN, state=replies.RootState.OFFLINE, reason="another drive", hint="pixkin sync"),
        replies.Root(path=b"/q", state=replies.RootState.ONLINE, reason="1,200 of 2,000 photos vanished at once"),
    ),
    encoder="efficientnet_lite0",
    space="ab12",
    chance=replies.Chance(median=0.004, one_in_20=0.107, one_in_1000=0.3, best=0.25),
    store_bytes=123_400_000,
    rate=41.25,
    eta_s=3700,
    counters={"encodes": 12, "rescans": 1},
    failures=(replies.Failed(path=LATIN, reason="truncated", retry_at=7),),
    version="0.1.0",
    pid=4711,
    uptime_s=90_000,
    sandbox=replies.Sandbox(enforced=("seccomp",), missing=("Landlock: this kernel has none, or it is disabled",)),
)
PLAIN, TTY = output.Screen(), output.Screen(tty=True)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


_FILLING = {
    "half": (
        replies.Filling("vit", "vit-1", 41, 100),
        ["41 % built", "in use as soon as it finds 100 photos"],
        ["space use", "failed on"],
    ),
    "away": (
        replies.Filling("vit", "vit-1", 41, 100, away=2),
        ["2 photos are on drives", "pixkin space use vit-1"],
        [],
    ),
    "odd": (
        replies.Filling("vit", "vit-1", 41, 100, failed=1),
        ["it failed on 1 photo, see", "status --failed"],
        [],
    ),
    "pinned": (
        replies.Filling("vit", "vit-1", 9, 9, pinned=True),
        ["100 % built", "another space is pinned; to unpin it: pixkin space use"],
        ["in use as soon"],
    ),
}


@pytest.mark.parametrize(("filling", "said", "unsaid"), _FILLING.values(), ids=_FILLING.keys())
def test_status_says_how_far_another_space_is_and_why_it_does_not_answer(
    filling: replies.Filling, said: list[str], unsaid: list[str]
) -> None:
    """As a share, with what it waits for and the command that does not wait for it."""
    text = status.as_text(replies.Report(encoder="lite", space="lite-1", filling=filling), PLAIN).decode()

    assert "encoder   lite, space lite-1\nfilling   vit, space vit-1, " in text
    assert [one for one in said if one not in text] == []
    assert [one for one in unsaid if one in text] == []


@pytest.mark.parametrize(
    ("env", "colour", "links"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_colours_need_a_terminal_that_wants_them(env: dict[str, str], colour: bool, links: bool) -> None:  # noqa: FBT001
    """NO_COLOR, if not empty, takes the colours away; a dumb terminal gets no escapes at all; a pipe neither."""
    screen = output.Screen.of(Terminal(), env)

    assert (screen.tty, screen.colour, screen.links) == (True, colour, links)
    assert output.Screen.of(io.StringIO(), env) == PLAIN


def test_table_for_a_pipe_has_one_line_a_match_and_tabs() -> None:
    """`cut` and `awk` can read it: odd characters in names are escaped."""
    assert like.matches_as_table(REPLY, PLAIN).decode().splitlines() == [
        "0.912\t11.32\t/p/a b.jpg\t+2 copies",
        "-0.050\t30.00\t/p/caf\\xe9\\n.jpg\toffline\t+1 copy, +2 versions, +2 of this burst",
    ]


def test_table_for_a_terminal_is_aligned() -> None:
    """Columns stand under their headings; copies and offline photos are marked."""
    assert like.matches_as_table(BANDS, TTY).decode().splitlines() == [
        " score               distance  path",
        " 0.912  same shot       11.32  /p/a b.jpg",
        "                               +2 copies",
        "-0.050  no relation     30.00  /p/caf\\xe9\\n.jpg  offline",
        "                               +1 copy, +2 versions, +2 of this burst",
    ]
    assert like.matches_as_table(replies.Matches(), TTY) == b""


def test_the_band_of_a_match_is_said_in_every_form() -> None:
    """It is a column on a terminal, dim without a relation; a field in a pipe; a key in JSON."""
    page = like.matches_as_table(BANDS, output.Screen(tty=True, colour=True)).decode().splitlines()
    rows = [line.split("\t") for line in like.matches_as_table(BANDS, PLAIN).decode().splitlines()]
    records = [json.loads(line) for line in like.matches_as_json(BANDS).splitlines()]

    assert [row[3:] for row in rows] == [
        ["same shot", "+2 copies"],
        ["offline", "no relation", "+1 copy, +2 versions, +2 of this burst"],
    ]
    assert page[1].startswith("\x1b[32m 0.912  same shot ")
    assert page[3].startswith("\x1b[2m-0.050  no relation")
    assert [record["related"] for record in records] == [True, False]
    assert [record["band"] for record in records] == ["same shot", "no relation"]


def test_an_older_daemon_says_no_more_than_that_there_is_no_relation() -> None:
    """Its matches have no band, but its reply has the bound."""
    reply = replies.Matches(matches=REPLY.matches, chance=0.25)

    assert [fields.band(match, reply.chance) for match in reply.matches] == ["", "no relation"]
    assert [fields.band(match, None) for match in reply.matches] == ["", ""]


def test_link_leads_to_the_exact_file() -> None:
    """The hyperlink has the bytes of the path, percent-encoded; the text shown is harmless."""
    table = like.matches_as_table(REPLY, output.Screen(tty=True, links=True)).decode()

    assert "/p/a%20b.jpg\x1b\\/p/a b.jpg\x1b]8;;\x1b\\" in table
    assert "/p/caf%E9%0A.jpg\x1b\\/p/caf\\xe9\\n.jpg\x1b]8;;\x1b\\" in table


def test_paths_are_bytes_as_the_kernel_has_them() -> None:
    """`xargs -0` gets names that exist; a terminal gets names that do nothing to it."""
    assert [output.bare_path(LATIN, "null", screen) for screen in (PLAIN, TTY)] == [LATIN + b"\0"] * 2
    assert output.bare_path(LATIN, "paths", PLAIN) == LATIN + b"\n"
    assert output.bare_path(LATIN, "paths", TTY) == b"/p/caf\\xe9\\n.jpg\n"


def test_json_lines_have_the_documented_keys() -> None:
    """A path that is not UTF-8 is there twice: to be read, and exactly."""
    first, second = map(json.loads, like.matches_as_json(REPLY).splitlines())

    assert first == {
        "path": "/p/a b.jpg",
        "score": 0.9123,
        "distance": 11.316,
        "related": None,
        "band": None,
        "damaged": False,
        "offline": False,
        "copies": ["/q/a.jpg", "/p/caf\\xe9\n.jpg"],
        "copies_b64": [base64.b64encode(path).decode() for path in (b"/q/a.jpg", LATIN)],
        "versions": [],
        "burst": [],
        "frames": 0,
    }
    assert second["path"] == "/p/caf\\xe9\n.jpg"
    assert base64.b64decode(second["path_b64"]) == LATIN
    assert second["versions"] == ["/q/b.nef", "/p/caf\\xe9\n.jpg"]
    assert second["burst"] == ["/q/c.jpg", "/q/c.nef", "/p/caf\\xe9\n.jpg"]
    assert "copies_b64" not in second


@given(st.binary(min_size=1))
def test_shown_path_is_one_line_that_no_terminal_acts_upon(path: bytes) -> None:
    """No name, whatever its bytes, gets a control character to the terminal, in any format made for people."""
    match = replies.Match(path=path, score=0, distance=0)
    table = like.matches_as_table(replies.Matches(matches=(match,)), TTY).decode()

    assert output.shown(path).isprintable()
    assert table.count("\n") == 2
    assert like.matches_as_json(replies.Matches(matches=(match,))).strip().decode("ascii").isprintable()


@given(st.binary(min_size=1))
def test_json_tells_the_exact_path(path: bytes) -> None:
    """From `path_b64` if it is there, else from `path`, a program gets the very bytes."""
    record = json.loads(like.matches_as_json(replies.Matches(matches=(replies.Match(path=path, score=0, distance=0),))))

    exact = base64.b64decode(record["path_b64"]) if "path_b64" in record else record["path"].encode()
    assert exact == path


def test_doubts_are_one_line_or_none() -> None:
    """What cannot be vouched for is said, and nothing where there is nothing to say."""
    doubt = replies.Doubt(pending=812, failed=1, offline=40, unwatched=(b"/p", LATIN))

    assert output.doubts(replies.Doubt()) == ""
    assert output.doubts(replies.Doubt(pending=812)) == "812 photos are still waiting to be indexed"
    assert output.doubts(doubt) == (
        "812 photos are still waiting to be indexed; 1 photo could not be indexed (pixkin status --failed); "
        "40 photos are on drives that are not connected; "
        "/p is not fully scanned, watched or readable (pixkin status); /p/caf\\xe9\\n.jpg is not fully scanned, watched or readable (pixkin status)"
    )


def test_status_is_a_page() -> None:
    """Numbers, roots with their reasons, and the failures if they were asked for."""
    assert status.as_text(REPORT, PLAIN).decode() == (
        "photos    12,345\n"
        "pending   812, 41.2 a second, about 1 h 1 min to go\n"
        "failed    1, see pixkin status --failed\n"
        "offline   0\n"
        "encoder   efficientnet_lite0, space ab12\n"
        "scores    unrelated photos usually score about 0 (5 % above 0.11); matches above about 0.25 are related\n"
        "store     123.4 MB\n"
        "daemon    pixkind 0.1.0, process 4711, up 1 d 1 h\n"
        "doing     scanning\n"
        "sandbox   without Landlock: this kernel has none, or it is disabled\n"
        "counters  encodes 12\n"
        "          rescans 1\n"
        "roots     online    /p\n"
        "                    3 symbolic links are not followed\n"
        "          offline   /p/caf\\xe9\\n.jpg: another drive\n"
        "                    pixkin sync\n"
        "          online    /q: 1,200 of 2,000 photos vanished at once\n"
        "\n"
        "/p/caf\\xe9\\n.jpg: truncated\n"
    )


def test_status_as_json_is_one_object_with_the_documented_keys() -> None:
    """`failures` is there when it was asked for, and only then."""
    keys = "photos pending failed offline roots encoder space chance filling store_bytes rate eta_s doing counters version pid uptime_s sandbox"
    bare = json.loads(status.as_json(REPORT, failed=False))
    full = json.loads(status.as_json(REPORT, failed=True))

    assert list(bare) == keys.split()
    assert bare["chance"] == {"median": 0.004, "one_in_20": 0.107, "one_in_1000": 0.3, "best": 0.25}
    assert bare["sandbox"] == {
        "enforced": ["seccomp"],
        "missing": ["Landlock: this kernel has none, or it is disabled"],
    }
    assert bare["roots"][0] == {"path": "/p", "state": "online", "reason": "", "hint": "", "links": 3}
    assert base64.b64decode(bare["roots"][1]["path_b64"]) == LATIN
    assert bare["roots"][1]["hint"] == "pixkin sync"
    assert full["failures"][0].items() >= {"reason": "truncated", "retry_at": 7}.items()


def test_sync_is_summed_up_and_what_has_no_outcome_is_named() -> None:
    """One line of data; a line for each open file, root and failure."""
    reply = replies.Synced(photos=512, failed=REPORT.failures, open=(b"/p/new.jpg",), roots=REPORT.roots[1:2])

    assert sync.synced_as_text(reply) == b"synced 512 photos, 1 failed\n"
    assert sync.synced_remarks(reply) == [
        "/p/new.jpg is still open for writing",
        "/p/caf\\xe9\\n.jpg is offline: another drive",
        "/p/caf\\xe9\\n.jpg: pixkin sync",
        "failed: /p/caf\\xe9\\n.jpg: truncated",
    ]
    assert list(json.loads(sync.synced_as_json(reply))) == (
        ["photos", "failed", "open", "roots", "held", "why", "more_failed", "more_open", "links"]
    )


def test_roots_that_need_a_look_are_coloured() -> None:
    """One that is online and whole is not; one that is online and has a reason is."""
    page = status.as_text(REPORT, output.Screen(tty=True, colour=True)).decode()

    assert "online    /p\n" in page
    assert "\x1b[33moffline  \x1b[0m /p/caf" in page
    assert "\x1b[33monline   \x1b[0m /q: 1,200 of" in page


def test_paused_roots_are_a_line_each() -> None:
    """In whatever state the reply says they are: what was done is told, on lines that no terminal acts upon."""
    roots = (
        replies.Root(path=b"/p", state=replies.RootState.PAUSED),
        replies.Root(path=LATIN, state=replies.RootState.OFFLINE),
    )

    assert output.roots_as_text("paused", replies.Roots(roots=roots)) == b"paused /p\npaused /p/caf\\xe9\\n.jpg\n"
    assert output.roots_as_text("resumed", replies.Roots(doing="idle")) == b"idle\n"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (5.5e9, "5.5 GB"), (2e12, "2.0 TB")]
)
def test_sizes_are_readable(number: float, text: str) -> None:
    """Three digits and a unit."""
    assert f"store     {text}\n" in status.as_text(replies.Report(store_bytes=int(number)), PLAIN).decode()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (1e6, "11 d 13 h")]
)
def test_spans_are_readable(seconds: float, text: str) -> None:
    """Two units are enough."""
    assert f"up {text}\n" in status.as_text(replies.Report(uptime_s=seconds), PLAIN).decode()
