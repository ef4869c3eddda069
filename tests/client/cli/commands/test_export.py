"""`pixkin export`: what it writes, and that a file is whole or not there."""

import errno
import json
import os
import resource
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet
import pytest
from tests.client.terminal import on_terminal

from pixkin import installing
from pixkin.cli.commands.export import Form
from pixkin.cli.exports.jsonl import JsonLines
from pixkin.cli.exports.npy import NumpyArray
from pixkin.cli.exports.parquet import ParquetRows
from pixkin.errors import OutputLost, UsageError
from pixkin.protocol import framing, replies, requests
from pixkin.protocol.pictures import Description, File, Picture

Serve = Callable[..., str]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
LATIN = b"/p/caf\xe9\n.jpg"
DIMS = 3
ROWS = [(0.1, -2.0, 65504.0), (1.0, 0.0, 6e-8), (0.5, 0.25, 0.125)]
VECTORS = [struct.pack("<3e", *row) for row in ROWS]
PICTURES = [
    Description(
        Picture(b"a" * 16, 40, 30, 0x102030, 1_500_000_000),
        (File(LATIN, 10, 5, taken_s=1_500_000_000, camera="Brownie"), File(b"/p/b.jpg", 11, 6, offline=True)),
        "Brownie",
        more=1,
    ),
    Description(Picture(b"b" * 16), (File(b"/p/c.tif", 12, 7, pages=3, damaged=True),), pages=3),
    Description(Picture(b"c" * 16), (File(b"/p/d.jpg", 13, 8),)),
]
PAGES = [
    replies.Exported(
        pictures=(PICTURES[0],), vectors=VECTORS[0], space="lite-1-p2", dims=DIMS, photos=4, next=b"1" * 24
    ),
    replies.Exported(space="lite-1-p2", dims=DIMS, photos=4, next=b"2" * 24),
    replies.Exported(
        pictures=(*PICTURES[1:],),
        vectors=b"".join(VECTORS[1:]),
        space="lite-1-p2",
        dims=DIMS,
        photos=4,
        doubt=replies.Doubt(pending=2),
    ),
]
FORMS: dict[str, Callable[[str], Form]] = {
    "jsonl": lambda path: JsonLines(path, force=False),
    "npy": lambda path: NumpyArray(path, force=False),
    "parquet": lambda path: ParquetRows(path, force=False, vectors=True),
}
FAILURE = replies.Failure(code=replies.Code.EXPIRED, what="another space answers now", hint="begin the export again")


def exporting(
    *pages: replies.Reply, asked: list[requests.Export] | None = None
) -> Callable[[list[bytes]], list[list[bytes]]]:
    """Return a daemon that answers with one page after the other."""
    queue = list(pages)

    def answer(frames: list[bytes]) -> list[list[bytes]]:
        request, _ = framing.unpack_request(frames)
        assert isinstance(request, requests.Export)
        if asked is not None:
            asked.append(msgspec.structs.replace(request, id=0, until_ms=0))
        reply = queue.pop(0)
        if isinstance(reply, replies.Exported) and not request.vectors:
            reply = msgspec.structs.replace(reply, vectors=b"")
        return [framing.pack(msgspec.structs.replace(reply, id=request.id))]

    return answer


