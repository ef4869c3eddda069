"""A question about images, as the command line has it: its options, and the request that they make. For `like` and `why`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from pixkin.cli import arguments
from pixkin.errors import InputUnreadable, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from pixkin.client import Client
    from pixkin.protocol.replies import Matches
    from pixkin.protocol.requests import Region
    from pixkin.query_images import Source

    Images = Sequence[tuple[float, Source]]

# Of keys of the request that have another name on the command line.
_OPTIONS: Final = {"min_band": "--min-score", "related": "--min-score", "itself": "--self"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add all options of a question but its images and its time limit."""
    add = parser.add_argument
    text = "rank photos that look like this image lower; may be repeated"
    add("--minus", action="append", default=[], type=arguments.weighted, metavar="IMAGE", help=text)
    text = "use only this part of the image, as it is shown: in pixels, or in percent as in 10%%,10%%,50%%,50%%"
    add("--region", type=arguments.region, metavar="X,Y,WIDTH,HEIGHT", help=text)
    add(
        "--rotate",
        action="store_true",
        help="also match the image turned or mirrored: the best of its eight orientations counts",
    )
    add(
        "-n",
        "--limit",
        type=arguments.limit,
        default=10,
        metavar="N",
        help="at most N matches, 1 to 1000 (default: 10)",
    )
    text = "only matches that score at least S, -1 to 1 or in percent, or are at least in the band S, such as same-shot or alike"
    least = parser.add_mutually_exclusive_group()
    least.add_argument("--min-score", type=arguments.score, metavar="S", help=f"{text}; auto: as --related")
    text = "only matches that are not in the band `no relation`"
    least.add_argument("--related", dest="min_score", action="store_const", const="auto", help=text)
    add("--max-distance", type=arguments.distance, metavar="D", help="only matches at a distance of at most D")
    text = "only photos in FOLDER or below; may be repeated: then in one of them"
    add("--under", action="append", default=[], metavar="FOLDER", help=text)
    text = "only photos outside of FOLDER; may be repeated"
    add("--not-under", action="append", default=[], metavar="FOLDER", help=text)
    text = "only photos whose camera make and model contain TEXT, in upper or lower case"
    add("--camera", type=arguments.camera, metavar="TEXT", help=text)
    add(
        "--taken",
        type=arguments.period,
        metavar="DATE",
        help="only photos taken then: 2019, 2019-06, 2019-06-30, 'july 2019', 'summer 2019', yesterday, 'last week'",
    )
    add(
        "--since",
        type=arguments.period,
        metavar="DATE",
        help="only photos taken then or later",
    )
    add(
        "--until",
        type=arguments.period,
        metavar="DATE",
        help="only photos taken then or earlier",
    )
    add("--online", action="store_true", help="only photos whose drive is connected")
    add("--self", dest="itself", action="store_true", help="also print the query photo itself")
    add(
        "--no-fold",
        dest="fold",
        action="store_false",
        help="print copies, other versions of one shot, and the shots of a burst as separate matches",
    )


def images_of(options: argparse.Namespace, wanted: Sequence[tuple[float, str]]) -> tuple[Images, Images]:
    """Return the wanted images of a question, and the others. Standard input is read.

    Raises:
        UsageError: the options need a single image.
        InputUnreadable: an image is not there.
    """
    if sum(path == "-" for _, path in (*wanted, *options.minus)) > 1:
        raise UsageError("only one image can come from standard input (-)")
    if options.region and len(wanted) > 1:
        raise UsageError("--region works with one image only")
    if options.rotate and len(wanted) + len(options.minus) > 1:
        raise UsageError("--rotate works with one image only")
    return [*map(source, wanted)], [*map(source, options.minus)]


def ask(
    client: Client,
    options: argparse.Namespace,
    images: Images,
    minus: Images,
    *,
    pictures: bool = False,
    about: str | None = None,
) -> Matches:
    """Ask the daemon, and return its reply. `pictures`, `about`: as `Client.like` has them."""
    return client.like(
        *images,
        minus=minus,
        region=_region(options.region),
        rotate=options.rotate,
        n=options.limit,
        min_score=options.min_score,
        max_distance=options.max_distance,
        under=options.under,
        not_under=options.not_under,
        camera=options.camera or "",
        taken_since_s=max((one[0] for one in (options.since, options.taken) if one), default=None),
        taken_before_s=min((one[1] for one in (options.until, options.taken) if one), default=None),
        online=options.online,
        itself=options.itself,
        fold=options.fold,
        pictures=pictures,
        about=about,
    )


def named(keys: Iterable[str], options: argparse.Namespace) -> list[str]:
    """Return the options that stand for keys of the request, such as `--under`; the three of dates only if they are given."""
    dates = [f"--{name}" for name in ("taken", "since", "until") if getattr(options, name)]
    found: list[str] = []
    for key in keys:
        found += dates if key.startswith("taken") else [_OPTIONS.get(key, f"--{key.replace('_', '-')}")]
    return [*dict.fromkeys(found)]


def source(image: tuple[float, str]) -> tuple[float, Source]:
    """Return an image with its weight: its path, or the bytes of standard input. Raises as `images_of`."""
    weight, path = image
    if path == "-":
        return weight, _standard_input()
    if weight == 1:  # most likely, the user wrote no weight
        return image
    # In this order: the path may lie on a share that hangs. Only the daemon can look there without hanging.
    if os.path.lexists(whole := f"{weight:g}:{path}") and not os.path.lexists(path):
        raise InputUnreadable(f"{path}: no such file", f"for the file called {whole} write ./{whole}")
    return image


def _region(numbers: tuple[float, float, float, float, bool] | None) -> Region | None:
    from pixkin.protocol.requests import Region

    return None if numbers is None else Region(*numbers)


def _standard_input() -> bytes:
    from pixkin.protocol.requests import MAX_IMAGES

    try:
        with open(0, "rb", closefd=False) as file:
            data = file.read(MAX_IMAGES + 1)  # one byte more than allowed: enough to refuse an endless stream
    except OSError as error:
        raise InputUnreadable("standard input cannot be read") from error
    if not data:
        raise InputUnreadable("standard input is empty", "pipe an image into it: `pixkin like - < a.jpg`")
    return data
