"""The pure parts of benchmarks/memory.py."""

from xml.etree import ElementTree

from benchmarks.memory import Point, picture, slope


def point(gradient: str, batch: int, grown: float) -> Point:
    return Point(gradient, batch, tokens=batch, before=100.0, grown=grown, seconds=1.0)


POINTS = [point("cached", 256, 10.0), point("cached", 4_096, 30.0), point("cached", 1_024, 15.0)]


def test_slope_is_that_of_the_two_largest_batches() -> None:
    """Points taken in the order in which they were measured."""
    assert slope(POINTS) == 15.0 * 1024 / 3_072


def test_picture_is_svg_with_every_point_inside() -> None:
    """A point outside of the frame, or markup that no browser shows."""
    root = ElementTree.fromstring(picture([*POINTS, point("plain", 256, 99.0)]))
    spots = root.findall("{*}circle")
    assert len(spots) == 4
    for spot in spots:
        assert 0 < float(spot.attrib["cx"]) < float(root.attrib["width"])
        assert 0 < float(spot.attrib["cy"]) < float(root.attrib["height"])
