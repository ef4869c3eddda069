"""The settings of the page are what the daemon checks."""

from pathlib import Path

import pytest

from pixkin.errors import InputUnreadable
from pixkin.web.binding import PORT
from pixkin.web.settings import WebSettings, web_settings
from pixkind.config import WebConfig


def test_the_page_and_the_daemon_know_the_same_settings() -> None:
    """Names and defaults; without a permission nothing is moved to the trash."""
    page, daemon = WebSettings(), WebConfig()

    assert WebSettings.__struct_fields__ == WebConfig.__struct_fields__
    assert all(getattr(page, name) == getattr(daemon, name) for name in WebSettings.__struct_fields__)
    assert (page.port, page.allow_trash) == (PORT, False)


def test_settings_are_read_and_wrong_ones_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file there are defaults; what is wrong names the file."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    none = web_settings()
    file = tmp_path / "pixkin/config.toml"
    file.parent.mkdir()
    file.write_text("[web]\nport = 8000\nallow_trash = true\n")
    some = web_settings()
    file.write_text("[web]\nport = 80\n")

    assert (none, some) == (WebSettings(), WebSettings(port=8000, allow_trash=True))
    with pytest.raises(InputUnreadable, match=r"config\.toml: .*1024"):
        web_settings()
