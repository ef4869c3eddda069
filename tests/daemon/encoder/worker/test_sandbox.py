"""The sandbox, tried from inside: a child process asks for things that it must not get."""

import ctypes
import io
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pylibjxl
import pytest
from PIL import Image
from tests.daemon.conftest import default_network
from tests.daemon.encoder.worker import attacks
from tests.daemon.encoder.worker.dng import dng
from tests.processes import ends_with

from pixkind.encoder.messages import WORK_BYTES, Encoded, Runtime
from pixkind.encoder.process import ENVIRONMENT
from pixkind.encoder.space import resolve
from pixkind.encoder.supervisor import Encoder
from pixkind.encoder.worker import sandbox, syscalls

pytestmark = [pytest.mark.e2e]

NOBODY = 65534
# Root may do more, so both are tried, as far as the tests may.
USERS = {"root": 0, "an ordinary user": NOBODY if os.getuid() == 0 else os.getuid()}
PLACE = attacks.Place("/none")
FORBIDDEN = [*attacks.forbidden(PLACE), *attacks.only_root(PLACE)]


@pytest.fixture(scope="module")
def weights() -> str:
    """Return the path of weights that are there."""
    return resolve("efficientnet_lite0", "", "/").weights


@pytest.fixture(scope="module")
def tried(weights: str) -> Iterator[Callable[[str, str], dict[str, Any]]]:
    """Yield a function that has the acts of `attacks` tried by a user, with or without seccomp; each once."""
    done: dict[tuple[str, str], dict[str, Any]] = {}
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # which another user may enter

    def trial(user: str, seccomp: str = "with") -> dict[str, Any]:
        if user == "root" and os.getuid() != 0:
            pytest.skip("only root may try what root may do")
        if (user, seccomp) not in done:
            uid, place = USERS[user], folder / f"{user} {seccomp}"
            place.mkdir()
            (place / "secret").write_text("x")
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(f"{place}/listens")
                listener.listen()
                for path in (folder, place, *place.iterdir()):
                    path.chmod(0o777)
                os.chown(place / "secret", uid, -1)
                command = [sys.executable, "-I", attacks.__file__, str(place), weights, str(uid), seccomp]
                child = subprocess.run(command, check=False, capture_output=True, text=True)
            assert child.returncode == 0, child.stderr
            done[user, seccomp] = json.loads(child.stdout)
        return done[user, seccomp]

    yield trial
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def filtered(tried: Callable[[str, str], dict[str, Any]]) -> Callable[[str, str], dict[str, Any]]:
    """Return the same function where system calls are filtered."""
    enforced, missing = tried("an ordinary user", "with")["told"]
    if "seccomp" not in enforced:
        pytest.skip(f"this machine cannot filter system calls: {missing}")
    return tried


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("act", FORBIDDEN)
def test_what_the_worker_needs_not_is_forbidden(
    filtered: Callable[[str, str], dict[str, Any]], act: str, user: str
) -> None:
    """Each act fails because of seccomp: without it, the same act works or fails in another way."""
    outcome, without = filtered(user, "with")["tried"][act], filtered(user, "without")["tried"][act]

    assert outcome == "EPERM"
    assert without != "EPERM" or (act in attacks.only_root(PLACE) and user != "root") or without == "ENOSYS"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("act", attacks.allowed(PLACE))
def test_what_the_worker_needs_works(filtered: Callable[[str, str], dict[str, Any]], act: str, user: str) -> None:
    """Threads, memory, its socket and photos; and `stat`, which nothing can forbid."""
    assert filtered(user, "with")["tried"][act] == "ok"


@pytest.mark.parametrize("user", USERS)
def test_the_sandbox_is_complete_and_limited(tried: Callable[[str, str], dict[str, Any]], user: str) -> None:
    """On a recent kernel nothing is missing. Without seccomp, that is said."""
    limits = tried(user, "with")["facts"]

    assert tried(user, "without")["told"][1] == ["seccomp: left out"]
    assert (limits["CORE"], limits["FSIZE"], limits["NOFILE"]) == (0, WORK_BYTES, sandbox.DESCRIPTORS)
    assert (limits["AS"], limits["owner"]) == (sandbox.ADDRESS_BYTES, 0)
    assert 0 < limits["DATA"] < 8 << 30
    if tried(user, "with")["told"][1]:
        pytest.skip(f"this kernel is too old: {tried(user, 'with')['told'][1]}")
    assert {"no core dumps", "seccomp"} <= set(tried(user, "with")["told"][0])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other machines have no second set of system calls")
