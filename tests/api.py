"""Has schemathesis ask the API of `pixkin web` everything that `openapi.json` allows, and what it does not: `make api`.

It takes about four seconds for each example of an operation, so it is no part of the suite.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.e2e.conftest import new_home, picture
from tests.webserver import served

_OPENAPI = Path(__file__).parents[1] / "client/pixkin/web/openapi.json"
_PHOTOS = 12
# The cookie goes with every request, so none of them lacks it: `e2e/test_web_attacks.py` sends those. What only the
# library knows, such as ids, no schema says, so a value that fits it may be refused.
_WITHOUT = "ignored_auth,missing_required_header,negative_data_rejection,positive_data_acceptance"
# Events do not end, and a session would. A machine without a desktop has no file manager: 501.
_PATHS = ("/api/v1/events", "/api/v1/session", "/api/v1/photos/{id}/reveal")


def main(examples: str) -> int:
    """Ask, and return the exit status of schemathesis."""
    with new_home() as home:
        for number in range(_PHOTOS):
            (home.photos / f"{number}.jpg").write_bytes(picture(number))
        (home.photos / "copy.jpg").write_bytes(picture(0))
        home.index()
        with served(home.env) as server, tempfile.TemporaryDirectory() as folder:
            headers = (f"Cookie: {server.cookie}", f"Origin: {server.address}", "Sec-Fetch-Site: same-origin")
            program = Path(sys.executable).with_name("schemathesis")
            command = [
                str(program),
                "run",
                str(_OPENAPI),
                "--url",
                server.address,
                "-n",
                examples,
                "--exclude-checks",
                _WITHOUT,
            ]
            command += [word for header in headers for word in ("-H", header)]
            command += [word for path in _PATHS for word in ("--exclude-path", path)]
            return subprocess.run([*command, "--phases", "coverage,fuzzing"], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "10"))
