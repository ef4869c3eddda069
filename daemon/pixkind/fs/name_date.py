"""When a photo was taken, as the name of its file says: many programs write a date into the name, and none into the file.

| name | by |
| --- | --- |
| `IMG_20230704_153012.jpg`, `PXL_20230704_153012345.jpg`, `20230704_153012.jpg` | cameras of phones; PXL in UTC, the others by the clock of the phone |
| `IMG-20230704-WA0001.jpg`, `WhatsApp Image 2023-07-04 at 15.30.12.jpeg` | WhatsApp: when it came |
| `photo_2023-07-04_15-30-12.jpg`, `signal-2023-07-04-153012.jpg` | Telegram, Signal |
| `Screenshot_20230704-153012_App.png`, `Screenshot from 2023-07-04 15-30-12.png` | phones, desktops |
| `2023-07-04 15.30.12.jpg` | Dropbox |
| `FB_IMG_1688484612345.jpg`, `mmexport1688484612345.jpg` | Facebook, WeChat: ms since the epoch |
| `1985-07 Grandma.jpg` has no day, and is no date; `1985-07-04 Grandma.jpg` is one | people |
"""

import re
from datetime import UTC, datetime
from typing import Final

_NOON: Final = 12
_TIME: Final = (
    r"(?P<hour>[01]\d|2[0-3]|\d(?=[-_.:]))(?P<tick>[-_.:]?)(?P<minute>[0-5]\d)(?P=tick)(?P<second>[0-5]\d)(?:\d{3})?"
    r"(?:[ \u202f](?P<half>[AaPp])[Mm]\b)?"
)
_DATE: Final = re.compile(
    r"""(?<!\d)(?P<year>1[89]\d\d|20\d\d)
    (?: (?P<gap>[-_.])(?P<month>0[1-9]|1[0-2])(?P=gap)(?P<day>0[1-9]|[12]\d|3[01])(?!\d)
      | (?P<month2>0[1-9]|1[0-2])(?P<day2>0[1-9]|[12]\d|3[01])(?!\d) )
    (?: (?: [-_.T\ ] | \ at\ ) """
    + _TIME
    + r"(?!\d) )?",
    re.VERBOSE,
)
_EPOCH_MS: Final = re.compile(r"(?:FB_IMG_|mmexport)(1\d{12})(?!\d)")
# What programs write before eight digits that are a date.
_WORD: Final = re.compile(
    r"(?:^|[^A-Za-z])(?:IMG|PXL|VID|MVIMG|PANO|BURST|DSC|DCIM|PHOTO|Screenshot|Screen|image|photo|Foto)[-_ ]?$",
    re.IGNORECASE,
)


def date_in_name(name: str) -> int:
    """Return when a photo was taken as the name of its file says, in s since the epoch, as if its clock were UTC; 0: it says nothing.

    A day alone stands for its midnight, as in metadata. Eight digits are a date only beside a time, behind a word such as IMG, or if
    nothing else is in the name: a counter may look like a date, too.
    """
    if found := _EPOCH_MS.search(name):
        return int(found[1]) // 1000
    for found in _DATE.finditer(name):
        if found["gap"] is None and not (found["hour"] or _is_named(name, found)):
            continue
        day = (int(found["year"]), int(found["month"] or found["month2"]), int(found["day"] or found["day2"]))
        hour, minute, second = (int(found[one] or 0) for one in ("hour", "minute", "second"))
        if found["half"] and 1 <= hour <= _NOON:
            hour = hour % _NOON + _NOON * (found["half"] in "Pp")
        try:
            return int(datetime(*day, hour, minute, second, tzinfo=UTC).timestamp())
        except ValueError:  # the 31st of a month that has 30 days
            continue
    return 0


def _is_named(name: str, found: re.Match[str]) -> bool:
    before, behind = name[: found.start()], name[found.end() :]
    return bool(_WORD.search(before)) or (not before and behind.partition(".")[0] in {"", "-", "_"})
