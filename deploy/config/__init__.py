"""The configuration of a run: its model, its sources, its keys."""

from deploy.config.keys import differing_keys
from deploy.config.load import load_config
from deploy.config.run_config import RunConfig

__all__ = ["RunConfig", "differing_keys", "load_config"]
