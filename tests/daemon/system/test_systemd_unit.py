"""The systemd unit in the repository, and as `pixkind service install` writes it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pixkin.errors import Refused
from pixkind.system import systemd_unit

TEMPLATE = Path(__file__).parents[3] / "systemd/pixkind.service"
TEMPLATES = [TEMPLATE, *(TEMPLATE.with_name(name) for name in systemd_unit.WEB_UNITS)]
# Everybody who has read one unit knows these; all others need their reason.
OBVIOUS = {"Description", "ExecStart", "WantedBy"}


@pytest.fixture
def env(short_tmp: Path) -> dict[str, str]:
    """Return an environment whose home is a new folder with a difficult name."""
    home = short_tmp / "50% of us$er"
    home.mkdir()
    return {"HOME": str(home), "PATH": os.environ["PATH"]}


@pytest.fixture
def prefix(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a virtual environment with both programs; its name needs quoting."""
    prefix = short_tmp / "a b 100%$x"
    (prefix / "bin").mkdir(parents=True)
    for program in ("pixkind", "pixkin"):
        shutil.copy("/bin/true", prefix / "bin" / program)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    return prefix


def installed(env: dict[str, str]) -> Path:
    """Return the path of the unit in this environment."""
    return Path(env.get("XDG_CONFIG_HOME", env["HOME"] + "/.config")) / "systemd/user/pixkind.service"


def directives(unit: Path) -> list[tuple[str, str, str]]:
    """Return name, value and the line above, of each directive."""
    lines = unit.read_text().splitlines()
    pairs = [(re.match(r"(\w+)=(.*)", line), above) for above, line in zip(["", *lines], lines, strict=False)]
    return [(match[1], match[2], above) for match, above in pairs if match]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_unit_gives_a_reason_for_every_unusual_line(template: Path) -> None:
    """Each directive that is not obvious has a comment directly above it."""
    silent = [name for name, _, above in directives(template) if name not in OBVIOUS and not above.startswith("# ")]

    assert silent == []


def test_unit_shares_tmp_and_lets_torch_compile() -> None:
    """People query files in /tmp, and torch maps memory that is writable and executable."""
    names = {name for name, _, _ in directives(TEMPLATE)}

    assert not names & {"PrivateTmp", "MemoryDenyWriteExecute", "StateDirectory", "DynamicUser"}


def test_unit_promises_what_the_design_promises() -> None:
    """The unit has the values that other parts rely on."""
    values = {name: value for name, value, _ in directives(TEMPLATE)}

    assert values["Type"] == "notify"
    assert values["RestartPreventExitStatus"].split() == ["75", "78"]
    assert values["PrivateUsers"] == "yes"
    assert values["OOMPolicy"] == "continue"
    assert "landlock_restrict_self" in values["SystemCallFilter"].split()
    assert values["RuntimeDirectory"] == "pixkin"


def test_the_page_is_confined_more_than_the_daemon() -> None:
    """It is reached at this machine alone, changes nothing but its own files, and leaves when nobody looks."""
    socket_, service = ({name: value for name, value, _ in directives(path)} for path in (TEMPLATES[2], TEMPLATES[1]))

    assert socket_["ListenStream"] == "127.0.0.1:7465"
    assert service["RestrictAddressFamilies"].split() == ["AF_UNIX", "AF_INET"]
    assert (service["IPAddressDeny"], service["IPAddressAllow"]) == ("any", "localhost")
    assert (service["ProtectSystem"], service["ProtectHome"]) == ("strict", "read-only")
    assert (service["NoNewPrivileges"], service["MemoryDenyWriteExecute"]) == ("yes", "yes")
    assert service["ExecStart"].endswith(" web --idle 600")


