"""`pixkin export`: writes paths, dates and vectors of the whole library to a file."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, Protocol

from pixkin.cli import extras, output
from pixkin.cli.connect import connect
from pixkin.errors import UsageError
from pixkin.tiles import answers

if TYPE_CHECKING:
    import argparse

    from pixkin.client import Client
    from pixkin.protocol.replies import Exported

LINE: Final = "write paths, dates and vectors of the whole library to a file"
TEXT: Final = """\
Write every picture that queries find to FILE, with all files that show it, and with its vector.

  --jsonl    one JSON object on each line: content, width, height, taken_s, by_name, camera, pages, files, more, space,
             vector. by_name: taken_s stands in the name of a file, because no file has a date.
             A file has path, size, mtime_ns, offline, taken_s, camera, pages, damaged, and path_b64 if the path is not
             UTF-8. What is unknown is null. taken_s is in s since the epoch, by the camera's clock as if it were UTC.
             `more` counts files beyond 10,000. Vectors of one space can be compared.
  --npy      the vectors as an array of float16, for numpy.load. FILE.jsonl has the rows without them, in the same order.
  --parquet  the fields of --jsonl as columns; the vectors are float32.

The vectors are those that the model gave, to the bit. FILE appears when it is whole, and only you can read it.
Photos may come and go meanwhile: each picture that is there the whole time is written once.

  pixkin export --jsonl - --no-vectors | jq -r '.files[].path'
  pixkin export --npy photos.npy
  pixkin export --parquet photos.parquet --under ~/Pictures/2024

--parquet needs the extra pixkin[parquet], and says how to install it.
"""
_PAGE: Final = 500  # pictures a request: 1.5 MB


class Form(Protocol):
    """Writes an export in one form."""

    def write(self, page: Exported) -> None:
        """Append a page."""

    def publish(self) -> None:
        """Give the file its name."""

    def close(self) -> None:
        """Close the file, and delete it if it has not got its name."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    forms = parser.add_mutually_exclusive_group(required=True)
    forms.add_argument("--jsonl", metavar="FILE", help="write JSON Lines; - is standard output")
    forms.add_argument("--npy", metavar="FILE", help="write an array for numpy, and FILE.jsonl")
    forms.add_argument("--parquet", metavar="FILE", help="write Parquet")
    parser.add_argument("--under", metavar="FOLDER", help="only photos in FOLDER or below")
    parser.add_argument("--no-vectors", dest="vectors", action="store_false", help="leave the vectors out")
    parser.add_argument("--force", action="store_true", help="replace FILE if it is an earlier export")


def run(options: argparse.Namespace) -> int:
    """Fetch page after page, write each, and return the exit status."""
    if "-" in (options.npy, options.parquet):
        raise UsageError("only --jsonl writes to standard output")
    if options.npy and not options.vectors:
        raise UsageError("--npy writes vectors; without them there is --jsonl")
    with closing(_form(options)) as form, connect(options) as client:
        count, doubts = _written(client, options, form)
        form.publish()
    if options.jsonl != "-":
        file = options.jsonl or options.npy or options.parquet
        output.note(f"wrote {output.many(count, 'picture', 'pictures')} to {output.harmless(file)}")
    if doubts:
        output.note(doubts)
    return 0


def _form(options: argparse.Namespace) -> Form:
    """Return what writes FILE. Raises as `NewFile`, and UsageError if a package is missing."""
    if options.npy:
        from pixkin.cli.exports.npy import NumpyArray

        return NumpyArray(options.npy, force=options.force)
    if options.parquet:
        with extras.needed("--parquet", "parquet"):
            from pixkin.cli.exports.parquet import ParquetRows

        return ParquetRows(options.parquet, force=options.force, vectors=options.vectors)
    from pixkin.cli.exports.jsonl import JsonLines

    return JsonLines(options.jsonl, force=options.force)


def _written(client: Client, options: argparse.Namespace, form: Form) -> tuple[int, str]:
    """Write all pages; return how many pictures they have, and which photos they may miss."""
    progress, pictures, photos, doubt = output.Progress(), 0, 0, None
    try:
        for page in client.export(options.under, vectors=options.vectors, n=_PAGE):
            form.write(page)
            pictures += len(page.pictures)
            photos += sum(len(one.files) + one.more for one in page.pictures)
            progress.show(f"{photos:,} of {page.photos:,} photos")
            doubt = answers.both(doubt, page.doubt)
    finally:
        progress.clear()
    return pictures, output.doubts(doubt) if doubt else ""
