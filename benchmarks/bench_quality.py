"""What the answers are worth, on photos that somebody has sorted: how much of a class is found, and which copies are.

    python benchmarks/bench_quality.py FOLDER [--model mobilenet_v2 --weights FILE.pth]

FOLDER has a folder for each class, with at least two photos; a match is right when it is of the query's class. Printed are

- P@5, P@10 and mAP over the whole ranking, for the plain ways to compare vectors and for the daemon's own;
- near-duplicates: how often the photo itself is first for a copy of it that was edited, among all others and distractors;
- bands (`index/chance.py`): of the edited copies, how many are `loosely` or nearer, for the photo as the query; of the matches of
  the query's own class among its ten best, how many are; and how many of the ten best are `no relation` if the rest of the
  query's class is not in the library;
- several images: for pairs of photos, how many of the ten best are among the nearest tenth for both, by the daemon's score and
  by the mean of the vectors; and for pairs of one class, how many are of that class;
- agreement: how many of the ten best stay when the photos, enlarged to what a camera takes, go the daemon's way (JPEGs decoded
  at a smaller scale, the processor's fastest precision, one-bit codes) instead of the slow exact one (all pixels, float32,
  every vector compared in double precision);
  *related* are those of the ten that are `loosely` or nearer: the others have their place by thousandths;
- recall@10 of the index, where all, a tenth, a hundredth or a thousandth of the library lies in the folder that is asked for.

Distractors are mixed from the vectors of other photos: each dimension from one of two, times noise.
The bars: the default, with either encoder, no worse than the rows above it; recall@1 of
near-duplicates 0.99 among 10,000 distractors; of the bands 0.97, 0.80 and 0.60; recall@10 of the index 0.99 with every filter; the same ten for 97 % of queries.
"""

import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from common import command_line, header
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from pixkind.encoder.space import LITE0, resolve
from pixkind.encoder.worker import models
from pixkind.encoder.worker.budget import Budget
from pixkind.encoder.worker.decode import Square, decode
from pixkind.encoder.worker.header import open_photo
from pixkind.encoder.worker.jobs import BATCH
from pixkind.errors import PhotoError
from pixkind.fs.stamp import Stamp
from pixkind.index.centering import RunningMean
from pixkind.index.chance import NEAREST, bounds_of
from pixkind.index.combining import combined
from pixkind.index.filter import Filter
from pixkind.index.metric import Metric
from pixkind.index.vector_index import VectorIndex
from pixkind.storage.store import Store
from pixkind.storage.write_batch import PhotoFound, WriteBatch

Vectors = NDArray[np.float32]
_Made = TypeVar("_Made")
_LIMIT_MP = 1000
_ORIENTATION = 0x0112  # the EXIF tag
_SHARES = {"a tenth": 10, "a hundredth": 100, "a thousandth": 1000}
_ASKED = 200  # queries of the index


