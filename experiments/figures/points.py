"""What a point of a figure shows, on hover: titles and links in its SVG. PDF and PNG files keep the same bytes.

`name` leaves the titles in the `gid` of an artist, which only SVG files hold; `with_titles` turns them into elements. Points
that Matplotlib does not draw (NaN, infinite) would shift the titles, so an artist with another number of points gets none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from matplotlib.artist import Artist

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
ROWS_WITH = "#rows="
"""The link to the rows that hold a text, in the report of a sweep."""

_MARK = "points:"


def name(artist: Artist, titles: Sequence[str], searches: Sequence[str] = ()) -> None:
    """Gives the points of a line their titles.

    Args:
        artist: a line with markers.
        titles: for each point, in the order in which they are drawn.
        searches: for each point, the text that its rows hold, such as a scheme; empty for none.
    """
    artist.set_gid(_MARK + json.dumps([list(titles), list(searches or [""] * len(titles))]))


def with_titles(path: Path) -> None:
    """Rewrites an SVG file: what `name` left in it becomes titles and links.

    Raises:
        OSError: if the file cannot be read or written.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    tree = ElementTree.parse(path)
    for group in tree.iter(f"{{{SVG}}}g"):
        if group.get("id", "").startswith(_MARK):
            titles, searches = json.loads(group.attrib.pop("id").removeprefix(_MARK))
            places = list(_points(group))
            if len(places) == len(titles):
                for (parent, point), title, search in zip(places, titles, searches):
                    parent[list(parent).index(point)] = _titled(point, title, search)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _points(group: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, ElementTree.Element]]:
    """The markers of a line, each with the element that holds it."""
    for parent in list(group.iter()):
        yield from ((parent, child) for child in list(parent) if child.tag == f"{{{SVG}}}use")


def _titled(point: ElementTree.Element, title: str, search: str) -> ElementTree.Element:
    """A point in a link, or in a group, with its title."""
    holder = ElementTree.Element(f"{{{SVG}}}a", {"href": ROWS_WITH + search} if search else {})
    holder = holder if search else ElementTree.Element(f"{{{SVG}}}g")
    ElementTree.SubElement(holder, f"{{{SVG}}}title").text = title
    holder.append(point)
    return holder
