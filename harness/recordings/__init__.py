"""Recordings: traffic that was recorded, by us or by anybody, as traces that rules can judge.

Belongs here: finding what is recorded where (files), reading one message in any form
(pieces), grouping what stands in one file by transaction (lines), making a trace of a
flow (flows). Does not belong here: judging it, processes, printing (audit).

A recording is hostile until it is read: names in it are never used as paths, nothing is
read beyond a bound, and what cannot be read is told.
"""

from __future__ import annotations