def main() -> None:
    """Measure the photos that the command line names."""
    parser = command_line(__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--model", default=LITE0)
    parser.add_argument("--weights", default="")
    parser.add_argument("--distractors", type=int, default=10_000)
    parser.add_argument("--megapixels", type=float, default=12, help="of the photos for the agreement; 0: leave it out")
    told = parser.parse_args()
    if told.folder is None:
        print("bench_quality: no folder of class folders is named, so nothing is measured")
        return
    header(f"bench_quality: {told.model}")
    encoder = Encoder(told.model, told.weights)
    paths = sorted(path for path in told.folder.glob("*/*") if path.is_file())
    made = _on_all_cores(lambda path: encoder.scaled(path.read_bytes()), paths)
    photos = [path for path, square in zip(paths, made, strict=True) if square is not None]
    classes = [path.parent.name for path in photos]
    labels = np.unique(classes, return_inverse=True)[1]
    known = encoder.vectors([square for square in made if square is not None])
    print(f"{len(photos)} photos of {labels.max() + 1} classes, {len(paths) - len(photos)} could not be read")
    _rankings(known, labels)
    mixes, parents = _mixed(known, max(0, told.distractors - len(known) + 1))
    copies = _duplicates(encoder, photos, known, mixes, parents)
    _bands(told.model, known, labels, copies)
    _several(known, labels)
    if told.megapixels:
        _agreement(encoder, photos, labels, told.megapixels)
    for metric in Metric:
        _index(np.concatenate([known, mixes]), metric)


class Encoder:
    """Photos to vectors: the daemon's way, and the slow exact one."""

    def __init__(self, model: str, weights: str) -> None:
        space = resolve(model, weights, "")
        self.model = space.model
        threads = os.cpu_count() or 1
        self._fast = models.load(space.model, space.weights, threads=threads)
        self._exact = models.load(space.model, space.weights, threads=threads, is_exact=True)
        self._recipe = self._fast.recipe
        print(f"{space.name}, {self._fast.precision}")

    def scaled(self, data: bytes) -> Square | None:
        """Return what the daemon makes of a file; None if that is nothing."""
        descriptor = os.memfd_create("photo")
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        try:
            with open_photo(descriptor) as photo:
                return decode(photo, self._recipe, limit_mp=_LIMIT_MP, budget=Budget())
        except PhotoError:
            return None

    def full(self, data: bytes) -> Square:
        """Return the same square from all pixels of the file."""
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        span = min(image.size) * self._recipe.side / self._recipe.short
        left, top = (image.width - span) / 2, (image.height - span) / 2
        resample = Image.Resampling.BICUBIC if self._recipe.bicubic else Image.Resampling.BILINEAR
        side = (self._recipe.side, self._recipe.side)
        return np.asarray(image.resize(side, resample, box=(left, top, left + span, top + span)))

    def vectors(self, squares: Sequence[Square], *, is_exact: bool = False) -> Vectors:
        """Return (n, dims) float32, as the store keeps them."""
        network = self._exact if is_exact else self._fast
        batches = [network.embed(np.stack(squares[at : at + BATCH])) for at in range(0, len(squares), BATCH)]
        found = np.concatenate(batches)
        return found if is_exact else found.astype("<f2").astype(np.float32)


def _on_all_cores(step: Callable[[Path], _Made], photos: Sequence[Path]) -> list[_Made]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(step, photos))


# Ways to compare: each returns the score of every photo of a library, (queries, photos), higher is nearer.


def _distance(queries: Vectors, library: Vectors) -> Vectors:
    squares = (queries**2).sum(axis=1)[:, None] + (library**2).sum(axis=1) - 2 * queries @ library.T
    return -np.sqrt(np.maximum(squares, 0))


def _cosine(queries: Vectors, library: Vectors) -> Vectors:
    lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(library, axis=1)
    return np.asarray(queries @ library.T / lengths)


def _centred(queries: Vectors, library: Vectors) -> Vectors:
    centre = RunningMean().plus(library).centering()
    return centre.centred(queries) @ centre.centred(library).T


def _roots(queries: Vectors, library: Vectors) -> Vectors:
    return _centred(np.sqrt(np.maximum(queries, 0)), np.sqrt(np.maximum(library, 0)))


def _rankings(known: Vectors, labels: NDArray[np.intp]) -> None:
    """Print how much of a class each way of comparing finds."""
    print(f"\n{'ranking':<44} {'P@5':>6} {'P@10':>6} {'mAP':>6}")
    for name, compare in (
        ("distance (metric = l2)", _distance),
        ("cosine", _cosine),
        ("cosine, centred on the library (the default)", _centred),
        ("cosine of square roots, centred", _roots),
    ):
        scores = compare(known, known)
        rows = [row for row in range(len(known)) if (labels == labels[row]).sum() > 1]
        found = np.array([_precision(scores[row], labels, row) for row in rows])
        print(f"{name:<44} " + " ".join(f"{value:6.3f}" for value in found.mean(axis=0)))


def _precision(scores: Vectors, labels: NDArray[np.intp], query: int) -> tuple[float, float, float]:
    """Return P@5, P@10 and the average precision of one query, which is not among its own matches."""
    order = np.argsort(-scores, kind="stable")
    right = labels[order[order != query]] == labels[query]
    places = np.flatnonzero(right) + 1
    return right[:5].mean(), right[:10].mean(), (np.arange(1, len(places) + 1) / places).mean()


