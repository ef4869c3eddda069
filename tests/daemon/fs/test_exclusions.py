"""What patterns and folders leave out, in which order, and that a stranger's patterns cost little."""

import logging
import os
import random
import subprocess
from pathlib import Path

import pytest

from pixkind.fs.exclusions import BUILT_IN_NAME, MARKERS, SIGNATURE, Exclusions, Markers, Rule, checked, looked_at
from pixkind.fs.local import LocalFileSystem
from pixkind.fs.rules import PhotoRules

ROOT = "/p"


def exclusions(*configured: str, **said: str) -> Exclusions:
    """Return what the configuration and some folders below the root leave out; `_` stands for `/`, `root` for the root."""
    made = Exclusions([ROOT], configured)
    for name, patterns in said.items():
        folder = ROOT if name == "root" else f"{ROOT}/{name.replace('_', '/')}"
        made.note(folder, Markers(patterns.encode()))
    return made


def left_out(made: Exclusions, *paths: str) -> list[str]:
    """Return those of these paths, relative to the root, that are left out; folders end with a slash."""
    return [
        path for path in paths if made.rule_of(f"{ROOT}/{path.rstrip('/')}", is_folder=path.endswith("/")) is not None
    ]


def test_what_other_programs_derive_from_photos_is_left_out() -> None:
    """Whatever the folder above it is called, and only folders: a photo may have such a name."""
    paths = [
        "LR/a.lrdata/",
        "a.lrdata",
        "x/node_modules/a/b.jpg",
        "x.photoslibrary/originals/1.jpg",
        "node_modules.jpg",
    ]

    assert left_out(exclusions(), *paths, "x.photoslibrary/resources/1.jpg") == [
        "LR/a.lrdata/",
        "x/node_modules/a/b.jpg",
        "x.photoslibrary/resources/1.jpg",
    ]


def test_the_configuration_adds_patterns_and_takes_back_what_is_built_in() -> None:
    """They are relative to each root."""
    made = exclusions("/2019/", "*.png", "!node_modules/")

    assert left_out(made, "2019/a.jpg", "x/2019/a.jpg", "x/a.png", "node_modules/a.jpg") == ["2019/a.jpg", "x/a.png"]


def test_the_deeper_file_decides_but_opens_no_folder_that_is_left_out() -> None:
    """As gitignore(5) says."""
    made = exclusions(root="*.jpg\nclosed/\n", a="!keep.jpg\n", closed="!x.jpg\n")

    assert left_out(made, "x.jpg", "a/x.jpg", "a/keep.jpg", "closed/x.jpg") == ["x.jpg", "a/x.jpg", "closed/x.jpg"]


def test_a_rule_names_its_file_and_line() -> None:
    """So that people find it."""
    made = exclusions("*.png", a="# mine\r\n\r\n*.jpg\r\n")

    assert made.rule_of("/p/a/b.jpg", is_folder=False) == Rule("*.jpg", "/p/a/.pixkinignore", 3)
    assert str(made.rule_of("/p/a/b.jpg", is_folder=False)) == "*.jpg (/p/a/.pixkinignore, line 3)"
    assert str(made.rule_of("/p/b.png", is_folder=False)) == "*.png (index.exclude)"
    assert made.rule_of("/p/node_modules", is_folder=True) == Rule("node_modules/", BUILT_IN_NAME)
    assert [str(one) for one in made.rules()][-2:] == ["*.png (index.exclude)", "*.jpg (/p/a/.pixkinignore, line 3)"]


def test_a_closed_folder_is_left_out_as_a_whole_but_no_root() -> None:
    """A user has named the root."""
    made = exclusions()
    made.note(ROOT, Markers(closed_by=".nomedia"))
    made.note("/p/a", Markers(closed_by="CACHEDIR.TAG"))

    assert left_out(made, "b.jpg", "a/", "a/b.jpg", "a/c/b.jpg") == ["a/", "a/b.jpg", "a/c/b.jpg"]
    assert str(made.rule_of("/p/a/b.jpg", is_folder=False)) == "/p/a/CACHEDIR.TAG"
    assert str(made.within("/p/a").closed) == "/p/a/CACHEDIR.TAG"
    assert made.rule_of("/elsewhere/a", is_folder=False) is None


