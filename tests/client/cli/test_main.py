"""The command as people meet it: a process, its streams, its exit status."""

import argparse
import json
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.client.terminal import all_of

from pixkin.cli import arguments
from pixkin.protocol import framing, replies, requests

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
LATIN = b"/p/caf\xe9.jpg"
NO_MATCH = b"pixkin: no strong match: nothing scores above what photos without any relation reach (0.60)\n"
MATCHES = replies.Matches(
    matches=(
        replies.Match(path=b"/p/b.jpg", score=0.5, distance=12),
        replies.Match(path=LATIN, score=0.25, distance=20),
    )
)


def always(
    reply: replies.Reply, log: list[requests.Request] | None = None
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return what answers everything with `reply`, and keeps the requests in `log`."""

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if log is not None:
            log.append(request)
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    return answer


def test_no_daemon_ends_with_69_and_the_command_that_starts_it(pixkin: Run, folder: str) -> None:
    """A sentence, an empty line, and the way out."""
    done = pixkin("like", "a.jpg", env={"XDG_RUNTIME_DIR": folder})

    assert done.returncode == 69
    assert done.stdout == b""
    error, empty, hint = done.stderr.decode().splitlines()
    assert error == f"pixkin: error: no daemon listens on {folder}/pixkin/pixkind.sock"
    assert empty == ""
    assert hint.startswith("hint: start it with `systemctl --user start pixkind`")


def test_no_daemon_is_told_in_a_fifth_of_a_second(folder: str) -> None:
    """The whole process works for less than 0.2 s, or five times what bare Python does where that is more."""
    bare = best_of_five("-c", "pass")
    absent = best_of_five("-m", "pixkin", "--socket", f"{folder}/none.sock", "like", "a.jpg")

    assert absent < max(0.2, 5 * bare)


def best_of_five(*words: str) -> float:
    """Return the processor time that Python takes, in s, the least of five."""

    def work_s() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(5):
        before = work_s()
        subprocess.run([sys.executable, *words], stderr=subprocess.DEVNULL, env={}, check=False)
        took.append(work_s() - before)
    return min(took)


def test_help_loads_nothing_heavy() -> None:
    """`pixkin --help` loads every command, but neither the protocol, the client's libraries nor the daemon's."""
    code = """if True:
        import sys
        from pixkin.cli.main import main
        try:
            main(["--help"])
        except SystemExit:
            print(*sys.modules, file=sys.stderr)
    """
    words = [sys.executable, "-c", code]
    loaded = set(subprocess.run(words, capture_output=True, check=True, text=True).stderr.split())

    assert {"pixkin.cli.commands.like", "pixkin.cli.commands.status"} <= loaded
    assert not {"pixkin.protocol", "pixkin.client", "msgspec", "zmq", "dataclasses", "inspect"} & loaded
    assert not {"numpy", "torch", "lmdb", "watchdog", "PIL", "pixkind"} & loaded


def test_client_loads_nothing_of_the_daemon() -> None:
    """`from pixkin import Client` works without any library of the daemon."""
    code = "import sys; from pixkin import Client; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()

    assert not {"numpy", "torch", "lmdb", "watchdog", "PIL", "pixkind"} & set(loaded)


def test_answer_loads_nothing_slow_and_leaves_nothing_to_collect(serve: Serve) -> None:
    """What an answer does not need is not imported on the way to it, and the end of the process does not walk the rest."""
    path = serve(always(MATCHES))
    code = """if True:
        import gc, sys
        from pixkin.cli.main import main
        status = main()
        print(status, gc.get_freeze_count() > 0, *(name for name, module in sys.modules.items() if module), file=sys.stderr)
    """
    words = [sys.executable, "-c", code, "--socket", path, "like", "/p/a.jpg"]
    done = subprocess.run(words, capture_output=True, check=True, text=True, env={})
    status, frozen, *loaded = done.stderr.split()

    assert (status, frozen) == ("0", "True")
    assert "shutil" not in loaded


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["like", "-h"],
        ["status", "--help"],
        ["sync", "--help"],
        ["pause", "-h"],
        ["resume", "-h"],
        ["boost", "-h"],
        ["space", "-h"],
        ["have", "-h"],
        ["dupes", "-h"],
        ["forget", "-h"],
        ["export", "-h"],
        ["mcp", "-h"],
        ["--version"],
    ],
)
def test_help_and_version_need_no_daemon(pixkin: Run, words: list[str]) -> None:
    """They print on standard output and succeed; each help has an example."""
    done = pixkin(*words)

    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\n  pixkin " in done.stdout or done.stdout == b"pixkin 0.1.0\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["likes"],
        ["like"],
        ["like", "a.jpg", "-n", "0"],
        ["like", "a.jpg", "-n", "x"],
        ["like", "a.jpg", "--min-score", "1.5"],
        ["like", "a.jpg", "--min-score", "nearly"],
        ["like", "a.jpg", "--min-score", "0.5", "--related"],
        ["like", "a.jpg", "--max-distance", "-1"],
        ["like", "a.jpg", "--timeout", "nan"],
        ["like", "a.jpg", "--json", "-0"],
        ["like", "-", "-"],
        ["like", "-", "--minus", "0.5:-"],
        ["like", "--minus", "a.jpg"],
        ["like", "0:a.jpg"],
        ["like", "1001:a.jpg"],
        ["like", "a.jpg", "b.jpg", "--rotate"],
        ["like", "a.jpg", "--rotate", "--minus", "b.jpg"],
        ["like", "a.jpg", "b.jpg", "--region", "0,0,10,10"],
        ["like", "a.jpg", "--region", "0,0,10"],
        ["like", "a.jpg", "--region", "0,0,10%,10%"],
        ["like", "a.jpg", "--region", "0,0,0,10"],
        ["like", "a.jpg", "--region", "0.1,0.1,0.5,0.5"],
        ["like", "a.jpg", "--region", "50%,0%,50.1%,1%"],
        ["like", "a.jpg", "--region", "nan,0,1,1"],
        ["like", "a.jpg", "--region", "-1,0,1,1"],
        ["like", "a.jpg", "--camera", ""],
        ["like", "a.jpg", "--taken", "2019-13"],
        ["like", "a.jpg", "--pat"],
        ["sync", "--accept-drive"],
        ["pause", "/p", "/q"],
        ["pause", "--timeout", "0"],
        ["pause", "0s"],
        ["pause", "366d"],
        ["boost", "90"],
        ["boost", "/p"],
        ["boost", "1h30min"],
        ["resume", "--timeout", "1"],
        ["dupes", "--min-score", "0.4"],
        ["forget"],
        ["forget", "a.jpg"],  # there is no terminal to ask on
        ["dupes", "--json", "-0"],
        ["dupes", "--apart", "a.jpg"],
        ["dupes", "/p", "--apart", "a.jpg", "b.jpg"],
        ["dupes", "--together", "a.jpg", "b.jpg", "--json"],
        ["--socket", "/" + "x" * 107, "status"],
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(pixkin: Run, words: list[str]) -> None:
    """Nothing on standard output, no traceback."""
    done = pixkin(*words, env={"XDG_RUNTIME_DIR": "/nonexistent"})

    assert done.returncode == 2
    assert done.stdout == b""
    assert b"usage:" in done.stderr or b"pixkin: error: " in done.stderr
    assert b"Traceback" not in done.stderr


def test_matches_end_with_0_and_none_with_1(pixkin: Run, serve: Serve) -> None:
    """As grep does; doubts go to standard error."""
    empty = replies.Matches(doubt=replies.Doubt(pending=812))
    some, none = (pixkin("like", "a.jpg", "--socket", serve(always(reply))) for reply in (MATCHES, empty))

    assert (some.returncode, some.stderr) == (0, b"")
    assert some.stdout == b"0.500\t12.00\t/p/b.jpg\n0.250\t20.00\t/p/caf\\xe9.jpg\n"
    assert (none.returncode, none.stdout) == (1, b"")
    assert none.stderr == b"pixkin: 812 photos are still waiting to be indexed\n"


def test_formats_for_programs(pixkin: Run, serve: Serve) -> None:
    """`--paths` and `-0` give raw bytes, `--json` a line a match."""
    path = serve(always(MATCHES))
    paths, null, lines = (
        pixkin("--socket", path, "like", "a.jpg", flag).stdout for flag in ("--paths", "-0", "--json")
    )

    assert paths == b"/p/b.jpg\n" + LATIN + b"\n"
    assert null == b"/p/b.jpg\0" + LATIN + b"\0"
    assert [json.loads(line)["score"] for line in lines.splitlines()] == [0.5, 0.25]


def test_words_become_the_request(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Every flag arrives; names that are not UTF-8 arrive as they are."""
    log: list[requests.Request] = []
    flags = [
        "-n",
        "3",
        "--min-score",
        "-0.5",
        "--max-distance",
        "20",
        "--under",
        str(tmp_path),
        "--under",
        "u",
        "--self",
        "--no-fold",
    ]
    flags += ["--since", "2019-12", "--until", "2020", "--online", "--camera", "Pixel é"]
    flags += ["--not-under", "/q", "--not-under", "r", "--minus", "0.5:/b.jpg", "--minus", "./2:c.jpg"]
    flags += ["--region", "10%,20.5%,30%,40%"]
    pixkin("like", LATIN, *flags, "--timeout", "5", "--socket", serve(always(MATCHES, log)))
    (request,) = log
    assert isinstance(request, requests.Like)

    here = os.fsencode(os.getcwd())
    assert request.images == (
        requests.Image(path=LATIN, region=requests.Region(0.1, 0.205, 0.3, 0.4)),
        requests.Image(path=b"/b.jpg", weight=-0.5),
        requests.Image(path=here + b"/2:c.jpg", weight=-1),
    )
    assert (request.not_under, request.camera, request.rotate) == ((b"/q", here + b"/r"), "Pixel é", False)
    assert (request.limit, request.min_score, request.max_distance) == (3, -0.5, 20)
    assert (request.under, request.also_under) == (os.fsencode(tmp_path), (here + b"/u",))
    assert (request.itself, request.fold) == (True, False)
    assert (request.taken_since_s, request.taken_before_s, request.online) == (1575158400, 1609459200, True)
    assert 0 < request.until_ms <= requests.now_ms() + 5_000


def test_taken_is_a_whole_period_and_narrows_the_others(pixkin: Run, serve: Serve) -> None:
    """`--taken` begins and ends; beside `--since` and `--until` both hold."""
    log: list[requests.Request] = []
    path = serve(always(MATCHES, log))
    for flags in (["--taken", "2019-12"], ["--taken", "2019", "--since", "2019-12", "--until", "2021"]):
        pixkin("like", "/a.jpg", *flags, "--socket", path)
    taken = [(one.taken_since_s, one.taken_before_s) for one in log if isinstance(one, requests.Like)]

    assert taken == [(1575158400, 1577836800)] * 2


def test_a_filter_that_leaves_nothing_is_named(pixkin: Run, serve: Serve) -> None:
    """One sentence names the option as it was written; a filter by date has three names."""
    cases = (
        (("camera",), ["--camera", "x"], b"no photo passes --camera"),
        (("min_score", "not_under"), ["--min-score", "1"], b"no photo passes --min-score and --not-under together"),
        (("taken_since_s", "taken_before_s"), ["--taken", "2019"], b"no photo passes --taken"),
        (("taken_since_s", "taken_before_s"), ["--until", "2019"], b"no photo passes --until"),
        (
            ("related",),
            ["--min-score", "auto"],
            b"--min-score and --related know no bands yet: there are too few photos",
        ),
        ((), ["--min-score", "1"], b""),
    )
    for keys, flags, sentence in cases:
        path = serve(always(replies.Matches(emptied_by=keys)))
        done = pixkin("like", "/a.jpg", *flags, "--socket", path)

        assert (done.returncode, done.stdout) == (1, b"")
        assert sentence in done.stderr
        assert done.stderr.count(b"\n") == bool(sentence)


def test_an_image_may_stand_behind_an_option(pixkin: Run, serve: Serve) -> None:
    """All images count, wherever they stand. An unknown option is still refused."""
    log: list[requests.Request] = []
    path = serve(always(MATCHES, log))
    pixkin("--socket", path, "like", "/a.jpg", "--minus", "/b.jpg", "0.5:/c.jpg", "-n", "3", "/d.jpg")
    turned = pixkin("like", "/a.jpg", "--rotate", "/b.jpg", "--socket", path)
    unknown = pixkin("like", "/a.jpg", "--turn", "/b.jpg", "--socket", path)
    (one,) = log
    assert isinstance(one, requests.Like)

    assert [(image.path, image.weight) for image in one.images] == [
        (b"/a.jpg", 1),
        (b"/c.jpg", 0.5),
        (b"/d.jpg", 1),
        (b"/b.jpg", -1),
    ]
    assert (turned.returncode, turned.stderr) == (2, b"pixkin: error: --rotate works with one image only\n")
    assert unknown.returncode == 2
    assert b"unrecognized arguments: --turn" in unknown.stderr


def test_images_of_one_question_have_weights_and_one_may_be_turned(pixkin: Run, serve: Serve) -> None:
    """A weight stands before a path, and before standard input; a lone image can be asked about in every way."""
    log: list[requests.Request] = []
    path = serve(always(MATCHES, log))
    pixkin("like", "/a.jpg", ".5:/b.jpg", "2:-", "10.:/c:d.jpg", "--socket", path, stdin=b"image")
    pixkin("like", "/a.jpg", "--rotate", "--region", "1,2,3,4.5", "--socket", path)
    several, one = log
    assert isinstance(several, requests.Like)
    assert isinstance(one, requests.Like)

    assert [(image.path, image.frame, image.weight) for image in several.images] == [
        (b"/a.jpg", 0, 1),
        (b"/b.jpg", 0, 0.5),
        (b"", 2, 2),
        (b"/c:d.jpg", 0, 10),
    ]
    assert (one.rotate, one.images[0].region) == (True, requests.Region(1, 2, 3, 4.5, pixels=True))


def test_a_file_whose_name_begins_like_a_weight_is_explained(
    pixkin: Run, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the path behind the weight is nothing and the whole is a file, the hint says how it is written."""
    monkeypatch.chdir(tmp_path)
    Path("12:30.jpg").write_bytes(b"image")
    log: list[requests.Request] = []
    path = serve(always(MATCHES, log))
    done = pixkin("like", "12:30.jpg", "--socket", path)
    pixkin("like", "./12:30.jpg", "--socket", path)

    assert done.returncode == 66
    assert done.stderr.splitlines()[-1] == b"hint: for the file called 12:30.jpg write ./12:30.jpg"
    assert [one.images[0].path for one in log if isinstance(one, requests.Like)] == [
        os.fsencode(tmp_path / "12:30.jpg")
    ]


@pytest.mark.parametrize(
    ("words", "chance", "matches", "status", "said"),
    [
        ([], 0.3, MATCHES.matches, 0, b""),
        ([], 0.6, MATCHES.matches, 0, NO_MATCH),
        ([], 0.6, (), 1, b""),
        ([], None, MATCHES.matches, 0, b""),
        (["--min-score", "auto"], 0.3, MATCHES.matches[:1], 0, b""),
        (["--min-score", "auto"], 0.6, (), 1, NO_MATCH),
        (["--related"], 0.6, (), 1, NO_MATCH),
        (["--min-score", "auto"], None, MATCHES.matches, 0, b"pixkin: --min-score and --related know no bands yet: "),
    ],
)
def test_matches_that_may_be_chance_are_told_apart(  # a table
    pixkin: Run,
    serve: Serve,
    words: list[str],
    chance: float | None,
    matches: tuple[replies.Match, ...],
    status: int,
    said: bytes,
) -> None:
    """`--min-score auto` asks for the others alone, and finds none with status 1; where nobody can tell, that is said."""
    log: list[requests.Request] = []
    done = pixkin(
        "like", "/a.jpg", *words, "--socket", serve(always(replies.Matches(matches=matches, chance=chance), log))
    )
    (request,) = log
    assert isinstance(request, requests.Like)

    assert (request.related, request.min_score) == (bool(words), None)
    assert (done.returncode, done.stderr[: len(said) or None]) == (status, said)


@pytest.mark.parametrize("word", ["same photo", "same-shot", "alike", "loosely"])
def test_min_score_takes_the_name_of_a_band(pixkin: Run, serve: Serve, word: str) -> None:
    """The daemon leaves out matches of farther bands; one that knows no bands leaves out those without a relation."""
    log: list[requests.Request] = []
    done = pixkin("like", "/a.jpg", "--min-score", word, "--socket", serve(always(MATCHES, log)))
    (request,) = log
    assert isinstance(request, requests.Like)

    assert done.returncode == 0
    assert (request.min_score, request.related, request.min_band) == (None, True, word.replace("-", " "))


def _card(card: Path, *has: replies.Has) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Fill a folder with a photo for each of `has`, and return what answers as a daemon that knows them."""
    card.mkdir()
    known = {os.fsencode(card / f"{number}.jpg"): one for number, one in enumerate(has)}
    for path in known:
        Path(os.fsdecode(path)).touch()

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if isinstance(request, requests.Hello):
            return always(replies.Welcome(version="9", pid=1, suffixes=("jpg",), skipped=("@eadir",)))(frames)
        assert isinstance(request, requests.Have)
        held = tuple(
            replies.Holding(image.path, one, 0.5, (b"/p/b.jpg",), "why" * (one == "failed"), seen=one == "there")
            for image in request.images
            for one in [known[image.path]]
        )
        return always(replies.Holdings(holdings=held, doubt=replies.Doubt(pending=1)))(frames)

    return answer


@pytest.mark.parametrize(
    ("has", "status"),
    [
        ([replies.Has.THERE] * 5, 0),
        ([replies.Has.THERE, replies.Has.NEW], 1),
        ([replies.Has.NEAR], 1),
        ([replies.Has.NEW, replies.Has.FAILED], 66),
        ([], 66),
    ],
    ids=["there", "new", "near", "failed", "none"],
)
def test_what_is_on_a_card_is_the_status(
    pixkin: Run, serve: Serve, tmp_path: Path, has: list[replies.Has], status: int
) -> None:
    """0 only if all photos are there; counts and doubts are told beside."""
    done = pixkin("have", tmp_path / "card", "--socket", serve(_card(tmp_path / "card", *has)))

    assert done.returncode == status
    if has:
        assert done.stdout.count(b"\n") == sum(one is not replies.Has.FAILED for one in has)
        assert f"{has.count(replies.Has.THERE)} there, {has.count(replies.Has.NEAR)} near".encode() in done.stderr
        assert done.stderr.endswith(b"pixkin: 1 photo is still waiting to be indexed\n")
        assert (b"1.jpg: why\n" in done.stderr) is (replies.Has.FAILED in has)
    else:
        assert b"no photos in " in done.stderr


@pytest.mark.parametrize(
    ("known", "word", "sentence"),
    [
        (replies.Unproven.AWAY, b"away", b"1 photo is only on a drive that is not connected"),
        (replies.Unproven.BARE, b"bare", b"1 photo is in the library without all of its metadata"),
        (replies.Unproven.ONLY_HERE, b"only here", b"1 photo is in the library only because this folder"),
        (replies.Unproven.UNSEEN, b"unseen", b"1 photo is known, but no copy could be read now"),
        (
            None,
            b"unseen",
            b"1 photo is known, but no copy could be read now",
        ),  # an older daemon says `there`, and did not look
    ],
)
def test_what_is_known_but_not_there_is_no_proof(
    pixkin: Run, serve: Serve, tmp_path: Path, known: replies.Unproven | None, word: bytes, sentence: bytes
) -> None:
    """The status is not 0, and the word is one of its own; with --new it is a path as well."""
    card = tmp_path / "card"
    card.mkdir()
    (card / "a.jpg").touch()
    within: list[tuple[bytes, ...]] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        if isinstance(request, requests.Hello):
            return always(replies.Welcome(version="9", pid=1, suffixes=("jpg",)))(frames)
        assert isinstance(request, requests.Have)
        within.append(request.within)
        has = {None: replies.Has.THERE, replies.Unproven.BARE: replies.Has.NEAR}.get(known, replies.Has.NEW)
        held = replies.Holding(request.images[0].path, has, 1.0, (b"/p/a.jpg",), known=known)
        return always(replies.Holdings(holdings=(held,)))(frames)

    socket = serve(answer)
    done = pixkin("have", card, "--socket", socket)
    paths = pixkin("have", card, "--new", "--near", "--paths", "--socket", socket)

    assert done.returncode == 1
    assert done.stdout == word + b"\t1.000\t" + os.fsencode(card / "a.jpg") + b"\t/p/a.jpg\n"
    assert sentence in done.stderr
    assert paths.stdout == os.fsencode(card / "a.jpg") + b"\n"
    assert within == [(os.fsencode(card),)] * 2


def test_a_part_of_a_card_that_cannot_be_seen_is_told(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """A folder in which photos may be is no reason to erase a card."""
    answer = _card(tmp_path / "card", replies.Has.THERE)
    descriptor = os.open(tmp_path / "card", os.O_RDONLY)
    for _ in range(20):  # a path that the kernel does not take
        os.mkdir("d" * 250, dir_fd=descriptor)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    done = pixkin("have", tmp_path / "card", "--socket", serve(answer))

    assert done.returncode == 66
    assert done.stdout.startswith(b"there\t")
    assert b": file name too long\n" in done.stderr
    assert done.stderr.count(b"1 could not be read") == 1


def test_standard_input_is_an_image(pixkin: Run, serve: Serve) -> None:
    """`-` sends the bytes; without bytes there is no image."""
    sizes: list[int] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        sizes.extend(map(len, frames[2:]))
        return always(MATCHES)(frames)

    path = serve(answer)
    full = pixkin("like", "-", "--socket", path, stdin=b"x" * 100_000)
    empty = pixkin("like", "-", "--socket", path)

    assert full.returncode == 0
    assert sizes == [100_000]
    assert empty.returncode == 66
    assert b"standard input is empty" in empty.stderr


def test_closed_standard_input_ends_with_66(serve: Serve) -> None:
    """`pixkin like - <&-` is a mistake with a sentence."""
    words = [sys.executable, "-m", "pixkin", "like", "-", "--socket", serve(always(MATCHES))]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *words], capture_output=True, check=False)

    assert done.returncode == 66
    assert done.stderr == b"pixkin: error: standard input cannot be read\n"


def test_missing_image_ends_with_66(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """What neither the daemon nor the client can read is named, on one harmless line."""
    failure = replies.Failure(code=replies.Code.UNREADABLE, what="cannot open")
    done = pixkin("like", tmp_path / "no\x1b[31m.jpg", "--socket", serve(always(failure)))

    assert done.returncode == 66
    assert done.stderr.decode() == f"pixkin: error: {tmp_path}/no\\x1b[31m.jpg: no such file or directory\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (replies.Code.REFUSED, 70),
        (replies.Code.BUSY, 75),
        (replies.Code.UNKNOWN_FOLDER, 66),
        (replies.Code.VERSION, 76),
    ],
)
def test_failure_ends_with_its_status_and_its_sentence(
    pixkin: Run, serve: Serve, code: replies.Code, status: int
) -> None:
    """What and hint are the daemon's own."""
    done = pixkin("sync", "/p", "--socket", serve(always(replies.Failure(code=code, what="it is so", hint="do this"))))

    assert done.returncode == status
    assert done.stderr.startswith(b"pixkin: error: it is so\n\nhint: ")
    assert status == 76 or done.stderr.endswith(b"hint: do this\n")