# Near-duplicates.


def _jpeg(image: Image.Image, quality: int = 90, orientation: int = 1) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    exif[_ORIENTATION] = orientation
    image.save(file, "JPEG", quality=quality, exif=exif)
    return file.getvalue()


def _with_logo(image: Image.Image) -> Image.Image:
    side = max(4, min(image.size) // 5)
    image.paste(
        Image.radial_gradient("L").resize((side, side)).convert("RGB"), (image.width - side, image.height - side)
    )
    return image


def _screenshot(image: Image.Image) -> Image.Image:
    """Return the photo on a screen: half as high again, with black above and below."""
    return ImageOps.pad(image, (image.width, image.height * 3 // 2))


_EDITS: dict[str, Callable[[Image.Image], bytes]] = {
    "resized to half": lambda image: _jpeg(image.reduce(2)),
    "JPEG quality 30": lambda image: _jpeg(image, 30),
    "cropped to 80 %": lambda image: _jpeg(ImageOps.crop(image, int(min(image.size) * 0.1))),
    "30 % brighter": lambda image: _jpeg(ImageEnhance.Brightness(image).enhance(1.3)),
    "a logo in a corner": lambda image: _jpeg(_with_logo(image)),
    "cut to 75 %": lambda image: _jpeg(ImageOps.crop(image, int(min(image.size) * 0.12))),
    "a filter": lambda image: _jpeg(ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(1.5)).enhance(1.3)),
    "black and white": lambda image: _jpeg(ImageOps.grayscale(image).convert("RGB")),
    "half the size at quality 70, by a chat app": lambda image: _jpeg(image.reduce(2), 70),
    "a screenshot with borders": lambda image: _jpeg(_screenshot(image)),
    "turned, with a flag": lambda image: _jpeg(image.transpose(Image.Transpose.ROTATE_90), orientation=6),
}


def _duplicates(
    encoder: Encoder, photos: list[Path], known: Vectors, mixes: Vectors, parents: NDArray[np.intp]
) -> dict[str, Vectors]:
    """Print how often the original of an edited copy is first, and return the copies by their kind."""
    print(f"\n{'near-duplicates':<24} {len(known) - 1 + len(mixes)} others   default  by distance")
    library, rows = np.concatenate([known, mixes]), np.arange(len(known))
    own = (parents[None] == rows[:, None, None]).any(axis=1)  # mixes of the photo itself
    made: dict[str, Vectors] = {}
    for name, edit in _EDITS.items():
        squares = _on_all_cores(lambda path, edit=edit: encoder.scaled(edit(_opened(path))), photos)
        copies = made[name] = encoder.vectors([square for square in squares if square is not None])
        first = []
        for compare in (_centred, _distance):
            scores = compare(copies, library)
            scores[:, len(known) :][own] = -np.inf
            first.append((scores.argmax(axis=1) == rows).mean())
        print(f"{name:<40} {first[0]:9.4f} {first[1]:12.4f}")
    return made


# Bands, and several images.


def _bands(model: str, known: Vectors, labels: NDArray[np.intp], copies: dict[str, Vectors]) -> None:
    """Print what the band `no relation` hides."""
    centre = RunningMean().plus(known).centering()
    library, rows = centre.centred(known), np.arange(len(known))
    print(f"\n{'bands':<56} {'share':>6}")
    for name, made in copies.items():
        scores = centre.centred(made) @ library.T
        kept = [scores[row, row] >= _loosely(model, scores[row], library) for row in rows]
        print(f"{f'kept: {name}':<56} {np.mean(kept):6.3f}")
    own: list[bool] = []
    others: list[bool] = []
    for row in rows[np.bincount(labels)[labels] > 1]:
        for is_alone, found in ((False, own), (True, others)):
            among = known[(labels != labels[row]) if is_alone else rows != row]
            centre = RunningMean().plus(among).centering()
            library = centre.centred(among)
            scores = library @ centre.centred(known[row : row + 1])[0]
            best = np.argsort(-scores)[:10]
            same = np.ones(len(best), bool) if is_alone else labels[rows != row][best] == labels[row]
            found.extend((scores[best[same]] >= _loosely(model, scores, library)).tolist())
    print(f"{'kept: matches of the own class among the ten best':<56} {np.mean(own):6.3f}")
    print(f"{'no relation: the ten best if the class has no other':<56} {1 - np.mean(others):6.3f}")


def _loosely(model: str, scores: Vectors, library: Vectors) -> float:
    """Return the bound of the daemon, whose sample is the whole library here."""
    best = np.argsort(-scores)[:NEAREST]
    return bounds_of(scores, library[best] @ library.T, model, len(library)).loosely


def _several(known: Vectors, labels: NDArray[np.intp]) -> None:
    """Print how near to both images the ten best are."""
    centred = RunningMean().plus(known).centering().centred(known)
    every, random = centred @ centred.T, np.random.default_rng(1)
    ranks = np.argsort(np.argsort(-every, axis=1), axis=1)
    print(f"\n{'two images':<44} {'near to both':>13} {'right':>6}")
    pairs = random.integers(0, len(known), (4000, 2))
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    apart, alike = pairs[~same][:400], pairs[same & (pairs[:, 0] != pairs[:, 1])][:400]
    for name, score in (
        ("cosine with the mean of the vectors", lambda pair: centred @ centred[pair].mean(axis=0)),
        ("soft minimum (the daemon)", lambda pair: combined(every[pair].T, np.array([0.5, 0.5]))),
    ):
        near = [(ranks[pair][:, _ten(score(pair), pair)].max(axis=0) < len(known) / 10).mean() for pair in apart]
        right = [(labels[_ten(score(pair), pair)] == labels[pair[0]]).mean() for pair in alike]
        print(f"{name:<44} {np.mean(near):13.3f} {np.mean(right) if right else 0:6.3f}")


def _ten(scores: Vectors, but: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the ten best rows but these."""
    order = np.argsort(-scores, kind="stable")
    return order[~np.isin(order, but)][:10]


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def _mixed(known: Vectors, count: int) -> tuple[Vectors, NDArray[np.intp]]:
    """Return so many vectors between two photos each, and (2, count) which."""
    random = np.random.default_rng(1)
    parents = random.integers(0, len(known), (2, count))
    from_one = random.random((count, known.shape[1])) < random.beta(0.5, 0.5, (count, 1))
    noise = np.exp(0.35 * random.standard_normal((count, known.shape[1])))
    mixes = np.where(from_one, known[parents[0]], known[parents[1]]) * noise
    return mixes.astype(np.float16).astype(np.float32), parents


# Agreement of the fast way with the exact one.


def _agreement(encoder: Encoder, photos: list[Path], labels: NDArray[np.intp], megapixels: float) -> None:
    """Print what of the ten best each shortcut keeps."""
    made = _on_all_cores(lambda path: _both(encoder, _enlarged(_opened(path), megapixels)), photos)
    scaled, full = zip(*made, strict=True)
    exact = encoder.vectors(full, is_exact=True)
    truth = _ten_best(exact)
    right = labels[truth] == labels[:, None]
    library = RunningMean().plus(exact).centering().centred(exact)
    scores = library @ library.T
    bounds = np.array([_loosely(encoder.model, row, library) for row in scores])
    related = np.take_along_axis(scores, truth, axis=1) >= bounds[:, None]
    print(f"\n{f'agreement, {megapixels:g} MP':<44} of ten  same ten  of its class  related  all of these    P@10")
    print(f"{'all pixels, float32, all compared':<44} {'':50} {right.mean():6.3f}")
    fast = encoder.vectors(scaled)
    for name, found in (
        ("JPEGs decoded at a smaller scale", _ten_best(encoder.vectors(scaled, is_exact=True))),
        ("the fastest precision, stored as float16", _ten_best(encoder.vectors(full))),
        ("both", _ten_best(fast)),
        ("both, through one-bit codes", _through_codes(fast)),
    ):
        kept = (truth[:, :, None] == found[:, None]).any(axis=2)
        precision = (labels[found] == labels[:, None]).mean()
        same, all_related = kept.all(axis=1).mean(), (kept | ~related).all(axis=1).mean()
        print(
            f"{name:<44} {kept.mean():6.3f}  {same:8.3f}  {kept[right].mean():12.3f}  {kept[related].mean():7.3f}  "
            f"{all_related:12.3f}  {precision:6.3f}"
        )


def _both(encoder: Encoder, data: bytes) -> tuple[Square, Square]:
    scaled = encoder.scaled(data)
    if scaled is None:
        sys.exit("a JPEG that was just written could not be read")
    return scaled, encoder.full(data)


def _enlarged(image: Image.Image, megapixels: float) -> bytes:
    """Return a JPEG as a camera makes it: so large, with grain."""
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    large = np.asarray(
        image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    )
    grain = np.random.default_rng(0).integers(-10, 10, (large.shape[0], large.shape[1], 1), dtype=np.int16)
    return _jpeg(Image.fromarray(np.clip(large + grain, 0, 255).astype(np.uint8)), 88)


def _ten_best(vectors: Vectors) -> NDArray[np.intp]:
    """Return the (n, 10) nearest others of each by the formula, in double precision."""
    exact = vectors.astype(np.float64)
    offset = exact.mean(axis=0) * len(exact) / (len(exact) + 200)
    centred = exact - offset
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    scores = centred @ centred.T
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :10]


# The index.


def _through_codes(vectors: Vectors) -> NDArray[np.intp]:
    """Return the (n, 10) nearest others of each, as the daemon finds them."""
    with tempfile.TemporaryDirectory(prefix="pk") as folder:
        store, index = _indexed(folder, vectors, Metric.COSINE)
        found = [[one for one in _best(index, row, 11) if one != at][:10] for at, row in enumerate(vectors)]
        index.stop()
        store.close()
    return np.array(found)


def _indexed(folder: str, vectors: Vectors, metric: Metric) -> tuple[Store, VectorIndex]:
    """Return a store with a photo for each vector, in a folder by its number, and its index, with codes."""
    store = Store(folder, "quality", map_gb=16)
    for at in range(0, len(vectors), 5000):
        rows = range(at, min(at + 5000, len(vectors)))
        found = [PhotoFound(f"{_folder(row)}/{row}.jpg", Stamp(1, 2, 3, 4), _content(row)) for row in rows]
        store.commit(
            WriteBatch(photos=[*found], vectors={_content(row): vectors[row].astype("<f2").tobytes() for row in rows})
        )
    index = VectorIndex(store, metric=metric)
    while index.is_making:
        time.sleep(0.05)
    return store, index


def _folder(row: int) -> str:
    return "/p" + "".join(f"/{share}" for share in _SHARES.values() if row % share == 0)


def _content(row: int) -> bytes:
    return (row + 1).to_bytes(16, "big")


def _best(index: VectorIndex, query: Vectors, count: int, under: str = "") -> Iterator[int]:
    ranking = index.rank(query[None], Filter(under))
    return (int.from_bytes(content, "big") - 1 for content, _, _ in islice(ranking, count))


def _index(library: Vectors, metric: Metric) -> None:
    """Print what the index finds of the ten best, of all and beneath folders."""
    print(f"\nrecall@10 of the index, {metric}, {len(library)} vectors")
    asked = library[np.random.default_rng(2).permutation(len(library))[:_ASKED]]
    with tempfile.TemporaryDirectory(prefix="pk") as folder:
        store, index = _indexed(folder, library, metric)
        for name, share in {"all": 1, **_SHARES}.items():
            rows = np.arange(0, len(library), share)
            scores = _distance(asked, library[rows]) if metric is Metric.L2 else _scores(index, asked, library[rows])
            exact = rows[np.argsort(-scores, axis=1, kind="stable")[:, :10]]
            found = [{*_best(index, query, 10, _folder(share))} for query in asked]
            hits = sum(len(these & {*those}) for these, those in zip(found, exact.tolist(), strict=True))
            print(f"{name:<44} {hits / exact.size:6.4f}")
        index.stop()
        store.close()


def _scores(index: VectorIndex, queries: Vectors, photos: Vectors) -> Vectors:
    centre = index.centering()
    return centre.centred(queries) @ centre.centred(photos).T


if __name__ == "__main__":
    main()