def test_a_marker_stands_for_its_folder() -> None:
    """Whatever it says: else nobody would notice that it has gone."""
    made = exclusions(a="*\n")
    made.note("/p/b", Markers(closed_by=".nomedia"))

    assert looked_at("/p/b/.nomedia") == "/p/b"
    hidden = [
        path for path in ("b/.nomedia", "a/.pixkinignore", "b/x", "b/c/.nomedia") if left_out(made, looked_at(path))
    ]
    assert hidden == ["b/x", "b/c/.nomedia"]


def test_what_folders_have_said_is_forgotten_when_they_are_gone() -> None:
    """And is news only if it is another thing."""
    made = exclusions(a_b="*\n", c="*\n")

    assert not made.note("/p/c", Markers(b"*\n"))
    assert made.note("/p/c", Markers(b"*.jpg\n"))
    made.keep(ROOT, {"/p/c"})
    assert left_out(made, "a/b/x.jpg", "c/x.jpg") == ["c/x.jpg"]
    assert made.note("/p/c", Markers())
    assert left_out(made, "c/x.jpg") == []


def test_only_what_lasts_is_not_watched() -> None:
    """A folder may change its mind; the configuration does not, so no file takes in again what it leaves out."""
    made = exclusions("/old/", root="!/old/\n", a="*\n")
    names = ["old", "old/x", "a", "a/x"]

    assert [made.configured_rule(f"/p/{name}") is not None for name in names] == [True, True, False, False]
    assert made.configured_rule(ROOT) is None
    assert left_out(made, *(f"{name}/" for name in names)) == ["old/", "old/x/", "a/x/"]


def test_patterns_of_strangers_cost_little(caplog: pytest.LogCaptureFixture) -> None:
    """Some would take hours with the worst path: they leave nothing out, and that is told once, not at each look."""
    made = Exclusions([ROOT])
    said = Markers(b"*a*a*a*b\n*a*/*a*/*a*/z\nx/**/a/**/a/**/z\n[z-a]*.jpg\n!\n**/x/**/*.png\n")
    with caplog.at_level(logging.WARNING):
        assert made.note(ROOT, said)
        assert not made.note(ROOT, said)
    assert [int(one.getMessage().partition("line ")[2].split(",")[0]) for one in caplog.records] == [1, 2, 3, 4, 5]
    assert left_out(made, f"{'a' * 250}.jpg", "q/x/y/z.png", "y/z.png") == ["q/x/y/z.png"]


