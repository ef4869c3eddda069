"""`pixkin like`: the photos most like an image."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Final

from pixkin import render, values
from pixkin.connect import connect
from pixkin.errors import InputUnreadable, UsageError

if TYPE_CHECKING:
    from pixkin.source import Source
    from pixkin.wire import Matches, Region

LINE: Final = "print the photos most like an image"
TEXT: Final = """\
Print the photos most like IMAGE, best first: score, distance, path.
The score is the cosine of the two pictures' features after the library's mean was taken off, from -1 to 1;
the distance is the Euclidean one of the same features, and 0 for the same picture.
A match that scores no more than the best of so many unrelated photos would is marked `by chance`.
Several images are combined into one question. A weight may stand before each, as in 0.5:a.jpg;
a file that is really called so is ./0.5:a.jpg.

  pixkin like beach.jpg
  pixkin like beach.jpg 0.5:sea.jpg --minus crowd.jpg -n 20 --min-score 0.6
  pixkin like --region 10%,10%,50%,50% --taken 2019-06 --camera pixel beach.jpg
  pixkin like --under ~/Pictures/2024 -0 beach.jpg | xargs -0r cp -t album/
  curl -s https://example.org/a.jpg | pixkin like -
"""
_NONE: Final = 1  # the exit status when there are no matches
_UNKNOWN: Final = "too few photos to tell what is better than chance, or not all are read yet: nothing was left out"


def add(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    add = parser.add_argument
    text = "an image file, indexed or not; - is standard input; at most eight"
    add("images", nargs="+", type=values.weighted, metavar="IMAGE", help=text)
    text = "what is like this image is not wanted; may be repeated"
    add("--minus", action="append", default=[], type=values.weighted, metavar="IMAGE", help=text)
    text = "only this part of the image, as it is shown: pixels, or percent as in 10%%,10%%,50%%,50%%"
    add("--region", type=values.region, metavar="X,Y,WIDTH,HEIGHT", help=text)
    add(
        "--rotate",
        action="store_true",
        help="also what is like the image turned or mirrored: the best of eight ways counts",
    )
    add("-n", "--limit", type=values.limit, default=10, metavar="N", help="at most N matches, 1 to 1000 (default: 10)")
    text = "only matches that score at least S, -1 to 1; auto: more than the best of so many unrelated photos would"
    add("--min-score", type=values.score, metavar="S", help=text)
    add("--max-distance", type=values.distance, metavar="D", help="only matches at a distance of at most D")
    add("--under", metavar="FOLDER", help="only photos beneath FOLDER")
    text = "only photos that are not beneath FOLDER; may be repeated"
    add("--not-under", action="append", default=[], metavar="FOLDER", help=text)
    text = "only photos whose camera's make and model contain TEXT, in any case"
    add("--camera", type=values.camera, metavar="TEXT", help=text)
    add(
        "--taken",
        type=values.period,
        metavar="DATE",
        help="only photos taken in that year, in that month or on that day",
    )
    add("--since", type=values.period, metavar="DATE", help="only photos taken in 2019, 2019-06, 2019-06-30 or later")
    add("--until", type=values.period, metavar="DATE", help="only photos taken then or earlier")
    add("--online", action="store_true", help="only photos whose drive is there now")
    add("--self", dest="itself", action="store_true", help="also the photo itself")
    add(
        "--no-fold",
        dest="fold",
        action="store_false",
        help="print copies and other versions of one shot as matches of their own",
    )
    add("--timeout", type=values.seconds, default=30.0, metavar="S", help="give up after S seconds (default: 30)")
    forms = parser.add_mutually_exclusive_group()
    for flags, form, text in (
        (("--json",), "json", "print a JSON object a line: path, score, distance, offline, copies, versions, related"),
        (("--paths",), "paths", "print the paths alone, one a line"),
        (("-0", "--null"), "null", "print the paths alone, each followed by a zero byte, for xargs -0"),
    ):
        forms.add_argument(*flags, dest="form", action="store_const", const=form, help=text)


def run(options: argparse.Namespace) -> int:
    """Ask, print, and return the exit status."""
    if sum(path == "-" for _, path in (*options.images, *options.minus)) > 1:
        raise UsageError("standard input (-) can be only one of the images")
    if options.region and len(options.images) > 1:
        raise UsageError("--region is a part of one image, not of several")
    if options.rotate and len(options.images) + len(options.minus) > 1:
        raise UsageError("--rotate is about one image: several could each stand in its own way")
    with connect(options, options.timeout) as client:
        reply = client.like(
            *map(_source, options.images),
            minus=[*map(_source, options.minus)],
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
        )
    render.emit(_written(reply, options.form))
    if remark := _remark(reply, is_cut=options.min_score == "auto"):
        render.note(remark)
    if doubts := render.doubts(reply.doubt):
        render.note(doubts)
    return 0 if reply.matches else _NONE


def _written(reply: "Matches", form: str | None) -> bytes:
    screen = render.Screen.of(sys.stdout)
    match form:
        case "json":
            return render.matches_as_json(reply)
        case "null":
            return render.matches_as_paths(reply, b"\0", render.Screen())
        case "paths":
            return render.matches_as_paths(reply, b"\n", screen)
        case _:
            return render.matches_as_table(reply, screen)


def _source(image: tuple[float, str]) -> "tuple[float, Source]":
    weight, path = image
    if path == "-":
        return weight, _standard_input()
    if weight == 1:  # none was written, most likely
        return image
    # In this order: a path may lie on a share that hangs, and only the daemon can ask about it without hanging, too.
    if os.path.lexists(whole := f"{weight:g}:{path}") and not os.path.lexists(path):
        raise InputUnreadable(f"{path}: no such file", f"the file called {whole} is ./{whole}")
    return image


def _region(numbers: tuple[float, float, float, float, bool] | None) -> "Region | None":
    from pixkin.wire import Region

    return None if numbers is None else Region(*numbers)


def _remark(reply: "Matches", *, is_cut: bool) -> str:
    """Return in one line what is to be said of matches none of which is better than chance; empty: nothing.

    Args:
        reply: the matches.
        is_cut: only those that are better were asked for.
    """
    if reply.chance is None:
        return _UNKNOWN if is_cut else ""
    if any(render.is_related(match, reply.chance) for match in reply.matches) or not (reply.matches or is_cut):
        return ""
    return f"nothing scores better than chance, which here is {reply.chance:.3f}"


def _standard_input() -> bytes:
    from pixkin.wire import MAX_IMAGES

    try:
        with open(0, "rb", closefd=False) as file:
            data = file.read(MAX_IMAGES + 1)  # one more than may be sent tells that an endless stream is too much
    except OSError as error:
        raise InputUnreadable("standard input cannot be read") from error
    if not data:
        raise InputUnreadable("standard input is empty", "pipe an image into it: `pixkin like - < a.jpg`")
    return data
