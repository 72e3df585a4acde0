"""gridwitness: flow conformance for decentralized energy exchange on the Beckn protocol.

The way of the data, and where each part lives:

    participant.toml -> profile -> plan -> scenario -> exchange over HTTP (wire)
    -> trace -> rules -> judgement -> report.json -> every other artefact

Record, then judge: nothing judges on the wire. A rule is a pure function of a
trace, so a live run and a recording get the same verdict. Dialects turn messages
into views and back; only the rules about the wire itself know a field's name.
"""

from importlib.metadata import version

__version__ = version("gridwitness")
