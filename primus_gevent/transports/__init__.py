"""Transports move one connection's messages over a socket; `base` is the contract that all of them keep."""
