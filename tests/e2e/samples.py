"""The home of the documents: sample photos in ~/Pictures."""

from pathlib import Path

from PIL import Image
from tests.e2e.conftest import Home


def sample_pictures(home: Home, photos: list[Path]) -> None:
    """Make the folder ~/Pictures of README: sample photos, one of them a cat, a crop and two edited copies; and the face."""
    home.photos = home.photos.rename(home.folder / "Pictures")
    taken = Image.Exif()
    taken[306] = "2024:05:01 12:00:00"  # DateTime
    (home.photos / "cats").mkdir()
    for photo in photos:
        if photo.stem == "chelsea":
            Image.open(photo).save(home.photos / "cats/chelsea.jpg", exif=taken)
        else:
            home.copy(photo)
    for name, box, size, made in (
        ("coffee.png", (0, 0, 600, 400), (300, 200), "Pictures/coffee small.jpg"),
        ("coins.png", (0, 0, 384, 303), (150, 120), "Pictures/coins small.jpg"),
        ("retina.jpg", (400, 400, 1000, 1000), (600, 600), "Pictures/retina crop.jpg"),
        ("astronaut.png", (120, 0, 320, 200), (200, 200), "face.jpg"),
    ):
        with Image.open(home.photos / name) as whole:
            whole.crop(box).resize(size).save(home.folder / made)
    web = home.folder / "tools/curl"
    web.parent.mkdir(exist_ok=True)
    web.write_text(f"#!/bin/sh\nexec cat '{home.photos}/cats/chelsea.jpg'\n")
    web.chmod(0o755)