def verified(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Return what `systemd-analyze verify` says about the installed units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = [str(installed(env).with_name(name)) for name in (systemd_unit.UNIT, *systemd_unit.WEB_UNITS)]
    command = ["systemd-analyze", "verify", "--user", *units]
    with_runtime = {**env, "XDG_RUNTIME_DIR": env["HOME"]}  # it refuses to look at user units without one
    return subprocess.run(command, env=with_runtime, capture_output=True, text=True, check=False)


def test_install_writes_a_unit_that_systemd_accepts(env: dict[str, str], prefix: Path) -> None:
    """`systemd-analyze verify` reports nothing about the unit, whatever the paths look like."""
    systemd_unit.install(env)
    done = verified(env)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verification_notices_a_broken_unit(env: dict[str, str], prefix: Path) -> None:
    """The check above can fail: a program that is missing is reported."""
    systemd_unit.install(env)
    (prefix / "bin/pixkind").unlink()
    done = verified(env)

    assert done.returncode != 0
    assert "pixkind" in done.stderr


def test_install_escapes_what_systemd_would_expand(env: dict[str, str], prefix: Path) -> None:
    """Spaces and percent signs of a path reach systemd as they are; a dollar sign of a program needs no escape."""
    systemd_unit.install(env)
    found = [(name, value) for name, value, _ in directives(installed(env))]
    home = env["HOME"].replace("%", "%%")

    assert ("ExecStart", '"' + str(prefix).replace("%", "%%") + '/bin/pixkind"') in found
    assert [value for name, value in found if name == "ReadWritePaths"] == [
        f'"{home}/.local/state/pixkin"',
        f'"-{home}/.local/share/pixkin"',
        f'"-{home}/.cache/pixkin"',
    ]


@pytest.mark.parametrize("folder", [".local/state/pixkin", ".local/share/pixkin", ".cache/pixkin"])
def test_install_makes_the_folders_to_which_the_service_writes(env: dict[str, str], prefix: Path, folder: str) -> None:
    """The index's folder, that of what users said, and that of thumbnails exist after the installation, for their owner only."""
    systemd_unit.install(env)

    assert (Path(env["HOME"]) / folder).stat().st_mode & 0o777 == 0o700


def test_install_keeps_the_places_that_this_shell_knows(env: dict[str, str], prefix: Path, short_tmp: Path) -> None:
    """If XDG variables move index and configuration, the service gets them and may write there."""
    env |= {
        "XDG_STATE_HOME": str(short_tmp / "st ate"),
        "XDG_CONFIG_HOME": str(short_tmp / "conf"),
        "XDG_DATA_HOME": "rel",
    }
    systemd_unit.install(env)
    found = directives(installed(env))

    assert ("ReadWritePaths", f'"{short_tmp}/st ate/pixkin"') in [(name, value) for name, value, _ in found]
    assert [value for name, value, _ in found if name == "Environment"] == [
        "PYTHONUTF8=1",
        f"XDG_CONFIG_HOME={short_tmp}/conf",
        f'"XDG_STATE_HOME={short_tmp}/st ate"',
    ]


def test_install_twice_is_install_once(env: dict[str, str], prefix: Path) -> None:
    """A second installation writes the same unit and leaves nothing else behind."""
    text = systemd_unit.install(env)
    unit = installed(env).read_bytes()

    assert systemd_unit.install(env) == text
    assert installed(env).read_bytes() == unit
    assert sorted(path.name for path in installed(env).parent.iterdir()) == [
        *("pixkin-web.service", "pixkin-web.socket", "pixkind.service")
    ]


def test_install_writes_nothing_of_the_page_where_its_libraries_are_missing(
    env: dict[str, str], prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra [web] its unit could not start."""
    monkeypatch.setattr(systemd_unit, "find_spec", lambda _: None)
    text = systemd_unit.install(env)

    assert [path.name for path in installed(env).parent.iterdir()] == ["pixkind.service"]
    assert "pixkin-web" not in text


def test_install_names_one_command(env: dict[str, str], prefix: Path) -> None:
    """The text names the file, the command that starts the service, and how it survives a logout."""
    text = systemd_unit.install(env)

    assert str(installed(env)) in text
    assert "systemctl --user daemon-reload && systemctl --user enable --now pixkind" in text
    assert "loginctl enable-linger" in text


def test_install_without_a_program_is_refused(env: dict[str, str], prefix: Path) -> None:
    """No unit is written for a program that is not there."""
    (prefix / "bin/pixkind").unlink()
    with pytest.raises(Refused, match="bin/pixkind"):
        systemd_unit.install(env)

    assert not installed(env).exists()


def test_install_refuses_a_path_that_systemd_refuses(
    env: dict[str, str], prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose path has quotes is refused at the installation, not at the start of the service."""
    quoted = prefix.with_name('a "b"')
    prefix.rename(quoted)
    monkeypatch.setattr(sys, "prefix", str(quoted))

    with pytest.raises(Refused, match="quotes"):
        systemd_unit.install(env)


def test_install_where_nothing_can_be_written_is_refused(env: dict[str, str], prefix: Path) -> None:
    """The error for a path that cannot be created names it, with the reason."""
    (Path(env["HOME"]) / ".config").write_text("a file")

    with pytest.raises(Refused, match=r"\.config.*: "):
        systemd_unit.install(env)


def test_uninstall_removes_what_install_and_enable_made(env: dict[str, str], prefix: Path) -> None:
    """The unit and the login link are removed, the index stays, and a second call finds nothing to remove."""
    systemd_unit.install(env)
    link = installed(env).parent / "default.target.wants/pixkind.service"
    link.parent.mkdir()
    link.symlink_to(installed(env))
    text = systemd_unit.uninstall(env)

    assert "systemctl --user stop pixkind" in text
    assert not installed(env).exists()
    assert not link.is_symlink()
    assert not list(installed(env).parent.glob("pixkin*"))
    assert (Path(env["HOME"]) / ".local/state/pixkin").is_dir()
    assert "there is no" in systemd_unit.uninstall(env)


def test_status_without_systemd_says_so(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without systemctl, the text says what to do instead."""
    monkeypatch.setenv("PATH", str(short_tmp))

    assert "systemd is not installed" in systemd_unit.status()


def test_status_passes_on_what_systemd_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """If systemd is installed, its own output is returned, even if it does not run."""
    if shutil.which("systemctl") is None:
        pytest.skip("systemctl is not installed")

    assert "systemd is not installed" not in systemd_unit.status()
    assert systemd_unit.status() != ""


@pytest.mark.parametrize("variable", ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("name", ["a\nExecStartPre=/bin/sh -c true", "a\x1b[2J", "a\udcff", "a\ufdd0", "a\U0001ffff"])
def test_a_path_that_would_write_lines_of_its_own_is_refused(
    env: dict[str, str], prefix: Path, variable: str, name: str
) -> None:
    """A newline would add a directive to the unit, and systemd refuses a unit that is not UTF-8: nothing is written."""
    assert prefix.exists()
    before = env["HOME"]
    env[variable] = f"{before}/{name}"
    with pytest.raises(Refused, match="a systemd unit cannot name") as caught:
        systemd_unit.install(env)

    assert "XDG_STATE_HOME" in caught.value.hint
    assert list(Path(before).rglob("*.service")) == []
