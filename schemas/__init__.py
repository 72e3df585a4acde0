"""The shape: JSON Schemas of what the harness itself reads and writes (own/).

Does not belong here: network access, copies of the official schemas.
"""
