"""The plugin of this library, also where the installation is too old to have told pytest of it."""

import importlib.metadata

pytest_plugins = ["pytester"]
if not importlib.metadata.entry_points(group="pytest11", name="tinygrad_rnn"):
    pytest_plugins.append("_tinygrad_rnn_pytest")