def test_a_call_of_another_architecture_kills(weights: str) -> None:
    """A filter for one set of system calls must not be passed by another one, such as x32."""
    code = (
        "import ctypes, sys; from pixkind.encoder.worker.sandbox import enter_sandbox\n"
        "if 'seccomp' not in enter_sandbox(sys.argv[1], 100).enforced: sys.exit(3)\n"
        "ctypes.CDLL(None).syscall(0x40000000 | 39)"
    )
    child = subprocess.run([sys.executable, "-I", "-c", code, weights], check=False)
    if child.returncode == 3:
        pytest.skip("this machine cannot filter system calls")

    assert child.returncode == -signal.SIGSYS


@pytest.mark.parametrize("machine", ["X86_64", "AARCH64"])
def test_the_filter_can_be_made_for_each_machine(machine: str, tmp_path: Path) -> None:
    """Each call of the list has a name that the library knows, and each machine has what the worker needs."""
    try:
        seccomp = syscalls.load_library()
    except OSError as error:
        pytest.skip(str(error))
    with (tmp_path / "filter").open("w") as file:
        syscalls.build(seccomp, getattr(seccomp.Arch, machine)).export_pfc(file)
    made = (tmp_path / "filter").read_text()

    assert [name for name in syscalls.ALLOWED if seccomp.resolve_syscall(0, name) == -1] == []
    for name in ("openat", "mmap", "clone", "clone3", "recvmsg", "sendto", "futex", "ppoll", "prctl"):
        assert f'"{name}"' in made


def test_a_missing_library_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libseccomp the worker goes on, and says why less is enforced; likewise on a machine that has no filter."""

    def load() -> None:
        raise OSError("libseccomp.so.2: cannot open shared object file")

    monkeypatch.setattr(syscalls, "load_library", load)
    without = sandbox._seccomp()
    monkeypatch.setattr(syscalls, "MACHINES", ())

    assert without == ("", "seccomp: libseccomp.so.2: cannot open shared object file")
    assert sandbox._seccomp() == ("", f"seccomp: pixkin has no filter for {platform.machine()}")


def test_a_proc_that_hides_processes_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without core dumps would be hidden from its daemon there: then only those in files are forbidden."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    enforced, missing = sandbox._no_core_dumps(ctypes.CDLL(None))

    assert enforced == "no core dumps in files"
    assert missing == "core dumps to a program: /proc is mounted with hidepid"


def photos_of_each_format(picture: Image.Image) -> dict[str, bytes]:
    """Return a picture in each format and with each decoder."""

    def encoded(kind: str, mode: str = "RGB", **options: object) -> bytes:
        file = io.BytesIO()
        picture.convert(mode).save(file, kind, **options)
        return file.getvalue()

    heic = io.BytesIO()
    pillow_heif.from_pillow(picture).save(heic, quality=90)
    return {
        **{kind: encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000", "TIFF")},
        "progressive JPEG": encoded("JPEG", progressive=True),
        "CMYK": encoded("JPEG", "CMYK"),
        "LZW": encoded("TIFF", compression="tiff_lzw"),
        "JPEG in a TIFF": encoded("TIFF", compression="jpeg"),
        "HEIC": heic.getvalue(),
        "JPEG XL": pylibjxl.encode(np.array(picture), effort=1),
        "raw": dng(),
    }


@pytest.mark.parametrize("runtime", [Runtime.TORCH, Runtime.ONNX])
def test_every_format_is_encoded_in_the_sandbox(
    weights: str, photos: list[Path], tmp_path: Path, runtime: Runtime
) -> None:
    """Pillow, libheif, libjxl, LibRaw and both runtimes work in a real worker, which lacks nothing that this machine has."""
    with Image.open(photos[0]) as image:
        made = photos_of_each_format(image.convert("RGB").resize((320, 240)))
    encoder = Encoder(default_network(weights, runtime), keep_warm_s=60)
    encoder.start()
    try:
        for name, data in made.items():
            (tmp_path / name).write_bytes(data)
        files = {name: (tmp_path / name).open("rb") for name in made}
        jobs = {name: (encoder.inspect(file.fileno()), encoder.encode(file.fileno())) for name, file in files.items()}
        failed = {name: one.exception() for name, both in jobs.items() for one in both if one.exception()}
        for file in files.values():
            file.close()
        confined = encoder.confined
    finally:
        encoder.stop()

    assert failed == {}
    assert all(isinstance(encoded.result(), Encoded) for _, encoded in jobs.values())
    assert confined is not None
    assert "limited memory, descriptors and file sizes" in confined.enforced


CHILD = """
import sys
from pixkind.encoder.worker.sandbox import enter_sandbox
weights, secret = sys.argv[1:]
enforced = enter_sandbox(weights, 100)
if not any("Landlock" in word for word in enforced.enforced):
    sys.exit("no Landlock")

