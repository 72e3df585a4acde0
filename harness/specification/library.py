"""The library: the documents of a specification on disk, and how references find them.

Belongs here: which files there are, reading one when it is needed, from URL or relative
path to file. Does not belong here: the table of addresses (addresses), what a document
says (validation, faults), the network: nothing is ever fetched.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any, Literal, cast
from urllib.parse import unquote

from gridwitness.errors import UserError
from gridwitness.specification.addresses import MIN_PARTS, default_folders, read_address
from gridwitness.specification.reading import (
    Unreadable,
    read_bytes,
    read_document,
    read_head,
)

MOST_FILES = 50_000
MOST_REFERENCES = 50_000
ENDINGS = (".yaml", ".yml", ".json", ".jsonld")
SCHEMA_FILES = ("attributes.yaml", "schema.json")
How = Literal["here", "published", "alike", "several", "nowhere"]


@dataclass(frozen=True)
class Found:
    """What a reference led to.

    file    the document, by its path below the folder; None: nothing, or not one thing
    how     here: the document itself or a relative path; published: by the table of
            addresses; alike: by the end of the path; several, nowhere: not found
    """

    file: str | None
    how: How
    several: tuple[str, ...] = ()


class Library:
    """The files below a path, or one file. Documents are read when they are needed.

    read and broken tell what was read so far, and what could not be; unresolved maps a
    reference that led nowhere to the reason.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read: set[str] = set()
        self.broken: dict[str, str] = {}
        self.unresolved: dict[str, str] = {}
        self._documents: dict[str, Any] = {}
        self._resolved: dict[tuple[str, str, tuple[str, ...]], Found] = {}
        self.root = path if path.is_dir() else path.parent
        self.files = tuple(sorted(_files(path)))
        if not self.files:
            raise UserError(
                "holds no specification",
                where=str(path),
                mend="name an OpenAPI file, or a folder with OpenAPI files or attribute packs",
            )

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of every file's name and content; of what cannot be read, its name."""
        whole = hashlib.sha256()
        for file in self.files:
            whole.update(os.fsencode(file) + b"\0")
            content = _bytes(self.root / file)
            whole.update(b"" if content is None else hashlib.sha256(content).digest())
        return whole.hexdigest()

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.files)

    @cached_property
    def _ends(self) -> dict[str, list[str]]:
        """Files by every end of their path, the last parts of the root's own path included."""
        above = self.root.resolve().parts[-2:]
        ends: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            parts = (*above, *PurePosixPath(file).parts)
            for start in range(len(parts)):
                ends["/".join(parts[start:])].append(file)
        return ends

    @cached_property
    def _folders(self) -> frozenset[str]:
        """Every end of every folder's path."""
        return frozenset(
            "/".join(parts[:length])
            for parts in (end.split("/") for end in self._ends)
            for length in range(1, len(parts))
        )

    def document(self, file: str) -> Any:  # noqa: ANN401 (any JSON value)
        """Read a document; None when it does not parse, which `broken` then tells."""
        self.read.add(file)
        if file not in self._documents:
            try:
                self._documents[file] = read_document(self.root / file)
            except Unreadable as error:
                self.broken[file] = str(error)
                self._documents[file] = None
        return self._documents[file]

    @cached_property
    def unparsed(self) -> tuple[str, ...]:
        """Every file that cannot be read or does not parse, needed or not; see `broken`."""
        for file in self.files:
            if file not in self._documents:
                try:
                    read_document(self.root / file)
                except Unreadable as error:
                    self.broken[file] = str(error)
                    self._documents[file] = None
        return tuple(sorted(self.broken))

    @property
    def is_usable(self) -> bool:
        """Whether at least one schema or context can be read."""
        read = set(self.read)
        found = any(
            isinstance(self.document(file), dict) for file in (*self.contexts, *self.schemas)
        )
        self.read = read  # to look at a document is not to need it
        return found

    def resolve(
        self,
        reference: str,
        base: str = "",
        missing: tuple[str, ...] = (),
        *,
        note: bool = True,
    ) -> Found:
        """Find the document of a reference without fragment, made in a document or a message.

        missing names the files to try where an address names none. What is not found is
        noted in `unresolved`.
        """
        key = (reference, base, missing)
        if key not in self._resolved:
            if len(self._resolved) > MOST_REFERENCES:  # messages may name any number
                self._resolved.clear()
                self.unresolved.clear()
            found = self._resolved[key] = self._find(reference, base, missing)
            if found.file is None and note:
                self.unresolved[reference] = self.why(found)
        return self._resolved[key]

    def why(self, found: Found) -> str:
        """Tell why a reference did not lead to one document."""
        if found.how == "several":
            return f"several documents may be meant: {', '.join(found.several[:3])}"
        return "no such document is in the specification laid beside"

    def _find(self, reference: str, base: str, missing: tuple[str, ...]) -> Found:
        if not reference:
            return Found(base, "here")
        address = read_address(reference, missing)
        if address is None:
            return self._relative(reference, base) if base else Found(None, "nowhere")
        known = False
        for folder, paths in address.homes:
            if folder not in self._folders:
                continue
            known = True
            for path in paths:
                if len(files := self._ends.get(f"{folder}/{path}", ())) == 1:
                    return Found(files[0], "published")
        return Found(None, "nowhere") if known else self._alike(address.paths, "")

    def _relative(self, reference: str, base: str) -> Found:
        target = normpath(str(PurePosixPath(base).parent / unquote(reference)))
        if target in self.names:
            return Found(target, "here")
        found = self._alike((reference.lstrip("./"),), base)
        return found if found.how != "several" else Found(None, "nowhere")

    def _alike(self, paths: tuple[str, ...], base: str) -> Found:
        """Recognise a path by its end, among the nearest to the document that asks."""
        for path in paths:
            parts = path.split("/")
            for start in range(max(1, len(parts) - MIN_PARTS + 1)):
                if len(parts) - start < MIN_PARTS:
                    break
                files = self._ends.get("/".join(parts[start:]), [])
                top = f"{base.partition('/')[0]}/"
                files = [file for file in files if base and file.startswith(top)] or files
                if len(files) == 1 or (files and self._same(files)):
                    return Found(files[0], "alike")
                if files:
                    return Found(None, "several", tuple(files))
        return Found(None, "nowhere")

    def _same(self, files: list[str]) -> bool:
        contents = {_bytes(self.root / file) for file in files}
        return len(contents) == 1 and None not in contents

    # -- kinds of documents

    @cached_property
    def schemas(self) -> tuple[str, ...]:
        """The OpenAPI documents, attribute packs and JSON Schemas, read or not."""
        return tuple(file for file in self.files if self._is_schema(file))

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        return tuple(file for file in self.files if PurePosixPath(file).name == "context.jsonld")

    def _is_schema(self, file: str) -> bool:
        name = PurePosixPath(file).name
        if name in SCHEMA_FILES:
            return True
        head = _head(self.root / file)
        if file.endswith((".yaml", ".yml")):
            return any(line.startswith((b"openapi:", b"'openapi'", b'"openapi"')) for line in head)
        return file.endswith(".json") and any(
            line.lstrip(b" {\t").startswith((b'"openapi"', b'"$schema"')) for line in head
        )

    @cached_property
    def apis(self) -> dict[str, tuple[str, ...]]:
        """The API documents by the dialect their messages are written in."""
        read = set(self.read)
        found: dict[str, list[str]] = {"order": [], "contract": []}
        for file in self.schemas:
            if PurePosixPath(file).name not in SCHEMA_FILES and b"on_confirm" in (
                _bytes(self.root / file) or b""
            ):
                dialect = dialect_of_api(self.document(file))
                if dialect is not None:
                    found[dialect].append(file)
        self.read = read  # to look at a document is not to need it
        return {dialect: tuple(files) for dialect, files in found.items()}

    def api_for(self, dialect: str) -> Found:
        """Choose the API document of a dialect: the only one, or the table's default."""
        files = self.apis.get(dialect, ())
        for folder in default_folders(dialect):
            within = [f for f in files if folder in self._above(f)]
            if len(within) == 1:
                return Found(within[0], "published")
        if len(files) == 1:
            return Found(files[0], "here")
        return Found(None, "several", files) if files else Found(None, "nowhere")

    def _above(self, file: str) -> tuple[str, ...]:
        return (*self.root.resolve().parts[-2:], *PurePosixPath(file).parts)

    def api_beside(self, file: str) -> str | None:
        """Find the API document of the same publication: the nearest, going up from a file."""
        candidates = [api for files in self.apis.values() for api in files]
        for folder in PurePosixPath(file).parents:
            if str(folder) == "." and len(candidates) > 1:
                return None
            for place in (folder / "api", folder):
                near = [api for api in candidates if PurePosixPath(api).parent == place]
                if len(near) == 1:
                    return near[0]
        return None