def test_silent_daemon_ends_with_75(pixkin: Run, serve: Serve) -> None:
    """`--timeout` bounds the wait."""
    done = pixkin("sync", "--timeout", "0.2", "--socket", serve(lambda _: []))

    assert done.returncode == 75
    assert b"did not answer in time" in done.stderr


def test_status_is_a_page_or_one_object(pixkin: Run, serve: Serve) -> None:
    """People and programs are both served; failures come when asked for."""
    log: list[requests.Request] = []
    failures = (replies.Failed(path=LATIN, reason="truncated"),)
    path = serve(always(replies.Report(photos=500, counters={"encodes": 500}, failures=failures), log))
    page = pixkin("status", "--failed", "--socket", path)
    record = json.loads(pixkin("status", "--json", "--failed", "--socket", path).stdout)
    pixkin("status", "--socket", path)

    assert page.returncode == 0
    assert page.stdout.startswith(b"photos    500\n")
    assert page.stdout.endswith(b"/p/caf\\xe9.jpg: truncated\n")
    assert record["counters"] == {"encodes": 500}
    assert record["failures"][0]["reason"] == "truncated"
    assert [request.failed for request in log if isinstance(request, requests.Status)] == [True, True, False]


def test_status_says_what_is_read_and_what_the_rest_needs(pixkin: Run, serve: Serve) -> None:
    """A line for each format, and the same facts for programs; neither unless asked for."""
    formats = (
        replies.Format("PNG", "pillow 13", live=True),
        replies.Format("camera RAW", "rawpy", hint="pip install it", licence="MIT"),
    )
    log: list[requests.Request] = []
    path = serve(always(replies.Report(formats=formats), log))
    page = pixkin("status", "--formats", "--socket", path)
    record = json.loads(pixkin("status", "--json", "--formats", "--socket", path).stdout)
    bare = json.loads(pixkin("status", "--json", "--socket", path).stdout)

    assert page.stdout.endswith(b"\n\nPNG         pillow 13\ncamera RAW  not read: pip install it  (MIT)\n")
    assert [(one["name"], one["live"], one["hint"], one["licence"]) for one in record["formats"]] == [
        ("PNG", True, "", ""),
        ("camera RAW", False, "pip install it", "MIT"),
    ]
    assert "formats" not in bare
    assert [request.formats for request in log if isinstance(request, requests.Status)] == [True, True, False]


