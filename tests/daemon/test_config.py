"""The configuration: which settings are accepted, and the errors for the others."""

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixkin import locations
from pixkind import config as configuration
from pixkind.config import Config, has_photos, load, pictures_folder
from pixkind.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
PHOTOS = '[index]\nfolders = ["/photos"]\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty home folder that the environment points to."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def file(home: Path) -> Path:
    """Return the path of the default configuration file, whose folder exists."""
    path = Path(locations.config_file())
    path.parent.mkdir(parents=True)
    return path


def complaint(file: Path, text: str) -> str:
    """Return the error for `text` without the file's name, which must come first."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(None)
    assert caught.value.what.startswith(f"{file}: ")
    assert caught.value.status == 78
    return caught.value.what.removeprefix(f"{file}: ")


def test_example_names_every_key_with_its_default(home: Path) -> None:
    """The example file has exactly the code's sections, keys and defaults."""
    example = tomllib.loads(EXAMPLE.read_text())
    default = Config()
    sections = list(Config.__struct_fields__)

    assert list(example) == sections
    for section in sections:
        struct = getattr(default, section)
        values = {key: getattr(struct, key) for key in struct.__struct_fields__}
        said = {
            key: type(values[key])(value) if isinstance(value, list) else value
            for key, value in example[section].items()
        }
        assert said == values


def test_example_is_accepted(home: Path) -> None:
    """The example file loads, and means the defaults."""
    (home / "Pictures").mkdir()

    assert load(str(EXAMPLE)) == load(None)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[index]\nrest_s = 900", "index.rest_s = 900 is out of range; allowed: 0.01 to 60 seconds"),
        ("[index]\nrest_s = nan", "index.rest_s = NaN is out of range; allowed: 0.01 to 60 seconds"),
        ("[index]\nrest_s = '2'", 'index.rest_s = "2" is not a number; allowed: 0.01 to 60 seconds'),
        ("[index]\nrest_s = true", "index.rest_s = true is not a number; allowed: 0.01 to 60 seconds"),
        ("[index]\nrescan_s = 59", "index.rescan_s = 59 is out of range; allowed: 60 to 604800 seconds"),
        ("[index]\nkeep_gone_days = 0", "index.keep_gone_days = 0 is out of range; allowed: 1 to 3650 days"),
        ("[index]\nkeep_gone_days = 4000", "index.keep_gone_days = 4000 is out of range; allowed: 1 to 3650 days"),
        ("[decode]\nlimit_mp = 1.5", "decode.limit_mp = 1.5 is not a whole number; allowed: 1 to 1000 megapixels"),
        ("[limits]\nthreads = 65", "limits.threads = 65 is out of range; allowed: 0 to 64"),
        ("[encoder]\nmodel = 2", "encoder.model = 2 is not a string in quotes"),
        ("[index]\nmetric = 'l1'", 'index.metric = "l1" is not one of "cosine", "l2"'),
        ("[index]\nmetric = 2", 'index.metric = 2 is not one of "cosine", "l2"'),
        ("[index]\nfolders = '/p'", 'index.folders = "/p" is not a list of strings'),
        ("[index]\nsuffixes = [1]", "index.suffixes = [1] is not a list of strings"),
        (
            "[index]\nsuffixes = ['*.jpg']",
            'index.suffixes = ["*.jpg"] has "*.jpg", which is not a suffix; write it like "jpg"',
        ),
        (
            "[encoder]\nweights = 'w.pth'",
            'encoder.weights = "w.pth" has "w.pth", which is not an absolute path; it must begin with / or ~/',
        ),
        (
            "[index]\nfolders = ['Photos']",
            'index.folders = ["Photos"] has "Photos", which is not an absolute path; it must begin with / or ~/',
        ),
        ("[index]\nrest = 2", "unknown key index.rest, did you mean index.rest_s?"),
        ("[indx]\nrest_s = 2", "unknown key indx, did you mean index?"),
        ("folders = ['/p']", "unknown key folders, did you mean index.folders?"),
        ("[qqq]", "unknown key qqq; known: index, encoder, decode, limits, "),
        ("index = 3", "index = 3 is not a section; write [index] on a line of its own"),
        ("[index", "not TOML: "),
        (
            "[index]\nfolders = ['/a/b', '/a-c', '/a/']",
            "index.folders names /a/b, which lies in /a; name only the outer one",
        ),
        ("[index]\nfolders = ['/a', '/b/../a']", "index.folders names /a twice"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested too deep"),
        (f"[index]\nfolders = {[f'/{n}' for n in range(1001)]}", "index.folders names 1,001 folders; at most 1,000"),
        ("#" * 1_100_000, "larger than 1 MiB"),
        ("a" + ".a" * 20_000 + " = 1", "more than 10,000 dots"),
        ("[index]\nrest_s = " + "9" * 5000, "a number of more than 4,300 digits"),
        ("[index]\nrest_s = 0x" + "f" * 5000, "index.rest_s = … is out of range; allowed: 0.01 to 60 seconds"),
        ("index.rest_s" + ".a" * 3000 + " = 1", "index.rest_s = … is not a number; allowed: 0.01 to 60 seconds"),
        (f"[{'a' * 5000}]", f"unknown key {'a' * 79}…; known: index"),
        (
            '[index]\nfolders = ["~a\\u0000/b"]',
            'index.folders = ["~a\\u0000/b"] has "~a\\u0000/b", which is not an abs',
        ),
        (
            '[encoder]\nweights = "~a\\u0000/b"',
            'encoder.weights = "~a\\u0000/b" has "~a\\u0000/b", which is not an abs',
        ),
    ],
)
def test_wrong_setting_is_named_with_what_is_allowed(file: Path, text: str, sentence: str) -> None:
    """A wrong setting is refused with file, key, value and what is allowed."""
    assert complaint(file, text).startswith(sentence)