def dialect_of_api(document: Any) -> str | None:  # noqa: ANN401 (any JSON value)
    """Tell in which dialect an API document's messages are written; None: it has none of ours.

    The generation 1.x has an endpoint /search, which no later one has.
    """
    paths = operations_by_action(document)
    if "on_confirm" not in paths or "search" in paths:
        return None
    text = json.dumps(document)
    return "contract" if '"contract"' in text and '"messageId"' in text else "order"


def operations_by_action(document: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401 (any JSON value)
    """Give path and method of each operation with a request body, by the action it serves.

    catalog/publish also serves the action catalog_publish: contexts write it so.
    """
    paths: object = (
        cast("dict[str, Any]", document).get("paths") if isinstance(document, dict) else None
    )
    found: dict[str, tuple[str, str]] = {}
    if not isinstance(paths, dict):
        return found
    for path, item in cast("dict[str, Any]", paths).items():
        if isinstance(item, dict):
            for method, operation in cast("dict[str, Any]", item).items():
                if isinstance(operation, dict) and "requestBody" in operation:
                    action = path.strip("/").removeprefix("beckn/")
                    found.setdefault(action, (path, method))
                    found.setdefault(action.replace("/", "_"), (path, method))
    return found


def _files(path: Path) -> list[str]:
    if path.is_file():
        return [path.name]
    if not path.is_dir():
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(what, where=str(path), mend="name a file or a folder")
    found: list[str] = []
    for folder, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(folder).relative_to(path).as_posix()
        prefix = "" if base == "." else f"{base}/"
        found += [f"{prefix}{name}" for name in names if name.endswith(ENDINGS)]
        if len(found) > MOST_FILES:
            raise UserError(
                f"holds more than {MOST_FILES} documents",
                where=str(path),
                mend="name the folder of the specification itself",
            )
    return found


def _refuse(error: OSError) -> None:
    """Refuse a folder that cannot be looked into: nobody knows what it holds."""
    raise error


def _bytes(path: Path) -> bytes | None:
    try:
        return read_bytes(path)
    except Unreadable:
        return None


def _head(path: Path) -> list[bytes]:
    try:
        return read_head(path, 400).splitlines()
    except Unreadable:
        return []
