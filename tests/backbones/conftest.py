"""The hub on 127.0.0.1, for all modules that fetch."""

from hub_server import hub, network

__all__ = ["hub", "network"]
