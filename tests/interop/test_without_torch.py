"""What is said where PyTorch is absent."""

import pytest

from tinyproto.interop import from_torch


def test_the_message_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    message = r"from_torch needs PyTorch; .* pip install torch, .*pip install -e '.\[torch\]'$"
    with pytest.raises(ImportError, match=message) as error:
        from_torch(None)
    assert "\n" not in str(error.value)
