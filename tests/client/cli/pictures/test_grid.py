"""The grid of `--show`, on a small terminal that knows what a grid uses."""

import base64
import io
import itertools
import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from pixkin.cli import output
from pixkin.cli.pictures import drawing, grid
from pixkin.cli.pictures.decoding import decoded
from pixkin.cli.pictures.terminal import How, PictureScreen
from pixkin.tiles.tile import Tile

WIDE = "/p/中文名字中文名字中文名字中文名字😀.jpg".encode()
_ESCAPES = re.compile(
    r"\x1b\[(?P<n>[\d;]*)(?P<kind>[GABm])|\x1b(?P<keep>[78])|\x1b\]8;;(?P<link>[^\x1b]*)\x1b\\"
    r"|\x1b_G(?P<kitty>[^\x1b]*)\x1b\\|\x1b\]1337;File=(?P<iterm2>[^\a]*)\a|\x1bP(?P<sixel>[^\x1b]*)\x1b\\|(?P<text>[^\x1b])"
)


class Screen:
    """A terminal of endless height: which character stands where, and which pictures begin where."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.cells: dict[tuple[int, int], str] = {}
        self.styles: dict[tuple[int, int], str] = {}
        self.links: list[str] = []
        self.pictures: list[tuple[int, int, str]] = []
        self._row = self._column = 0
        self._kept = (0, 0)
        self._style = ""

    def feed(self, data: bytes) -> "Screen":
        """Do what a program writes."""
        at = 0
        text = data.decode()
        while at < len(text):
            match = _ESCAPES.match(text, at)
            assert match, repr(text[at : at + 40])
            at = match.end()
            self._do(match)
        return self

    def _do(self, match: "re.Match[str]") -> None:
        count = int(match["n"]) if match["kind"] in {"G", "A", "B"} else 0
        match match["kind"], match["keep"], match["text"]:
            case "G", _, _:
                self._column = count - 1
            case "A", _, _:
                self._row -= count
            case "B", _, _:
                self._row += count
            case "m", _, _:
                self._style = match["n"]
            case _, "7", _:
                self._kept = self._row, self._column
            case _, "8", _:
                self._row, self._column = self._kept
            case _, _, "\n":
                self._row, self._column = self._row + 1, 0
            case _, _, "\r":
                self._column = 0
            case _, _, str(letter):
                self._put(letter)
            case _:
                self._other(match)

    def _put(self, letter: str) -> None:
        assert letter.isprintable()
        assert (self._row, self._column) not in self.cells, "two characters in one place"
        self.cells[self._row, self._column] = letter
        self.styles[self._row, self._column] = self._style
        self._column += grid.cells(letter)
        assert self._column <= self.columns, "beyond the edge"

    def _other(self, match: "re.Match[str]") -> None:
        self.links += [match["link"]] if match["link"] else []
        picture = match["kitty"] or match["iterm2"] or match["sixel"]
        if picture:
            self.pictures.append((self._row, self._column, picture))

    def lines(self) -> list[str]:
        """Return what stands on each line, without what is behind the last character."""
        last = max(row for row, _ in self.cells)
        return [
            "".join(self.cells.get((row, column), " ") for column in range(self.columns)).rstrip()
            for row in range(last + 1)
        ]


def noise() -> bytes:
    """Return a JPEG that is hard to compress, three times as wide as two high."""
    file = io.BytesIO()
    Image.effect_noise((384, 256), 200).convert("RGB").save(file, "JPEG")
    return file.getvalue()


def shown(tiles: list[Tile], how: How = How.RGB, columns: int = 80, *, colour: bool = True) -> Screen:
    """Return the screen with a grid."""
    text = output.Screen(tty=True, colour=colour, links=True)
    return Screen(columns).feed(b"".join(grid.rows(tiles, PictureScreen(how, columns), text)))


def test_pictures_stand_side_by_side_above_their_captions(jpeg: Callable[..., bytes]) -> None:
    """In 80 columns there are three boxes. A portrait is narrower; a line of remarks is there if one has a remark."""
    tiles = [
        Tile("query", b"/p/a.jpg", output.YELLOW, jpeg=jpeg()),
        Tile("0.900  same shot", b"/p/b.jpg", output.GREEN, "+2 copies", jpeg=jpeg("blue", (200, 400))),
        Tile("0.1", WIDE, output.DIM, missing="its drive is not connected"),
        Tile("0.05", b"/p/" + b"long" * 20 + b"_1234.jpg", output.DIM, jpeg=jpeg()),
    ]
    screen = shown(tiles)
    lines = screen.lines()

    heads = [line for line in lines if line.startswith(("query", "0.05"))]
    assert heads == ["query                      0.900  same shot           0.1", "0.05"]
    at = lines.index(heads[0])
    assert lines[at + 1].startswith("a.jpg                      b.jpg                      中")
    assert lines[at + 1].endswith("中 文 名 字 中 文 …文 名 字 😀 .jpg")
    assert lines[at + 2].strip() == "+2 copies"
    assert lines[at + 3] == ""
    assert lines[-1].endswith("…ong_1234.jpg")
    assert [word for word in ("drive is not", "connected") if word not in "".join(lines)] == []
    assert screen.links[0].startswith("file://")
    coloured = [(column, style) for (row, column), style in screen.styles.items() if row == at - 1 and "48;2" in style]
    assert coloured[:25] == [(column, "48;2;254;0;0") for column in range(25)]
    assert [column for column, _ in coloured[25:]] == list(range(27, 36))


def test_without_colours_a_missing_picture_is_words_alone() -> None:
    """As NO_COLOR wants, on a terminal with graphics."""
    screen = shown([Tile("0.1", b"/p/a.jpg", output.DIM, missing="offline")], How.KITTY, colour=False)

    assert set(screen.styles.values()) == {""}
    assert " offline" in screen.lines()


def test_a_broken_picture_is_a_missing_one() -> None:
    """It ends nothing."""
    assert "decoded" in " ".join(shown([Tile("0.1", b"/p/a.jpg", jpeg=b"\xff\xd8\xff")]).lines())


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("columns", [12, 40, 79, 200])
def test_every_grid_fits_its_terminal(jpeg: Callable[..., bytes], how: How, columns: int) -> None:
    """Nothing is wider than the terminal, and nothing stands on something else; pictures begin within their box."""
    shapes = [(384, 256), (40, 400), (400, 40), (3, 1), (1, 1), (255, 253)]
    tiles = [Tile("0.123  no relation", WIDE, jpeg=jpeg(size=size)) for size in shapes]
    screen = shown(tiles, how, columns)

    drawn = [place for place in screen.pictures if "m=1;" not in place[2] or "a=T" in place[2]]
    assert len(drawn) == (0 if how in (How.RGB, How.PALETTE) else len(tiles))
    assert all((row, column) not in screen.cells for row, column, _ in screen.pictures)


def test_kitty_gets_png_in_pieces() -> None:
    """Each piece has at most 4,096 bytes; together they are the picture; the terminal is told not to answer."""
    parts = [keys.split(";") for _, _, keys in shown([Tile("", b"", jpeg=noise())], How.KITTY).pictures]
    image = Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in parts))), formats=["PNG"])

    assert len(parts) > 2
    assert [keys for keys, _ in parts] == ["a=T,f=100,q=2,m=1", *["m=1"] * (len(parts) - 2), "m=0"]
    assert all(len(data) <= 4096 for _, data in parts)
    assert image.size == (250, 180)


def test_iterm2_gets_png() -> None:
    """Its free lines above the picture are transparent, so that each picture stands on its caption."""
    ((_, _, said),) = shown([Tile("", b"", jpeg=noise())], How.ITERM2).pictures
    keys, _, data = said.partition(":")
    png = base64.b64decode(data)
    image = Image.open(io.BytesIO(png), formats=["PNG"])

    assert keys == f"inline=1;size={len(png)};width=250px;height=180px"
    assert image.size == (250, 180)
    assert image.getchannel("A").getbbox() == (0, 13, 250, 180)


def drawn(sixels: str) -> Image.Image:
    """Return the picture that a terminal makes of sixels; what is not drawn is white."""
    head = re.match(r'0;1q"1;1;(\d+);(\d+)', sixels)
    assert head
    image = Image.new("RGB", (int(head[1]), int(head[2])), "white")
    palette: dict[str, tuple[int, ...]] = {}
    x = y = 0
    ink: tuple[int, ...] = ()
    for match in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~$-])", sixels[head.end() :]):
        if match[2]:
            assert (x, y) == (0, 0), "xterm shows other colours if they are defined between the pixels"
            palette[match[1]] = tuple(round(int(percent) * 2.55) for percent in match.group(2, 3, 4))
        elif match[1]:
            ink = palette[match[1]]
        elif match[7] == "$":
            x = 0
        elif match[7] == "-":
            x, y = 0, y + 6
        else:
            count, bits = int(match[5] or 1), ord(match[6] or match[7]) - 63
            for place in itertools.product(range(x, x + count), range(y, y + 6)):
                if bits >> place[1] - y & 1:
                    image.putpixel(place, ink)
            x += count
    return image


def test_sixels_are_the_picture() -> None:
    """In 255 colours, which are all defined first, and below free lines."""
    jpeg = noise()
    ((_, _, said),) = shown([Tile("", b"", jpeg=jpeg)], How.SIXEL).pictures
    image = drawn(said)
    picture = decoded(jpeg, 250, 180)
    worst = ImageStat.Stat(ImageChops.difference(image.crop((0, 13, 250, 180)), picture)).mean

    assert image.size == (250, 180)
    assert max(worst) < 8
    assert image.crop((0, 0, 250, 13)).getcolors() == [(250 * 13, (255, 255, 255))]


def _colours() -> Iterator[tuple[int, tuple[int, int, int]]]:
    """Yield the colours 16 to 255 of xterm."""
    levels = (0, 95, 135, 175, 215, 255)
    yield from enumerate(itertools.product(levels, levels, levels), 16)
    yield from ((232 + step, (8 + 10 * step,) * 3) for step in range(24))


@pytest.mark.parametrize("block", " ▘▝▀▖▌▞▛")
def test_a_character_shows_four_pixels_in_two_colours(block: str) -> None:
    """Those of the block, and the others; a little noise changes neither."""
    of_block = "▘▝▀▖▌▞▛".find(block) + 1
    four = [
        b"\xfe\x00\x02" if of_block >> place & 1 else bytes([0, place if of_block else 0, 200]) for place in range(4)
    ]
    shown, ink, paper = drawing._split(four)

    assert shown == block
    assert ink == (b"\xfe\x00\x02" if of_block else b"")
    assert (paper[0], paper[2]) == (0, 200)


@given(st.binary(min_size=3, max_size=3))
def test_the_nearest_of_256_colours_is_taken(pixel: bytes) -> None:
    """No other one is nearer."""
    _, _, number = drawing._palette(pixel).rpartition(";")
    far = {one: sum((a - b) ** 2 for a, b in zip(shade, pixel, strict=True)) for one, shade in _colours()}

    assert far[int(number)] == min(far.values())


@given(st.text(), st.integers(1, 40))
def test_a_shortened_text_fits(text: str, width: int) -> None:
    """It keeps its begin and its end, or is as it was."""
    short = grid.shortened(text, width)

    assert grid.cells(short) <= width
    assert short == text or "…" in short
