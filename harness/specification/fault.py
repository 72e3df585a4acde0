"""A fault of a specification: its code, where it stands, what it is.

Belongs here: the codes and what each says. Does not belong here: finding faults.
"""

from __future__ import annotations

from dataclasses import dataclass

CODES = {
    "SPF-01": "a document does not parse",
    "SPF-02": "a reference leads nowhere",
    "SPF-03": "a schema is invalid by JSON Schema 2020-12",
    "SPF-04": "a slot's schema is closed and does not list @context and @type",
    "SPF-05": "a schema cannot be satisfied, or not by what it is made of",
    "SPF-06": "a reference to a whole document that says nothing",
    "SPF-07": "nullable, a keyword of OpenAPI 3.0",
    "SPF-08": "a context defines a prefix or term as a relative IRI",
    "SPF-09": "a context maps a keyword",
    "SPF-10": "a context's prefix does not end in a delimiter",
    "SPF-11": "contexts include one another in a circle",
    "SPF-12": "a context includes one that is not there",
    "SPF-13": "values of an enumeration are read as relative IRIs",
    "SPF-14": "a context's term looks like an IRI and stands for another, or for none",
    "SPF-15": "a request that has no body is given one",
    "SPF-16": "an action accepts a message that says nothing",
    "SPF-17": "a choice has a branch that accepts anything",
    "SPF-18": "a member is required and defined nowhere",
    "SPF-19": "an example is invalid by the schema beside it",
    "SPF-20": "a context is pinned to a moving branch",
    "SPF-21": "a property has no term in the context beside it",
}


@dataclass(frozen=True)
class Fault:
    """One fault: code, document (its path in the specification), JSON Pointer, sentence."""

    code: str
    document: str
    pointer: str
    sentence: str