def test_sync_ends_with_75_if_something_has_no_outcome(pixkin: Run, serve: Serve) -> None:
    """A failed photo has an outcome; an open file and an offline drive have none."""
    failed = replies.Synced(photos=512, failed=(replies.Failed(path=b"/p/a.jpg", reason="truncated"),))
    offline = replies.Synced(roots=(replies.Root(path=b"/mnt", state=replies.RootState.OFFLINE, reason="not mounted"),))
    answers = (replies.Synced(photos=1), failed, replies.Synced(open=(b"/p/new.jpg",)), offline)
    done = [pixkin("sync", "--socket", serve(always(reply))) for reply in answers]

    assert [one.returncode for one in done] == [0, 0, 75, 75]
    assert done[0].stdout == b"synced 1 photo, 0 failed\n"
    assert done[1].stderr == b"pixkin: failed: /p/a.jpg: truncated\n"
    assert done[3].stderr == b"pixkin: /mnt is offline: not mounted\n"


def test_sync_as_json_is_one_object(pixkin: Run, serve: Serve) -> None:
    """The same facts for programs."""
    done = pixkin("sync", "/p", "--json", "--socket", serve(always(replies.Synced(photos=2, open=(LATIN,)))))

    assert json.loads(done.stdout).keys() == {
        "photos",
        "failed",
        "more_failed",
        "open",
        "open_b64",
        "more_open",
        "roots",
        "held",
        "why",
        "links",
    }


