"""What the README says of vision-language models: its settings are settings, and options that the lanes have."""

import inspect
import tomllib

from test_readme import toml_with

from backends.vlm.backend import create_internvl3, create_llama_vision
from workers.settings import Settings

FACTORIES = {"internvl3": create_internvl3, "llama-vision": create_llama_vision}


def test_the_settings_of_models_are_settings():
    lanes = Settings.model_validate(tomllib.loads(toml_with("lanes.options.internvl3"))).lanes
    assert (lanes.fast, lanes.deep) == ("internvl3", "llama-vision")
    for name, options in lanes.options.items():
        told = inspect.signature(FACTORIES[name]).parameters
        assert [option for option in options if option not in told] == []