def test_of_too_many_patterns_those_of_the_deepest_folders_hold(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand for one photo. So a chain of folders with long files holds nobody up."""
    made = exclusions(a_b="y.jpg\n")
    made.note(ROOT, Markers(b"z.jpg\n" + b"".join(b"%d.jpg\n" % number for number in range(999))))
    assert left_out(made, "a/z.jpg", "a/b/y.jpg", "a/b/z.jpg") == ["a/z.jpg", "a/b/y.jpg"]
    made.note(ROOT, Markers(b"\n".join(b"%d.jpg" % number for number in range(2000))))
    assert "only the first 1000 patterns are used" in caplog.text
    assert left_out(made, "999.jpg", "1000.jpg") == ["999.jpg"]


@pytest.mark.parametrize("pattern", ["!", "/", "[z-a]", "[", "\\"])
def test_a_pattern_that_means_nothing_is_told(pattern: str) -> None:
    """Or it leaves nothing out; it is never an error of the scan."""
    assert checked(pattern) or left_out(exclusions(pattern), "a/b.jpg") == []


_NAMES = ("a", "b", "ab", "x.jpg", "keep.jpg")
_PARTS = ("a", "b", "ab", "*", "**", "a*", "*.jpg", "keep.jpg", "?", "[ab]", "x.jpg")


def _pattern(dice: random.Random) -> str:
    parts = "/".join(dice.choice(_PARTS) for _ in range(dice.choice((1, 1, 2, 3))))
    return dice.choice(("", "", "!")) + dice.choice(("", "/")) + parts + dice.choice(("", "", "/"))


@pytest.mark.parametrize("seed", range(40))
def test_git_leaves_out_the_same(tmp_path: Path, seed: int) -> None:
    """Patterns at random in two folders, and those that take a photo in again: git decides the same of each entry."""
    dice = random.Random(seed)
    usual = [["/*", "!/a/"], ["*", "!*/", "!*.jpg"], ["a/**", "!a/keep.jpg"], ["a", "!/ab/"], ["*", "!a"]]
    root = tmp_path / "root"
    for name in ("a/b/a", "a/ab", "b/a", "ab/a"):
        (root / name).mkdir(parents=True)
    folders = [path for path in root.rglob("*") if path.is_dir()]
    for folder in (root, *folders):
        for name in _NAMES:
            if not (folder / name).exists():
                (folder / name).touch()
    made = Exclusions([str(root)])
    for number, folder in enumerate((root, root / "a")):
        lines = usual[seed] if not number and seed < len(usual) else [_pattern(dice) for _ in range(dice.randrange(4))]
        lines = [line for line in lines if not line.rstrip("/").endswith("**/**")]
        (folder / ".gitignore").write_text("".join(f"{line}\n" for line in lines))
        made.note(str(folder), Markers((folder / ".gitignore").read_bytes()))
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.name != ".gitignore")
    subprocess.run(["git", "init", "-q", root], check=True)
    asked = subprocess.run(
        ["git", "-C", root, "check-ignore", "--no-index", "-v", "-n", "-z", "--stdin"],
        input="\0".join(paths).encode(),
        capture_output=True,
        check=False,
    ).stdout.split(b"\0")
    by_git = {
        path.decode() for pattern, path in zip(asked[2::4], asked[3::4], strict=True) if pattern and pattern[:1] != b"!"
    }

    ours = {path for path in paths if made.rule_of(str(root / path), is_folder=(root / path).is_dir()) is not None}

    assert ours == by_git, [(folder / ".gitignore").read_text() for folder in (root, root / "a")]


def test_folders_are_asked_what_they_say(tmp_path: Path) -> None:
    """A tag of a cache needs its signature; what is no file is none, and holds nobody up."""
    file_system = LocalFileSystem(PhotoRules(frozenset({"jpg"})), roots=(str(tmp_path),))
    for name in ("plain", "android", "cache", "false", "pipe", "mine", "folder"):
        (tmp_path / name).mkdir()
    for name in MARKERS:
        (tmp_path / "folder" / name).mkdir()
    (tmp_path / "android/.nomedia").touch()
    (tmp_path / "cache/CACHEDIR.TAG").write_bytes(SIGNATURE + b"\n# of a test\n")
    (tmp_path / "false/CACHEDIR.TAG").write_bytes(b"Signature: none")
    os.mkfifo(tmp_path / "pipe/.pixkinignore")
    (tmp_path / "pipe/.nomedia").symlink_to(tmp_path / "android/.nomedia")
    (tmp_path / "mine/.pixkinignore").write_bytes(b"*.jpg\n")

    before = os.listdir("/proc/self/fd")
    said = {path.name: file_system.markers(str(path)) for path in tmp_path.iterdir()}
    assert os.listdir("/proc/self/fd") == before

    assert said == {
        "plain": Markers(),
        "folder": Markers(),
        "android": Markers(closed_by=".nomedia"),
        "cache": Markers(closed_by="CACHEDIR.TAG"),
        "false": Markers(),
        "pipe": Markers(),
        "mine": Markers(b"*.jpg\n"),
    }
    assert {path.name for path in tmp_path.iterdir() if file_system.list(str(path)).is_marked} == {*said} - {
        "plain",
        "folder",
    }
