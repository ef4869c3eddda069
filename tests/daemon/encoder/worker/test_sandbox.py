"""The sandbox, tried from inside: a child process asks for things that it must not get."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pixkind.encoder.space import resolve

pytestmark = [pytest.mark.e2e]

CHILD = """
import sys
from pixkind.encoder.worker.sandbox import enter_sandbox
weights, secret = sys.argv[1:]
enforced = enter_sandbox(weights, 100)
if not any("Landlock" in word for word in enforced):
    sys.exit("no Landlock")

import os, resource, socket, subprocess

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
print("core", *resource.getrlimit(resource.RLIMIT_CORE))
print("data", resource.getrlimit(resource.RLIMIT_DATA)[1] < 8 << 30)
print("privileges", [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")])

import numpy
from pixkind.encoder.worker import models
network = models.load("efficientnet_lite0", weights, threads=1)
print("vector", network.embed(numpy.zeros((1, 224, 224, 3), numpy.uint8)).shape)
import torchvision
print("torchvision", torchvision.__name__)
"""


def test_a_confined_process_still_encodes_and_can_do_nothing_else(tmp_path: Path) -> None:
    """Files, folders, programs and the network are out of reach; torch loads its weights and computes."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    command = [sys.executable, "-I", "-c", CHILD, resolve("efficientnet_lite0", "", "/").weights, str(secret)]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    if child.stderr.strip() == "no Landlock":
        pytest.skip("this kernel has no Landlock, so only the other limits are enforced")
    said = dict(line.split(" ", 1) for line in child.stdout.splitlines())

    assert child.returncode == 0, child.stderr
    assert secret.read_text() == "x"
    assert said == {
        "read": "denied denied",
        "list": "denied denied",
        "write": "denied denied denied",
        "make": "denied denied",
        "run": "denied denied",
        "tcp": "denied",
        "core": "0 0",
        "data": "True",
        "privileges": "['1']",
        "vector": "(1, 1280)",
        "torchvision": "torchvision",
    }


_READER = """
import sys
from pixkind.encoder.worker.sandbox import enter_sandbox
print(*enter_sandbox(sys.argv[1], 100), sep="; ", flush=True)
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
