"""What the benchmarks share: a home with real processes in it, a library that costs no encoding, figures with their spread.

Nothing here touches the user's own index: everything lies in a temporary folder that is removed at the end.
"""

import argparse
import atexit
import hashlib
import io
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from pixkin import Client
from pixkind.encoder.messages import Details
from pixkind.encoder.space import LITE0, resolve
from pixkind.encoder.worker.header import content_id
from pixkind.fs.stamp import Stamp
from pixkind.storage.keys import CONTENT_BYTES
from pixkind.storage.record import Facts
from pixkind.storage.recovery import close_store
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

BIN: Final = Path(sys.executable).parent
READY_S: Final = 600.0  # a million photos on a busy machine
DIMS: Final = 1280  # of efficientnet_lite0
_PACKAGES: Final = ("pixkin", "pyzmq", "msgspec", "lmdb", "numpy", "faiss-cpu", "pillow", "torch", "torchvision")
_BLOCK: Final = 5000  # photos a commit, while a library is made
_CLUSTER: Final = 20  # photos of one motif
_IMAGE_HEIGHT: Final = 48
_PHOTOGRAPHS: Final = ("astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "rocket.jpg")
_BUSY: Final = 0.05  # of the processors, taken by others


def command_line(text: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, with what its docstring says for `--help`."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def wait_for(condition: Callable[[], bool], timeout_s: float, poll_s: float) -> None:
    """Return as soon as `condition` holds.

    Raises:
        TimeoutError: it did not in time.
    """
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError("it did not happen in time")
        time.sleep(poll_s)


def header(title: str) -> None:
    """Print what was measured where: machine, load, versions, commit."""
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = Path("/proc/meminfo").read_text().split()[1]
    print(f"{title}\n{time.strftime('%Y-%m-%d %H:%M')}, commit {_commit()}")
    print(
        f"{cpu.partition(': ')[2]}, {os.cpu_count()} cores, {int(memory) / 2**20:.0f} GiB, Linux {platform.release()}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )
    print(f"Python {platform.python_version()}, " + ", ".join(filter(None, map(_version, _PACKAGES))), end="\n\n")
    atexit.register(_tell_others, time.monotonic(), _others_s())


def _tell_others(began: float, others_s: float) -> None:
    share = (_others_s() - others_s) / ((time.monotonic() - began) * (os.cpu_count() or 1))
    warning = "; a busy machine: only ratios mean anything, and they little" if share > _BUSY else ""
    print(f"\nother processes took {share:.0%} of the processors meanwhile{warning}\n")


def _others_s() -> float:
    """Return the seconds that all processors were busy, without what our ended processes took. Source: proc_stat(5)."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])


def _commit() -> str:
    here = Path(__file__).parent
    words = ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def show(what: str, samples: Sequence[float], unit: str = "ms", *, factor: float = 1e3) -> float:
    """Print one row, and return the median as it was given.

    Args:
        what: was measured.
        samples: at least one; seconds, unless `factor` says otherwise.
        unit: that is printed.
        factor: from a sample to that unit.
    """
    scaled = sorted(sample * factor for sample in samples)
    low, high = scaled[len(scaled) // 10], scaled[-1 - len(scaled) // 10]
    n = len(scaled)
    print(f"{what:<52} n {n:>5}  median {statistics.median(scaled):>10.3f} {unit}  10-90 % {low:.3f} to {high:.3f}")
    return statistics.median(samples)


def wall_s(command: Sequence[str | os.PathLike[str]], env: dict[str, str] | None = None) -> float:
    """Return the seconds from the start of a process to its end; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


class Home:
    """A user's home in a temporary folder, with at most one daemon at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.photos = folder / "photos"
        self.photos.mkdir()
        names = ("CONFIG_HOME", "STATE_HOME", "DATA_HOME", "CACHE_HOME", "RUNTIME_DIR")
        places = {f"XDG_{name}": str(folder / name.lower()) for name in names}
        for place in places.values():
            Path(place).mkdir(mode=0o700)
        left_out = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "DBUS_SESSION_BUS_ADDRESS"}
        outer = {name: value for name, value in os.environ.items() if name not in left_out}
        self.env = {**outer, **places, "HOME": str(folder)}
        self.socket = str(folder / "runtime_dir/pixkin/pixkind.sock")
        self.log = folder / "log"
        self.daemon: subprocess.Popen[bytes] | None = None

    def configure(self, text: str = "") -> None:
        """Write the configuration: `text` is TOML behind the section [index]."""
        file = self.folder / "config_home/pixkin/config.toml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'[index]\nfolders = ["{self.photos}"]\nrest_s = 0.05\n{text}')

    def start(self) -> float:
        """Start `pixkind` and return the seconds from exec to READY=1, which it says when its socket answers."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self.log.open("ab") as log:
            notify = self.folder / "notify"
            notify.unlink(missing_ok=True)
            ready.bind(str(notify))
            ready.settimeout(1)
            env = {**self.env, "NOTIFY_SOCKET": str(notify)}
            began = time.perf_counter()
            self.daemon = subprocess.Popen([BIN / "pixkind"], env=env, stdout=log, stderr=log)
            while True:
                with suppress(TimeoutError):
                    if b"READY=1" in ready.recv(4096):
                        return time.perf_counter() - began
                if self.daemon.poll() is not None or time.perf_counter() > began + READY_S:
                    sys.exit(f"pixkind does not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        """Stop the daemon, and wait for its end."""
        if self.daemon is not None:
            self.daemon.terminate()
            if self.daemon.wait(60):
                sys.exit(f"pixkind ended with {self.daemon.returncode}:\n{self.log.read_text()}")
            self.daemon = None

    def kill(self) -> None:
        """End the daemon at once, without its knowing."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
            self.daemon = None

    def client(self, reply_s: float = 600.0) -> Client:
        """Return a client in this process."""
        return Client(self.socket, reply_s=reply_s)

    def processes(self) -> list[int]:
        """Return the daemon's process and all that descend from it."""
        found = [] if self.daemon is None else [self.daemon.pid]
        for pid in found:
            found += _children(pid)
        return found


@contextmanager
def new_home() -> Iterator[Home]:
    """Yield a configured home, and remove it at last. TMPDIR says on which disk; a socket's path has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pk") as folder:
        home = Home(Path(folder))
        home.configure()
        try:
            yield home
        finally:
            home.kill()


def fill(home: Home, n: int, *, bytes_each: int = 0, has_files: bool = True) -> list[Path]:
    """Make `n` photos and their index, and return their paths; to be called before the daemon starts.

    Each is a file of its own, of one small JPEG's bytes, in folders of a thousand.
    The vectors are synthetic, in clusters, and are written by the daemon's own store: encoding a million would take hours.

    Args:
        home: whose photos.
        n: how many.
        bytes_each: how many bytes that no other photo has follow the JPEG; the content ids are then the photos' own, so
            that the daemon knows them when it reads them again.
        has_files: False: only the index is made, of files that are nowhere.
    """
    space = resolve(LITE0, "", home.env["XDG_DATA_HOME"]).name
    store = Store(str(home.folder / "state_home/pixkin/index.lmdb"), space, map_gb=64)
    random = np.random.default_rng(0)
    paths: list[Path] = []
    data = picture(0)
    for start in range(0, n, _BLOCK):
        block = [home.photos / f"{i // 1000:04}" / f"{i:07}.jpg" for i in range(start, min(n, start + _BLOCK))]
        centres = random.standard_normal((len(block) // _CLUSTER + 1, DIMS), dtype=np.float32)
        noise = random.standard_normal((len(block), DIMS), dtype=np.float32)
        vectors = (centres.repeat(_CLUSTER, axis=0)[: len(block)] + 0.5 * noise).astype("<f2")
        batch = WriteBatch()
        for path, vector in zip(block, vectors, strict=True):
            content = hashlib.blake2b(path.name.encode(), digest_size=CONTENT_BYTES).digest()
            stamp = Stamp(0, 0, 0, 0)
            if has_files:
                path.parent.mkdir(exist_ok=True)
                photo = data + random.bytes(bytes_each)
                path.write_bytes(photo)
                stamp = Stamp.of(path.stat())
                if bytes_each:
                    content = content_id(io.BytesIO(photo), upright=1)
            batch.photos.append(PhotoFound(str(path), stamp, content, Details()))
            batch.contents[content] = Facts(64, _IMAGE_HEIGHT, 0, "")
            batch.vectors[content] = vector.tobytes()
        store.commit(batch)
        paths += block
    close_store(store)
    return paths


def make_snapshot(home: Home) -> None:
    """Start a daemon and stop it when it has codes: libraries of 200 photos or more have a snapshot of them."""
    home.start()
    wait_for(lambda: any(home.folder.glob("state_home/pixkin/index.lmdb/codes/*/rest.npz")), READY_S, 0.5)
    home.stop()


def picture(number: int, size: tuple[int, int] = (64, _IMAGE_HEIGHT)) -> bytes:
    """Return a JPEG that is like no other: pixels that only `number` (0 or more) determines."""
    noise = np.random.default_rng(number).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def photographs() -> list[Path]:
    """Return scikit-image's colour photographs."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        sys.exit("scikit-image, the extra [demo], is not installed")
    data = Path(spec.origin).parent / "data"
    return [data / name for name in _PHOTOGRAPHS if (data / name).exists()]


def take_photo(number: int, size: tuple[int, int] = (4000, 3000)) -> Image.Image:
    """Return a photo that is like no other: a crop of a photograph, enlarged, with grain as a camera's has.

    As a JPEG of quality 88 and 12 megapixels it takes some 2.5 MB.
    """
    sources = photographs()
    random = np.random.default_rng(number)
    with Image.open(sources[number % len(sources)]) as image:
        rgb = image.convert("RGB")
    width, height = rgb.size
    left, top = random.integers(0, width // 4), random.integers(0, height // 4)
    box = (float(left), float(top), float(left + width * 3 // 4), float(top + height * 3 // 4))
    large = np.asarray(rgb.resize(size, Image.Resampling.BICUBIC, box))
    grain = random.integers(0, 20, (-(-size[1] // 4), size[0], 3), dtype=np.uint8)
    return Image.fromarray(np.minimum(large, 236) + np.tile(grain, (4, 1, 1))[: size[1]])


def memory_bytes(processes: Sequence[int]) -> int:
    """Return RssAnon + RssShmem of these processes. Source: proc_pid_status(5)."""
    return 1024 * sum(_field(f"/proc/{pid}", name) for pid in processes for name in ("RssAnon", "RssShmem"))


def switches(processes: Sequence[int]) -> int:
    """Return how often the threads of these processes have slept and been woken: their voluntary context switches."""
    tasks = [f"/proc/{pid}/task/{task}" for pid in processes for task in os.listdir(f"/proc/{pid}/task")]
    return sum(_field(task, "voluntary_ctxt_switches") for task in tasks)


def cpu_s(processes: Sequence[int]) -> float:
    """Return the seconds that these processes have computed. Source: proc_pid_stat(5), fields 14 and 15."""
    ticks = 0
    for pid in processes:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _field(folder: str, name: str) -> int:
    for line in Path(folder, "status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    return 0


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found