def test_wrong_setting_is_refused_even_when_the_command_line_names_folders(file: Path) -> None:
    """A wrong setting in the file is refused even with folders on the command line."""
    file.write_text("[index]\nrest_s = 0")

    with pytest.raises(ConfigError, match=r"index\.rest_s"):
        load(None, folders=["/photos"])


def test_bytes_that_are_not_utf8_are_refused(file: Path) -> None:
    """A file that is not text causes an error message, not a traceback."""
    file.write_bytes(b"# caf\xe9\n")

    with pytest.raises(ConfigError, match="not UTF-8 at byte 5"):
        load(None)


def test_named_file_must_exist(home: Path) -> None:
    """A file that the command line names is not optional; the default one is."""
    with pytest.raises(ConfigError, match=r"/nowhere/c.toml: no such file"):
        load("/nowhere/c.toml", folders=["/photos"])

    assert load(None, folders=["/photos"]).decode == Config().decode


def test_folder_as_file_is_refused(home: Path) -> None:
    """The error for a file that cannot be read gives the system's reason."""
    with pytest.raises(ConfigError, match="Is a directory"):
        load(str(home), folders=["/photos"])


def test_settings_of_the_file_arrive(file: Path, home: Path) -> None:
    """The settings of the file are loaded, with `~` expanded and suffixes normalised."""
    file.write_text(
        '[index]\nfolders = ["~/P/", "/absent"]\nsuffixes = [".JPG", "heic"]\nrest_s = 1\n[encoder]\nweights = "~/w.pth"'
    )
    config = load(None)

    assert config.index.folders == (f"{home}/P", "/absent")
    assert config.index.suffixes == {"jpg", "heic"}
    assert config.index.rest_s == 1.0
    assert config.encoder.weights == f"{home}/w.pth"


def test_folders_of_the_command_line_replace_those_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line wins, and its folders are relative to the working directory."""
    file.write_text(PHOTOS)
    monkeypatch.chdir(file.parent)
    config = load(None, folders=["mine", "/other"])

    assert config.index.folders == (f"{file.parent}/mine", "/other")


def test_nested_folders_of_the_command_line_are_refused(home: Path) -> None:
    """Nested folders on the command line are refused too, since a photo belongs to one root."""
    with pytest.raises(ConfigError, match=r"^the command line: .* /p/q, which lies in /p;"):
        load(None, folders=["/p/q", "/p"])


def test_without_any_folder_there_is_a_way_out(home: Path) -> None:
    """Without a configured folder and without a pictures folder, the error says what to do."""
    with pytest.raises(ConfigError) as caught:
        load(None)

    assert "pixkind ~/Photos" in caught.value.hint
    assert str(locations.config_file()) in caught.value.hint


def test_pictures_folder_is_the_desktops(home: Path) -> None:
    """The desktop's setting decides, in any language."""
    (home / "Pictures").mkdir()
    (home / "Mes images").mkdir()
    (home / ".config").mkdir()
    assert pictures_folder() == f"{home}/Pictures"
    (home / ".config/user-dirs.dirs").write_text('# x\nXDG_MUSIC_DIR="$HOME/M"\nXDG_PICTURES_DIR="$HOME/Mes images"\n')

    assert pictures_folder() == f"{home}/Mes images"
    assert load(None).index.folders == (f"{home}/Mes images",)


@pytest.mark.parametrize("value", ["$HOME/", "$HOME", "/nowhere"])
def test_pictures_folder_may_be_switched_off(home: Path, value: str) -> None:
    """The home folder itself means "none" to the desktop; it is never indexed by surprise."""
    (home / "Pictures").mkdir()
    (home / ".config").mkdir()
    (home / ".config/user-dirs.dirs").write_text(f'XDG_PICTURES_DIR="{value}"\n')

    assert pictures_folder() is None


@given(st.lists(st.text("ab/", min_size=1, max_size=5).map(lambda tail: "/" + tail), min_size=1, max_size=4))
def test_folders_are_refused_exactly_when_one_contains_another(folders: list[str]) -> None:
    """Whatever the order and the spelling, roots are accepted if and only if no one contains another."""
    paths = [os.path.normpath("/p" + folder) for folder in folders]
    nested = any(os.path.commonpath([a, b]) == a for i, a in enumerate(paths) for j, b in enumerate(paths) if i != j)
    try:
        load("/dev/null", folders=["//p" + folder for folder in folders])
        refused = False
    except ConfigError:
        refused = True

    assert refused == nested


def test_an_empty_pictures_folder_has_no_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh desktop has one; hidden folders and other files do not count. A folder with very many files is somebody's own."""
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/a.jpg").touch()
    (tmp_path / "notes.txt").touch()
    empty = has_photos(str(tmp_path)), has_photos(f"{tmp_path}/none"), has_photos(None)
    (tmp_path / "2024/july").mkdir(parents=True)
    (tmp_path / "2024/july/A.JPG").touch()
    filled = has_photos(str(tmp_path))
    (tmp_path / "2024/july/A.JPG").unlink()
    monkeypatch.setattr(configuration, "_LOOKED_AT", 2)

    assert empty == (False, False, False)
    assert filled
    assert has_photos(str(tmp_path))