def test_each_path_of_a_sync_is_said(pixkin: Run, serve: Serve) -> None:
    """A path that cannot be synced holds up no other one, and the first status that is not 0 counts."""
    asked: list[bytes] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        assert isinstance(request, requests.Sync)
        asked.append(request.path)
        known = {
            b"/gone": replies.Failure(code=replies.Code.UNREADABLE, what="no such file or folder", path=b"/gone"),
            b"/a.txt": replies.Failure(code=replies.Code.REFUSED, what="not a photo", path=b"/a.txt"),
        }
        reply = known.get(request.path, replies.Synced(photos=2, links=1))
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    done = pixkin("sync", "/p", "/gone", "/a.txt", "/q", "--socket", serve(answer))

    assert asked == [b"/p", b"/gone", b"/a.txt", b"/q"]
    assert (done.returncode, done.stdout) == (66, b"synced 2 photos, 0 failed\n" * 2)
    assert done.stderr.splitlines() == [
        b"pixkin: 1 symbolic link is not followed",
        b"pixkin: error: /gone: no such file or folder",
        b"pixkin: error: /a.txt: not a photo",
        b"pixkin: 1 symbolic link is not followed",
    ]


def test_a_named_photo_that_failed_ends_with_66(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """It is no image; of a folder, failed photos are a result."""
    path = serve(always(replies.Synced(photos=1, failed=(replies.Failed(path=b"/a.jpg", reason="not an image"),))))
    done = [pixkin("sync", one, "--socket", path) for one in ("/a.jpg", str(tmp_path))]

    assert [one.returncode for one in done] == [66, 0]
    assert {one.stderr for one in done} == {b"pixkin: failed: /a.jpg: not an image\n"}


def test_a_list_that_is_cut_says_so(pixkin: Run, serve: Serve) -> None:
    """What a reply leaves out is counted."""
    failed = tuple(replies.Failed(path=b"/p/%d.jpg" % n, reason="truncated") for n in range(3))
    reply = replies.Synced(photos=9, failed=failed, more_failed=1297, open=(b"/p/o.jpg",), more_open=2)
    synced = pixkin("sync", "--socket", serve(always(reply)))
    status = pixkin("status", "--failed", "--socket", serve(always(replies.Report(failed=1300, failures=failed))))

    assert synced.stdout == b"synced 9 photos, 1,300 failed\n"
    assert b"pixkin: and 2 more files are open for writing\n" in synced.stderr
    assert synced.stderr.endswith(b"pixkin: failed: and 1,297 more\n")
    assert status.stdout.endswith(b"/p/2.jpg: truncated\nand 1,297 more\n")


def test_pause_and_resume_print_a_line_for_each_root(pixkin: Run, serve: Serve) -> None:
    """Whatever the state of the root was: what was asked for is done."""
    log: list[requests.Request] = []
    roots = tuple(replies.Root(path=path, state=replies.RootState.PAUSED, hint="do this") for path in (b"/p", LATIN))
    path = serve(always(replies.Roots(roots=roots), log))
    done = [pixkin(*words, "--socket", path) for words in (["pause"], ["pause", "/p", "--timeout", "3"], ["resume"])]
    asked = [(type(request), request.root) for request in log if isinstance(request, requests.Pause | requests.Resume)]

    assert [(one.returncode, one.stderr) for one in done] == [(0, b"")] * 3
    assert done[0].stdout == b"paused /p\npaused /p/caf\\xe9.jpg\n"
    assert done[2].stdout == b"resumed /p\nresumed /p/caf\\xe9.jpg\n"
    assert asked == [(requests.Pause, b""), (requests.Pause, b"/p"), (requests.Resume, b"")]
    assert 0 < log[1].until_ms <= requests.now_ms() + 3_000


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["pause"], requests.Pause()),
        (["pause", "90s"], requests.Pause(for_s=90)),
        (["pause", "30min"], requests.Pause(for_s=1800)),
        (["pause", "30m"], requests.Pause(for_s=1800)),
        (["pause", "2h"], requests.Pause(for_s=7200)),
        (["pause", "365d"], requests.Pause(for_s=365 * 86400)),
        (["pause", "./2h"], requests.Pause(root=b"/p/2h")),
        (["pause", "2hours"], requests.Pause(root=b"/p/2hours")),
        (["boost"], requests.Boost(for_s=3600)),
        (["boost", "1d"], requests.Boost(for_s=86400)),
        (["resume"], requests.Resume()),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_a_time_is_told_from_a_folder(pixkin: Run, serve: Serve, words: list[str], asked: requests.Request) -> None:
    """What the daemon then does is printed; the exit status is 0."""
    log: list[requests.Request] = []
    done = pixkin(*words, "--socket", serve(always(replies.Roots(doing="paused for 2 h\x1b"), log)))
    (request,) = log
    given = msgspec.structs.replace(request, id=0, until_ms=0)
    if isinstance(given, requests.Pause) and given.root:
        given = msgspec.structs.replace(given, root=b"/p/" + os.path.basename(given.root))

    assert (done.returncode, done.stdout, done.stderr) == (0, b"paused for 2 h\\x1b\n", b"")
    assert given == asked


