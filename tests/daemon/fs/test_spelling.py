"""On a file system that takes several spellings for one name, a photo has only the path that its folders list."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.daemon.loose import Loose

from pixkind.fs.spelling import Spelling

_E_ACUTE, _E_COMBINED = "caf\u00e9", "cafe\u0301"


def _put(root: Path, path: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_bytes(b"1")


def _nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _ascii(name: str) -> str:
    return os.fsdecode(os.fsencode(name).lower())


@pytest.mark.parametrize("fold", [str.casefold, _ascii])
@pytest.mark.parametrize(
    ("real", "other"),
    [
        ("img_0.jpg", "IMG_0.JPG"),
        ("IMG_0.JPG", "img_0.jpg"),
        ("Img_0.jpg", "img_0.JPG"),
        ("HOLIDAY/a.jpg", "Holiday/a.jpg"),
        ("2020/May/1/a.jpg", "2020/MAY/1/a.jpg"),
        ("\u0444\u043e\u0442\u043e.jpg", "\u0444\u043e\u0442\u043e.JPG"),
        ("caf\udce9.jpg", "CAF\udce9.jpg"),
    ],
)
def test_another_case_is_another_path(tmp_path: Path, fold: Callable[[str], str], real: str, other: str) -> None:
    """A file system that ignores case finds the photo under both paths, but lists one of them."""
    _put(tmp_path, real)
    loose = Loose(tmp_path, fold)
    loose.look(str(tmp_path / other))
    spelling = Spelling(lambda _: loose)

    assert spelling.is_exact(str(tmp_path / real), str(tmp_path))
    assert not spelling.is_exact(str(tmp_path / other), str(tmp_path))
    assert set(loose.listed.values()) == {1}


def test_names_without_ascii_letters_differ_by_case_too(tmp_path: Path) -> None:
    """The name of a folder may have no ASCII letter."""
    _put(tmp_path, "\u0424\u041e\u0422\u041e/a.jpg")
    spelling = Spelling(lambda _: Loose(tmp_path, str.casefold))

    assert not spelling.is_exact(str(tmp_path / "\u0444\u043e\u0442\u043e/a.jpg"), str(tmp_path))


@pytest.mark.parametrize(("real", "other"), [(_E_ACUTE, _E_COMBINED), (_E_COMBINED, _E_ACUTE)])
def test_another_normal_form_is_another_path(tmp_path: Path, real: str, other: str) -> None:
    """A file system that normalises Unicode finds the photo under both paths, but lists one of them."""
    _put(tmp_path, f"{real}/{real}.jpg")
    spelling = Spelling(lambda _: Loose(tmp_path, _nfc))

    assert spelling.is_exact(str(tmp_path / f"{real}/{real}.jpg"), str(tmp_path))
    for path in (f"{other}/{real}.jpg", f"{real}/{other}.jpg"):
        assert not spelling.is_exact(str(tmp_path / path), str(tmp_path))


def test_a_file_system_that_tells_spellings_apart_is_not_listed(tmp_path: Path) -> None:
    """There each path is exact, and costs no listing; only a folder that has two spellings is listed, once."""
    for name in ("a.jpg", "d/b.jpg", "d/B.JPG", "d/c.jpg", f"{_E_ACUTE}.jpg"):
        _put(tmp_path, name)
    strict = Loose(tmp_path, str)
    spelling = Spelling(lambda _: strict)

    for name in ("a.jpg", "d/b.jpg", "d/B.JPG", "d/c.jpg", f"{_E_ACUTE}.jpg"):
        assert spelling.is_exact(str(tmp_path / name), str(tmp_path))
    assert strict.listed == {str(tmp_path / "d"): 1}