def rows(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def _fails(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_json_lines_have_all_that_is_known(pixkin: Run, serve: Serve) -> None:
    """What is unknown is null, a path that is not UTF-8 stands in base64 too, and vectors are exact."""
    asked: list[requests.Export] = []
    done = pixkin("export", "--jsonl", "-", "--socket", serve(exporting(*PAGES, asked=asked)))
    first, second, third = rows(done.stdout)

    assert (done.returncode, done.stderr) == (0, b"pixkin: 2 photos are still waiting to be indexed\n")
    assert first == {
        "content": "61" * 16,
        "width": 40,
        "height": 30,
        "taken_s": 1_500_000_000,
        "by_name": False,
        "camera": "Brownie",
        "pages": 1,
        "files": [
            {
                "path": "/p/caf\\xe9\n.jpg",
                "path_b64": "L3AvY2Fm6QouanBn",
                "size": 10,
                "mtime_ns": 5,
                "offline": False,
                "taken_s": 1_500_000_000,
                "camera": "Brownie",
                "pages": 1,
                "damaged": False,
            },
            {
                "path": "/p/b.jpg",
                "size": 11,
                "mtime_ns": 6,
                "offline": True,
                "taken_s": None,
                "camera": None,
                "pages": 1,
                "damaged": False,
            },
        ],
        "more": 1,
        "space": "lite-1-p2",
        "vector": [*struct.unpack("<3e", VECTORS[0])],
    }
    assert (second["width"], second["taken_s"], second["camera"], second["pages"]) == (None, None, None, 3)
    assert [struct.pack("<3e", *row["vector"]) for row in (first, second, third)] == VECTORS
    assert asked == [
        requests.Export(limit=500),
        requests.Export(limit=500, after=b"1" * 24),
        requests.Export(limit=500, after=b"2" * 24),
    ]


def test_vectors_may_be_left_out_and_a_folder_named(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Then the lines say nothing of a space."""
    asked: list[requests.Export] = []
    words = ("--no-vectors", "--under", str(tmp_path), "--socket", serve(exporting(*PAGES, asked=asked)))
    done = pixkin("export", "--jsonl", "-", *words)

    assert asked[0] == requests.Export(under=os.fsencode(tmp_path), vectors=False, limit=500)
    assert [(row["content"], row.keys() & {"space", "vector"}) for row in rows(done.stdout)] == [
        (letter * 16, set()) for letter in ("61", "62", "63")
    ]


def test_a_file_is_its_owners_alone(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """It has what standard output gets."""
    file = tmp_path / "all.jsonl"
    done = pixkin("export", "--jsonl", str(file), "--socket", serve(exporting(*PAGES)))
    whole = pixkin("export", "--jsonl", "-", "--socket", serve(exporting(*PAGES))).stdout

    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines()[0] == f"pixkin: wrote 3 pictures to {file}"
    assert file.read_bytes() == whole
    assert modes(tmp_path) == {"all.jsonl": 0o600}


def test_numpy_loads_the_vectors_and_the_rows_stand_beside(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """In the same order, bit by bit, also as a map of the file."""
    file = tmp_path / "all.npy"
    done = pixkin("export", "--npy", str(file), "--socket", serve(exporting(*PAGES)))
    beside = rows((tmp_path / "all.npy.jsonl").read_bytes())

    assert done.returncode == 0
    for mode in (None, "r"):
        array = np.load(file, mmap_mode=mode)
        assert (array.shape, array.dtype, array.tobytes()) == ((3, DIMS), np.dtype("<f2"), b"".join(VECTORS))
    assert [row["content"] for row in beside] == ["61" * 16, "62" * 16, "63" * 16]
    assert {(row["space"], "vector" in row) for row in beside} == {("lite-1-p2", False)}
    assert modes(tmp_path) == {"all.npy": 0o600, "all.npy.jsonl": 0o600}


def test_parquet_has_the_rows_as_columns(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """With the vectors as float32, in which each float16 is exact."""
    file = tmp_path / "all.parquet"
    done = pixkin("export", "--parquet", str(file), "--socket", serve(exporting(*PAGES)))
    lines = rows(pixkin("export", "--jsonl", "-", "--socket", serve(exporting(*PAGES))).stdout)
    table = pyarrow.parquet.read_table(file)

    def full(row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "files": [{"path_b64": None, **file} for file in row["files"]]}

    assert done.returncode == 0
    assert table.to_pylist() == [*map(full, lines)]
    assert str(table.schema.field("vector").type) == "list<element: float>"
    assert modes(tmp_path) == {"all.parquet": 0o600}


def test_parquet_without_vectors_has_no_column_for_them(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Rows are written some thousands at a time."""
    file = tmp_path / "all.parquet"
    done = pixkin("export", "--parquet", str(file), "--no-vectors", "--socket", serve(exporting(*PAGES)))

    assert done.returncode == 0
    assert {"space", "vector"}.isdisjoint(pyarrow.parquet.read_table(file).column_names)


@pytest.mark.parametrize("form", ["jsonl", "npy", "parquet"])
def test_an_empty_library_is_an_empty_file(pixkin: Run, serve: Serve, tmp_path: Path, form: str) -> None:
    """That can be read as any other."""
    file = tmp_path / "all"
    done = pixkin("export", f"--{form}", str(file), "--socket", serve(exporting(replies.Exported(space="s"))))

    assert done.returncode == 0
    assert done.stderr.decode() == f"pixkin: wrote 0 pictures to {file}\n"
    if form == "npy":
        assert np.load(file).shape == (0, 0)
    elif form == "parquet":
        assert pyarrow.parquet.read_table(file).num_rows == 0
    else:
        assert file.read_bytes() == b""


@pytest.mark.parametrize("form", ["jsonl", "npy", "parquet"])
def test_a_file_that_exists_is_replaced_only_by_force(pixkin: Run, serve: Serve, tmp_path: Path, form: str) -> None:
    """Then as a whole, and it is private whatever it was before. Also a file that stands for the rows."""
    file = tmp_path / "all"
    other = tmp_path / "all.jsonl" if form == "npy" else file
    other.write_text('{"content": "old"}')
    other.chmod(0o644)
    refused = pixkin("export", f"--{form}", str(file), "--socket", serve(exporting(*PAGES)))
    kept = other.read_bytes()
    done = pixkin("export", f"--{form}", str(file), "--force", "--socket", serve(exporting(*PAGES)))

    assert (refused.returncode, kept) == (2, b'{"content": "old"}')
    assert refused.stderr.decode() == f"pixkin: error: {other} exists\n\nhint: --force replaces it\n"
    assert done.returncode == 0
    assert other.read_bytes() != kept
    assert set(modes(tmp_path).values()) == {0o600}


@pytest.mark.parametrize("form", ["jsonl", "npy", "parquet"])
def test_force_replaces_exports_of_every_form_and_no_photo(
    pixkin: Run, serve: Serve, tmp_path: Path, form: str
) -> None:
    """Nor any other file, whether it stands for the rows or not. An empty one is no loss."""
    file = tmp_path / "all"
    other = tmp_path / "all.jsonl" if form == "npy" else file
    statuses = []
    for former in ("jsonl", "npy", "parquet"):
        pixkin("export", f"--{former}", str(other), "--force", "--socket", serve(exporting(*PAGES)))
        done = pixkin("export", f"--{form}", str(file), "--force", "--socket", serve(exporting(*PAGES)))
        statuses.append(done.returncode)
    other.write_bytes(b"")
    statuses.append(
        pixkin("export", f"--{form}", str(file), "--force", "--socket", serve(exporting(*PAGES))).returncode
    )
    other.write_bytes(b"\xff\xd8\xff a photo")
    refused = pixkin("export", f"--{form}", str(file), "--force", "--socket", serve(exporting(*PAGES)))
    said = f"pixkin: error: {other} exists, and pixkin did not write it\n\nhint: name another file\n"

    assert statuses == [0] * 4
    assert (refused.returncode, refused.stderr.decode()) == (2, said)
    assert other.read_bytes() == b"\xff\xd8\xff a photo"


@pytest.mark.parametrize("form", ["jsonl", "npy", "parquet"])
def test_an_export_that_ends_early_leaves_no_file(pixkin: Run, serve: Serve, tmp_path: Path, form: str) -> None:
    """What was there before stays, even with --force. The reason is a sentence."""
    file = tmp_path / "all"
    words = ("export", f"--{form}", str(file), "--force")
    first = pixkin(*words, "--socket", serve(exporting(PAGES[0], FAILURE)))
    left = modes(tmp_path)
    pixkin(*words, "--socket", serve(exporting(*PAGES)))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    second = pixkin(*words, "--socket", serve(exporting(PAGES[0], FAILURE)))

    assert left == {}
    assert first.returncode == second.returncode == 75
    assert first.stderr.decode() == ("pixkin: error: another space answers now\n\nhint: begin the export again\n")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.fixture(params=["without a name", "with a hidden name"])
def _files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the files of this process in both ways: in the second, no file system can make one without a name."""

    def only_named(path: str, flags: int, *rest: int, **folder: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return real(path, flags, *rest, **folder)

    real = os.open
    if request.param == "with a hidden name":
        monkeypatch.setattr(os, "open", only_named)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("force", [True, False])
def test_until_it_is_whole_a_file_is_hidden(tmp_path: Path, force: bool) -> None:  # noqa: FBT001  a parameter
    """And an export that ends early takes it away."""
    with closing(JsonLines(str(tmp_path / "all"), force=force)) as new:
        new.write(PAGES[0])
        assert all(name.startswith(".") for name in modes(tmp_path))
    early = modes(tmp_path)
    with closing(JsonLines(str(tmp_path / "all"), force=force)) as new:
        new.write(PAGES[0])
        new.publish()

    assert (early, modes(tmp_path)) == ({}, {"all": 0o600})


@pytest.mark.usefixtures("_files")
def test_what_a_killed_export_has_left_is_deleted_by_the_next_one(tmp_path: Path) -> None:
    """Not what another one still writes, and no file with another name."""
    left, other = tmp_path / f".pixkin-export-{'0' * 16}.part", tmp_path / ".pixkin-export-notes.part"
    left.touch()
    other.touch()
    with closing(JsonLines(str(tmp_path / "a"), force=False)) as first:
        first.write(PAGES[0])
        with closing(JsonLines(str(tmp_path / "b"), force=False)) as second:
            second.publish()
        first.publish()

    assert {path.name for path in tmp_path.iterdir()} == {other.name, "a", "b"}


@pytest.mark.usefixtures("_files")
def test_a_former_array_never_stands_beside_other_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the new ones cannot both get their names, there is none."""
    file = tmp_path / "all.npy"
    with closing(NumpyArray(str(file), force=False)) as former:
        former.write(PAGES[0])
        former.publish()
    monkeypatch.setattr(os, "replace", _fails)
    with closing(NumpyArray(str(file), force=True)) as new:
        new.write(PAGES[2])
        with pytest.raises(OutputLost):
            new.publish()

    assert [path.name for path in tmp_path.iterdir()] == ["all.npy.jsonl"]


@pytest.mark.parametrize(("form", "came"), [("jsonl", "all"), ("npy", "all"), ("npy", "all.jsonl"), ("parquet", "all")])
def test_a_file_that_comes_meanwhile_stays(tmp_path: Path, form: str, came: str) -> None:
    """Without --force nothing is replaced, and nothing of the export is left."""
    with closing(FORMS[form](str(tmp_path / "all"))) as new:
        new.write(PAGES[0])
        (tmp_path / came).write_bytes(b'{"content": "of somebody else"}')
        with pytest.raises(UsageError, match="exists"):
            new.publish()

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {came: b'{"content": "of somebody else"}'}


@pytest.mark.usefixtures("_files")
def test_of_two_exports_to_one_array_the_first_stays_whole(tmp_path: Path) -> None:
    """The other one is refused."""
    file = str(tmp_path / "all")
    with closing(NumpyArray(file, force=False)) as first, closing(NumpyArray(file, force=False)) as second:
        first.write(PAGES[0])
        second.write(PAGES[2])
        first.publish()
        with pytest.raises(UsageError, match="exists"):
            second.publish()

    assert np.load(file).tobytes() == VECTORS[0]
    assert [row["content"] for row in rows((tmp_path / "all.jsonl").read_bytes())] == ["61" * 16]


@pytest.mark.parametrize("form", ["jsonl", "npy", "parquet"])
def test_a_full_disk_leaves_no_file(serve: Serve, tmp_path: Path, form: str) -> None:
    """It is said with the path."""
    file = tmp_path / "all"
    done = subprocess.run(
        [sys.executable, "-m", "pixkin", "export", f"--{form}", str(file), "--socket", serve(exporting(*PAGES))],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )

    assert (done.returncode, modes(tmp_path)) == (74, {})
    assert done.stderr == f"pixkin: error: {file} cannot be written: file too large\n"


def test_a_link_is_followed_and_what_is_no_file_is_never_replaced(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """A link keeps leading to the file; a device, a pipe or a folder stays what it is."""
    file, link, pipe = tmp_path / "all", tmp_path / "link", tmp_path / "pipe"
    file.touch()
    link.symlink_to(file)
    os.mkfifo(pipe)
    done = pixkin("export", "--jsonl", str(link), "--force", "--socket", serve(exporting(*PAGES)))
    refused = [
        pixkin("export", "--jsonl", str(one), "--force", "--socket", serve(exporting(*PAGES)))
        for one in (pipe, tmp_path)
    ]
    nowhere = pixkin("export", "--jsonl", f"{tmp_path}/none/all", "--socket", serve(exporting(*PAGES)))

    assert (done.returncode, link.is_symlink(), len(rows(file.read_bytes()))) == (0, True, 3)
    assert [one.returncode for one in refused] == [2, 2]
    assert refused[0].stderr.decode() == f"pixkin: error: {pipe} is no regular file\n\nhint: name another file\n"
    assert pipe.is_fifo()
    assert nowhere.returncode == 74
    assert (
        nowhere.stderr.decode() == f"pixkin: error: {tmp_path}/none/all cannot be written: no such file or directory\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of the arguments --jsonl --npy --parquet is required"),
        (("--jsonl", "a", "--npy", "b"), "not allowed with argument"),
        (("--npy", "-"), "only --jsonl writes to standard output"),
        (("--parquet", "-"), "only --jsonl writes to standard output"),
        (("--npy", "a", "--no-vectors"), "--npy writes vectors; without them there is --jsonl"),
    ],
)
def test_wrong_usage_is_a_sentence(pixkin: Run, words: tuple[str, ...], said: str) -> None:
    """Before a daemon is asked."""
    done = pixkin("export", *words)

    assert done.returncode == 2
    assert said in done.stderr.decode()


def test_vectors_that_are_not_all_there_are_refused(pixkin: Run, serve: Serve, tmp_path: Path) -> None:
    """Else each row behind would get the vector of another picture."""
    page = msgspec.structs.replace(PAGES[2], vectors=VECTORS[1])
    done = pixkin("export", "--npy", str(tmp_path / "all"), "--socket", serve(exporting(page)))

    assert (done.returncode, modes(tmp_path)) == (70, {})
    assert b"the daemon sent 6 bytes as vectors of 2 pictures" in done.stderr


def test_without_the_extra_it_says_what_to_install(serve: Serve, tmp_path: Path) -> None:
    """Nothing is written, and no daemon is asked."""
    code = "import sys; sys.modules['pyarrow'] = None; from pixkin.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "--parquet", str(tmp_path / "all")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, modes(tmp_path)) == (2, {})
    assert done.stderr.splitlines() == [
        "pixkin: error: `--parquet` needs the package pyarrow, which is not installed",
        "",
        f"hint: {installing.command('parquet')}",
    ]


def test_a_terminal_shows_how_far_it_is(serve: Serve, tmp_path: Path) -> None:
    """By files, as far as they are written. The line is erased at the end."""
    words = ("export", "--jsonl", str(tmp_path / "all"), "--socket", serve(exporting(*PAGES)))
    status, told, _ = on_terminal([sys.executable, "-m", "pixkin", *words], {"TERM": "dumb"})

    assert status == 0
    assert b"\r\x1b[Kpixkin: 3 of 4 photos" in told
    assert told.rpartition(b"\r\x1b[K")[2].decode().startswith("pixkin: wrote 3 pictures to ")