def test_a_sync_of_what_indexing_holds_ends_with_75(pixkin: Run, serve: Serve) -> None:
    """How many photos wait, why, and what would have them indexed."""
    done = pixkin("sync", "--socket", serve(always(replies.Synced(photos=5, held=2, why="paused: on battery at 34 %"))))

    assert (done.returncode, done.stdout) == (75, b"synced 5 photos, 0 failed\n")
    assert done.stderr == b"pixkin: 2 photos wait: paused: on battery at 34 %\npixkin: to index now: pixkin boost\n"


def test_a_pause_that_takes_too_long_ends_with_75(pixkin: Run, serve: Serve) -> None:
    """The daemon's sentence, or ours if it says nothing."""
    expired = replies.Failure(code=replies.Code.EXPIRED, what="2 photos are still open")
    told = pixkin("pause", "--socket", serve(always(expired)))
    silent = pixkin("pause", "--timeout", "0.2", "--socket", serve(lambda _: []))

    assert (told.returncode, silent.returncode) == (75, 75)
    assert told.stderr.startswith(b"pixkin: error: 2 photos are still open\n\nhint: ")
    assert b"did not answer in time" in silent.stderr


def test_sync_asks_for_another_drive_and_tells_how_to(pixkin: Run, serve: Serve) -> None:
    """`--accept-drive` arrives, once or twice; without it, the way out of a root's state is on a line of its own."""
    log: list[requests.Request] = []
    reason, hint = "another drive: ext4 UUID b instead of a", "pixkin sync /p --accept-drive"
    offline = replies.Synced(
        roots=(replies.Root(path=b"/p", state=replies.RootState.OFFLINE, reason=reason, hint=hint),)
    )
    path = serve(always(offline, log))
    flag = "--accept-drive"
    done = [pixkin("sync", "/p", *flags, "--socket", path) for flags in ([], [flag], [flag, flag])]

    assert [(request.accept_drive, request.accept_empty) for request in log if isinstance(request, requests.Sync)] == [
        (False, False),
        (True, False),
        (True, True),
    ]
    assert done[0].returncode == 75
    assert done[0].stderr.decode().splitlines() == [f"pixkin: /p is offline: {reason}", f"pixkin: /p: {hint}"]


