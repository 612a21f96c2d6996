"""Writes the vectors of all providers that are described here. `python generate.py`"""

import importlib
import pathlib

import harness

for file in sorted((pathlib.Path(__file__).parent / "providers").glob("*.py")):
    if file.stem != "__init__":
        importlib.import_module(f"providers.{file.stem}")
harness.write()
