"""Addresses: which published URL stands for which files, as data and the rules to read it.

Belongs here: the forms in which one document is addressed, and the table of folders
(addresses.toml). Does not belong here: looking at any file (library).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

_RAW = re.compile(
    r"https?://raw\.githubusercontent\.com/(?P<repository>[^/]+/[^/]+)/"
    r"(?:refs/heads/|refs/tags/|tags/|heads/)?(?P<ref>[^/]+)/(?P<path>.+)",
    re.ASCII,
)
_WEB = re.compile(r"https?://(?P<host>[^/?#]+)/(?P<path>[^?#]*)", re.ASCII)
_VERSION = re.compile(r"(?<=/)v?(\d+(?:\.\d+)*)(?=/|$)", re.ASCII)
MOST_CHARACTERS = 2_000
"""No published address is longer; of a longer one no part is looked at."""

MIN_PARTS = 3
"""A plain checkout is recognised by at least so many parts: Name, version, file."""


@dataclass(frozen=True)
class Address:
    """Where a URL's document may lie.

    homes     folders that are known to hold it, each with the paths to try in it
    paths     its path in a checkout, to be recognised by its end
    """

    homes: tuple[tuple[str, tuple[str, ...]], ...]
    paths: tuple[str, ...]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(files(__package__ or __name__).joinpath("addresses.toml").read_text())


def default_folders(dialect: str) -> list[str]:
    """Give the folders whose API document speaks for a dialect, the first that is there."""
    return _table()["defaults"].get(dialect, [])


@lru_cache(4096)  # messages name addresses, and may name any number
def read_address(url: str, missing: tuple[str, ...] = ()) -> Address | None:
    """Read a URL without fragment; None for what is no http address.

    missing names the files to try where the URL names none.
    """
    if len(url) > MOST_CHARACTERS:
        return None
    raw = _RAW.fullmatch(url)
    if raw:
        return _repository(raw["repository"], raw["ref"], raw["path"])
    web = _WEB.fullmatch(url)
    return _site(web["host"], web["path"].strip("/"), missing) if web else None


def _repository(repository: str, ref: str, path: str) -> Address:
    table = _table()
    repository = table["same_repository"].get(repository, repository)
    homes: list[tuple[str, tuple[str, ...]]] = []
    for place in table["place"]:
        if place["repository"] != repository or ref not in place["refs"]:
            continue
        for prefix, folders in place["folders"].items():
            if path.startswith(prefix):
                homes += [(folder, _versions(path.removeprefix(prefix))) for folder in folders]
    return Address(tuple(homes), (path,))


def _site(host: str, path: str, missing: tuple[str, ...]) -> Address:
    has_file = path.endswith((".yaml", ".yml", ".json", ".jsonld"))
    names = (path,) if has_file else tuple(f"{path}/{name}" for name in missing) or (path,)
    homes: list[tuple[str, tuple[str, ...]]] = []
    for site in _table()["site"]:
        if host in site["hosts"] and path.startswith(site["path"]):
            rests = tuple(
                variant for name in names for variant in _versions(name.removeprefix(site["path"]))
            )
            homes += [(folder, rests) for folder in site["folders"]]
    return Address(tuple(homes), tuple(v for name in names for v in _versions(name)))


def _versions(path: str) -> tuple[str, ...]:
    """Give a path as it is, and with its version written v2.0 for 2.0 or the other way round."""
    other = _VERSION.sub(
        lambda found: found[1] if found[0].startswith("v") else f"v{found[1]}", f"/{path}"
    )[1:]
    return (path,) if other == path else (path, other)