@pytest.mark.parametrize(
    "words", [("status",), ("status", "--json"), ("--help",), ("status", "--help"), ("--version",)]
)
@pytest.mark.parametrize(
    ("to", "said"),
    [
        (">/dev/full", b"pixkin: error: standard output cannot be written: No space left on device\n"),
        (">&-", b"pixkin: error: standard output is closed\n"),
    ],
)
def test_output_that_cannot_be_written_ends_with_74(serve: Serve, words: tuple[str, ...], to: str, said: bytes) -> None:
    """A full disk or a closed stream is a sentence and a status, never a traceback."""
    done = in_a_shell(*words, to, socket=serve(always(replies.Report(photos=1))))

    assert (done.returncode, done.stderr.splitlines(keepends=True)[-1]) == (74, said)
    assert b"Traceback" not in done.stderr


def test_errors_that_nobody_can_read_change_no_status(serve: Serve) -> None:
    """With a closed standard error the status still says what happened."""
    path = serve(always(replies.Matches()))
    done = [
        in_a_shell("like", "-", "2>&-", "</dev/null", socket=path),
        in_a_shell("like", "/a.jpg", "2>&-", socket=path),
    ]

    assert [one.returncode for one in done] == [66, 1]


def test_a_working_folder_that_is_gone_is_a_sentence(serve: Serve, tmp_path: Path) -> None:
    """A relative path means nothing then."""
    done = in_a_shell(
        "like", "a.jpg", socket=serve(always(replies.Matches())), before=f"cd {tmp_path} && rmdir {tmp_path};"
    )

    assert (done.returncode, done.stderr) == (70, b"pixkin: error: No such file or directory\n")


