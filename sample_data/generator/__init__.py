"""The Studio generator: a synthetic shop whose truth is known. Start reading in `world.py`."""