import os, socket, subprocess

def denied(what):
    try:
        what()
    except PermissionError:
        return "denied"
    return "allowed"

print("read", denied(lambda: open(secret).read()), denied(lambda: open("/etc/hostname").read()))
print("list", denied(lambda: os.listdir(os.path.dirname(secret))), denied(lambda: os.listdir("/")))
print("write", denied(lambda: open(secret, "w")), denied(lambda: open(weights, "r+")), denied(lambda: os.unlink(secret)))
print("make", denied(lambda: open(os.path.join(sys.prefix, "new"), "w")), denied(lambda: os.mkdir(secret + "2")))
print("run", denied(lambda: subprocess.run(["/bin/true"])), denied(lambda: os.execv(sys.executable, ["python"])))
print("tcp", denied(lambda: socket.create_connection(("127.0.0.1", 9))))
print("privileges", [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])

import numpy
from pixkind.encoder.worker import models, onnx
for network in models.load("efficientnet_lite0", weights, threads=1), onnx.load(weights, threads=1):
    print(type(network).__name__, network.embed(numpy.zeros((1, 224, 224, 3), numpy.uint8)).shape)
import torchvision
print("torchvision", torchvision.__name__)
"""


def test_a_confined_process_still_encodes_and_can_do_nothing_else(weights: str, tmp_path: Path) -> None:
    """Files, folders, programs and the network are out of reach; both runtimes load their weights and compute, and are quiet."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    command = [sys.executable, "-I", "-c", CHILD, weights, str(secret)]
    child = subprocess.run(command, check=False, capture_output=True, text=True, env=ENVIRONMENT)
    if child.stderr.strip() == "no Landlock":
        pytest.skip("this kernel has no Landlock, so only the other limits are enforced")
    said = dict(line.split(" ", 1) for line in child.stdout.splitlines())

    assert (child.returncode, child.stderr) == (0, "")
    assert secret.read_text() == "x"
    assert said == {
        "read": "denied denied",
        "list": "denied denied",
        "write": "denied denied denied",
        "make": "denied denied",
        "run": "denied denied",
        "tcp": "denied",
        "privileges": "['1']",
        "Network": "(1, 1280)",
        "OnnxNetwork": "(1, 1280)",
        "torchvision": "torchvision",
    }


_STUBBORN = """
import sys, threading
from pixkind.encoder.worker.sandbox import enter_sandbox
enter_sandbox(sys.argv[1], 100)
print("ready", flush=True)
threading.Event().wait()
"""
_PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-I", "-c", *sys.argv[1:]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


def test_the_worker_ends_with_its_parent_whatever_it_does(weights: str) -> None:
    """A worker that was taken over does not heed its socket; the kernel ends it when the daemon is killed."""
    command = [sys.executable, "-c", _PARENT, _STUBBORN, weights]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert ends_with(parent) == (False, True)


_READER = """
import sys
from pixkind.encoder.worker.sandbox import enter_sandbox
print(*enter_sandbox(sys.argv[1], 100).enforced, sep="; ", flush=True)
sys.stdin.readline()
for path in ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/self/status", "/sys/devices/system/cpu/online"):
    open(path).close()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root may have the kernel forget what it can read again")
def test_what_may_be_read_stays_so_when_memory_is_short(tmp_path: Path) -> None:
    """The kernel forgets the inodes of /proc then, to which the rules apply. The worker could not load its network any more."""
    command = [sys.executable, "-I", "-c", _READER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        if b"Landlock" not in child.stdout.readline():
            pytest.skip("this kernel has no Landlock, so only the other limits are enforced")
        Path("/proc/sys/vm/drop_caches").write_text("2")  # entries and inodes that no process uses
        _, said = child.communicate(b"\n")

    assert child.returncode == 0, said.decode()