def in_a_shell(*words: str, socket: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
    """Run the command as a shell does; the words are its own."""
    line = f"{before} exec {sys.executable} -m pixkin --socket {socket} {' '.join(words)}"
    return subprocess.run(["sh", "-c", line], capture_output=True, check=False, timeout=240)


def test_closed_pipe_ends_in_silence(serve: Serve) -> None:
    """`pixkin … | head -1` dies of SIGPIPE like any other program, without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-m", "pixkin", "like", "/a.jpg", "--socket", serve(always(MATCHES))]
    done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert done.returncode == -signal.SIGPIPE
    assert done.stderr == b""


@pytest.mark.parametrize("connections", [2, 3], ids=["before it has asked", "while it waits"])
def test_interrupt_ends_with_130(folder: str, connections: int) -> None:
    """Ctrl-C while the daemon takes its time is no traceback, and never a wait for what is half made."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/deaf.sock")
        listener.listen()
        # Whoever starts the tests in the background has SIGINT ignored, and all their children with them.
        words = [
            "env",
            "--default-signal=INT",
            sys.executable,
            "-m",
            "pixkin",
            "--socket",
            f"{folder}/deaf.sock",
            "sync",
        ]
        with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
            try:
                peers = [listener.accept()[0] for _ in range(connections)]  # two probes, then the question
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=240)
            finally:
                process.kill()  # else the end of the block waits for it for ever
        for peer in peers:
            peer.close()

    assert process.returncode == 130
    assert errors == b""


@pytest.mark.parametrize(("env", "escapes"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_terminal_gets_a_table_and_colours_unless_unwanted(
    serve: Serve,
    env: dict[str, str],
    escapes: bool,  # noqa: FBT001
) -> None:
    """On a real terminal; NO_COLOR takes the colours and leaves the links."""
    master, slave = pty.openpty()
    words = [sys.executable, "-m", "pixkin", "like", "/a.jpg", "--socket", serve(always(MATCHES))]
    plain = {"PATH": os.environ["PATH"], "TERM": "xterm"}
    subprocess.run(words, stdout=slave, env=plain | env, check=True)
    os.close(slave)
    shown = all_of(master)

    assert b"distance  path" in shown
    assert (b"\x1b[32m" in shown) is escapes
    assert b"\x1b]8;;file://" in shown


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("1970", (0, 365)),
        ("1970-02", (31, 59)),
        ("1970-12", (334, 365)),
        ("1972-02", (761, 790)),
        ("1969-12-31", (-1, 0)),
        ("1970-1-5", (4, 5)),
    ],
)
def test_a_date_is_a_year_a_month_or_a_day(text: str, days: tuple[int, int]) -> None:
    """It begins and ends where the calendar says, before 1970 too."""
    assert arguments.period(text) == (days[0] * 86400, days[1] * 86400)


@pytest.mark.parametrize("text", ["70", "12019", "2019-13", "2019-00", "2019-02-30", "2019-6-0", "2019/06", "tomorrow"])
def test_what_is_no_date_is_refused(text: str) -> None:
    """With the text, and what a date looks like."""
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(text)):
        arguments.period(text)


def test_status_as_metrics_is_what_prometheus_reads(pixkin: Run, serve: Serve) -> None:
    """Names, types and labels; paths are escaped, and counters have names that it allows."""
    report = replies.Report(
        photos=1_000_000,
        pending=3,
        store_bytes=123_456_789_012,
        rate=12.5,
        roots=(replies.Root(b'/p "1"\n\\caf\xe9', replies.RootState.OFFLINE),),
        encoder="lite0",
        space="lite0-1",
        version="0.1.0",
        counters={"encodes": 7, "odd name": 1},
    )
    done = pixkin("status", "--metrics", "--socket", serve(always(report)))
    lines = done.stdout.decode().splitlines()

    assert (done.returncode, done.stderr) == (0, b"")
    assert "# TYPE pixkin_photos gauge" in lines
    assert "pixkin_photos 1000000" in lines
    assert "pixkin_store_bytes 123456789012" in lines
    assert "pixkin_indexing_photos_per_second 12.5" in lines
    assert 'pixkin_folder_state{path="/p \\"1\\"\\\\n\\\\caf\\\\xe9",state="offline"} 1' in lines
    assert 'pixkin_daemon_info{version="0.1.0",encoder="lite0",space="lite0-1"} 1' in lines
    assert lines[-6:] == [
        "# HELP pixkin_encodes_total Counted since the daemon started: encodes.",
        "# TYPE pixkin_encodes_total counter",
        "pixkin_encodes_total 7",
        "# HELP pixkin_odd_name_total Counted since the daemon started: odd_name.",
        "# TYPE pixkin_odd_name_total counter",
        "pixkin_odd_name_total 1",
    ]
    assert {line.split()[2] for line in lines if line.startswith("# TYPE")} == {
        re.split("[ {]", line)[0] for line in lines if not line.startswith("#")
    }


@pytest.mark.parametrize(
    ("words", "what", "hint"),
    [
        (["like"], "the following arguments are required: IMAGE", "pixkin like --help"),
        (["like", "a.jpg", "--nonsense"], "unrecognized arguments: --nonsense", "pixkin like --help"),
        (["like", "a.jpg", "-n", "0"], "argument -n/--limit: 0 is not between 1 and 1000", "pixkin like --help"),
        (["like", "a.jpg", "--taken", "dog"], "argument --taken: dog is not a date such as", "pixkin like --help"),
        (["lik"], "argument VERB: invalid choice: 'lik'", "pixkin --help"),
        ([__file__], f"{__file__} is a file, and no command", f"pixkin like {__file__}"),
    ],
    ids=["nothing", "option", "number", "date", "command", "file"],
)
def test_wrong_usage_is_a_sentence_and_a_hint(pixkin: Run, words: list[str], what: str, hint: str) -> None:
    """No screen of options hides what is wrong."""
    done = pixkin(*words)
    first, _, last = done.stderr.decode().splitlines()

    assert (done.returncode, done.stdout) == (2, b"")
    assert first.startswith(f"pixkin: error: {what}")
    assert last == f"hint: {hint}"


@pytest.mark.parametrize(
    ("image", "advice"),
    [("FOLDER", "`pixkin dupes FOLDER`"), ("dog", "pixkin understands no words"), ("dog.jpg", "")],
    ids=["folder", "word", "file"],
)
def test_who_names_no_picture_gets_advice(pixkin: Run, serve: Serve, tmp_path: Path, image: str, advice: str) -> None:
    """A folder, or a word, is not a query."""
    failure = replies.Failure(code=replies.Code.UNREADABLE, what="no such file, or no regular file")
    named = str(tmp_path) if image == "FOLDER" else image
    done = pixkin("like", named, "--socket", serve(always(failure)))

    assert done.returncode == 66
    assert advice in done.stderr.decode()
    assert (b"hint:" in done.stderr) is bool(advice)


def test_scores_may_be_percentages(pixkin: Run, serve: Serve) -> None:
    """As people read them."""
    asked: list[requests.Request] = []

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        asked.append(request)
        return [framing.pack(replies.Matches(id=request.id))]

    pixkin("like", "/a.jpg", "--min-score", "80%", "--socket", serve(answer))

    assert isinstance(asked[0], requests.Like)
    assert asked[0].min_score == 0.8
    assert pixkin("like", "/a.jpg", "--min-score", "120%").returncode == 2
